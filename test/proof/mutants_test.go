//go:build linux

package proof_test

import (
	"testing"
	"time"

	"github.com/vigate/vigate/test/proof/history"
	"github.com/vigate/vigate/test/proof/site"
)

// rounds bounds how long a planted bug may hide.
const rounds = 60

// TestPlantedBugsAreFound shows that the proof can fail: each of these programs
// has one bug, planted by a build tag where the real code is.
func TestPlantedBugsAreFound(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		tag  string
		what string
		kill bool // it takes crashes to be seen
	}{
		{"mutant_touch", "a touch creates again what was deleted", false},
		{"mutant_ack", "an answer goes out before what it says is durable", true},
		{"mutant_ticket", "a ticket is read, and then deleted", false},
	} {
		t.Run(c.tag, func(t *testing.T) {
			t.Parallel()
			program, err := site.Build(root, bin.dir, c.tag)
			if err != nil {
				t.Fatal(err)
			}
			x := newTrial(t, program, own(t, "node"))
			began := time.Now()
			for round := range rounds {
				x.wait(100*time.Millisecond, 300*time.Millisecond)
				if c.kill {
					x.crash()
				}
				// The list can show more sessions than anybody can have begun: that is
				// a finding as well, but not the one that is wanted.
				_ = x.load.Audit(t.Context())
				v := history.Check(x.load.Recorder().Ops(true), rules)
				if v.Illegal != nil {
					t.Logf("found in round %d, after %v: %s\n%s", round+1, time.Since(began).Round(time.Millisecond), c.what, v.Illegal)
					for i := range v.Violations {
						t.Logf("%s", &v.Violations[i])
					}
					return
				}
			}
			t.Errorf("not found in %d rounds: %s", rounds, c.what)
		})
	}
}
