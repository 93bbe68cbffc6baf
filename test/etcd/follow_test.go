package etcd_test

import (
	"context"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/store"
)

// patience bounds every wait of a test. It only ends tests that hang, on slow machines too.
const patience = 5 * time.Minute

// eventually polls until ok returns true. It is for changes in etcd or in a connection that nothing
// reports.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	late := time.After(patience)
	for !ok() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("it never happened that %s", what)
		}
	}
}

// follower runs a Watch and keeps the resulting state.
type follower struct {
	mu     sync.Mutex // guards the fields below
	state  map[string]store.Record
	rev    store.Revision
	whole  bool
	resets int
}

func follow(t testing.TB, s store.Store) *follower {
	ctx, cancel := context.WithCancel(context.Background())
	f := &follower{}
	ended := make(chan error, 1)
	go func() { ended <- s.Watch(ctx, f.apply) }()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return f
}

func (f *follower) apply(b store.Batch) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if b.Reset {
		f.state, f.whole = map[string]store.Record{}, false
		f.resets++
	}
	for _, d := range b.Deltas {
		if d.Deleted {
			delete(f.state, d.Record.ID)
		} else {
			f.state[d.Record.ID] = d.Record
		}
	}
	f.whole = f.whole || b.Whole
	if f.whole {
		f.rev = b.Revision
	}
	return nil
}

func (f *follower) seen() (state map[string]store.Record, resets int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.state), f.resets
}

// upTo waits until the stream has reached the revision, and returns the state.
func (f *follower) upTo(t testing.TB, rev store.Revision) (state map[string]store.Record, resets int) {
	t.Helper()
	eventually(t, "the stream reached the revision", func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.whole && f.rev >= rev
	})
	return f.seen()
}

var never time.Time

func must(t testing.TB, s store.Store, changes ...store.Change) store.Revision {
	t.Helper()
	rev, err := s.Commit(context.Background(), changes...)
	if err != nil {
		t.Fatalf("Commit: %v", err)
	}
	return rev
}
