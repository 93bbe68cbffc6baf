//go:build linux

package proof_test

import (
	"testing"
	"time"

	"github.com/vigate/vigate/test/proof/history"
	"github.com/vigate/vigate/test/proof/load"
	"github.com/vigate/vigate/test/proof/site"
)

// mutant is a program with a planted bug: a small patch of the source, applied while the program is
// built.
type mutant struct {
	name  string
	what  string
	kill  bool // only a crash shows the bug
	patch site.Patch
}

var (
	touchMutant = mutant{
		name: "mutant_touch", what: "a touch creates again what was deleted",
		patch: site.Patch{
			File: "internal/store/bolt/group.go",
			Old:  "if !o.found || o.Expired(now) || o.Revision != r.Revision {",
			New:  "if _ = now; o.found && o.Revision != r.Revision {",
		},
	}
	ackMutant = mutant{
		name: "mutant_ack", what: "an answer is sent before the commit is durable", kill: true,
		patch: site.Patch{
			File: "internal/store/bolt/writer.go",
			Old:  "\t\treturn tx.Commit()\n",
			New: `
		s.hub.publish(store.Batch{Revision: g.revision, Deltas: g.deltas})
		for _, r := range requests {
			close(r.done)
			r.done = make(chan struct{}) // the answer after the commit closes it
		}
		return tx.Commit()
`,
		},
	}
	ticketMutant = mutant{
		name: "mutant_ticket", what: "a ticket is read, and then deleted without a condition",
		patch: site.Patch{
			File: "internal/session/ticket.go",
			Old:  "return store.DeleteAt(store.Ticket, r.ID, r.Revision)",
			New:  "return store.Clear(store.Ticket, r.ID)",
		},
	}
	watchMutant = mutant{
		name: "mutant_watch", what: "a stream skips the changes that were compacted",
		patch: site.Patch{
			File: "internal/store/etcd/stream.go",
			Old:  "\t\t\tst.next = 0 // a snapshot: the changes in between can't be read any more\n",
			New: `
			st.next = 0
			if _, at, err := s.newest(ctx); err == nil {
				st.next = int64(at) + 1
			}
`,
		},
	}
)

// build compiles the program with the bug.
func (m mutant) build(t *testing.T) string {
	t.Helper()
	program, err := site.Build(root, bin.dir, m.name, m.patch)
	if err != nil {
		t.Fatal(err)
	}
	return program
}

// TestEveryPlantedBugFitsTheSource fails if the source has changed at the place of a planted bug.
func TestEveryPlantedBugFitsTheSource(t *testing.T) {
	for _, m := range []mutant{touchMutant, ackMutant, ticketMutant, watchMutant} {
		if _, err := m.patch.Apply(root); err != nil {
			t.Errorf("%s: %v", m.name, err)
		}
	}
}

// TestPlantedBugsAreFound shows that the tests of this package can fail.
func TestPlantedBugsAreFound(t *testing.T) {
	t.Parallel()
	for _, m := range []mutant{touchMutant, ackMutant, ticketMutant} {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			x := newTrial(t, m.build(t), own(t, "node"))
			began := time.Now()
			for round := 1; time.Since(began) < load.Generous; round++ {
				x.work(100*time.Millisecond, 300*time.Millisecond, acknowledged)
				if m.kill {
					x.crash()
				}
				// The list may have more sessions than the clients can have begun. That is a
				// finding as well, but not the wanted one.
				_ = x.load.Audit(t.Context())
				v := history.Check(x.load.Recorder().Ops(true), rules)
				if v.Illegal != nil {
					t.Logf("found in round %d, after %v: %s\n%s", round,
						time.Since(began).Round(time.Millisecond), m.what, v.Illegal)
					for i := range v.Violations {
						t.Logf("%s", &v.Violations[i])
					}
					return
				}
			}
			t.Errorf("not found in %v: %s", load.Generous, m.what)
		})
	}
}
