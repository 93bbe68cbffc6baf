//go:build linux

package proof_test

import (
	"flag"
	"testing"
	"time"

	"github.com/vigate/vigate/test/proof/load"
)

var paused = flag.Duration("paused", 6500*time.Millisecond, "how long a node is paused while sessions end elsewhere")

// TestANodeThatWakesServesNobodyWhoEndedMeanwhile: requests wait for the node
// before it goes on, and are the first that it sees.
func TestANodeThatWakesServesNobodyWhoEndedMeanwhile(t *testing.T) {
	t.Parallel()
	c := newCluster(t, bin.vigate) // no limit is in the way
	c.begin()
	c.work(time.Second, acknowledged, 1)
	const off, ended = 2, 20
	// The node may learn of the ends before it sees the first request. That proves
	// nothing, and is tried again.
	for began, proved := time.Now(), false; !proved; {
		if time.Since(began) > load.Generous {
			t.Fatal("nobody was ever told to wait: the first requests came too late to prove anything")
		}
		c.load.Avoid(c.Nodes[off].Name)
		w, err := c.load.EndBehind(ended, c.node(0), c.node(off), *paused, c.Nodes[off].Pause, c.Nodes[off].Resume)
		c.must(err)
		t.Logf("a node paused for %v: of %d requests for ended sessions, the first as it woke, it served %d, told %d to wait and refused %d, "+
			"the last %v after it woke", *paused, w.Served+w.Waits+w.Refused, w.Served, w.Waits, w.Refused, w.Took.Round(time.Millisecond))
		if w.Served > 0 && *paused > bound {
			t.Errorf("%d requests for sessions that ended more than %v before were served", w.Served, bound)
		}
		if *quiet && w.Took > 5*time.Second {
			t.Errorf("it took %v to catch up, want at most 5 s", w.Took)
		}
		proved = w.Waits > 0
		c.load.Avoid("")
		eventually(t, "all nodes serve", c.serve)
	}
	c.prove()
}
