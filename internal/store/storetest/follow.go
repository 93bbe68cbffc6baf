package storetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/vigate/vigate/internal/store"
)

// follower runs a Watch and checks that the stream keeps the contract.
type follower struct {
	f    *fixture
	stop context.CancelFunc
	done chan struct{}
	err  error // why Watch ended; valid once done is closed

	mu     sync.Mutex // guards the fields below
	seen   seen
	ledger *ledger       // nil: the events are not numbered
	wake   chan struct{} // closed and replaced with every batch
}

// seen is what a follower has seen of the stream.
type seen struct {
	state    map[name]store.Record
	log      []store.Delta // since the state was whole
	revision store.Revision
	resets   int
	whole    bool
	problem  error // the first
}

func (f *fixture) follow(s store.Store) *follower { return f.followWith(s, nil) }

func (f *fixture) followWith(s store.Store, l *ledger) *follower {
	ctx, cancel := context.WithCancel(f.ctx)
	w := &follower{f: f, stop: cancel, done: make(chan struct{}), ledger: l, wake: make(chan struct{})}
	go func() {
		defer close(w.done)
		w.err = s.Watch(ctx, w.apply)
	}()
	f.Cleanup(func() {
		cancel()
		<-w.done
		if w.seen.problem != nil {
			f.Errorf("stream: %v", w.seen.problem)
		}
	})
	return w
}

// end waits for the Watch to end by itself and returns its error.
func (w *follower) end() error {
	w.f.Helper()
	select {
	case <-w.done:
		return w.err
	case <-w.f.ctx.Done():
		w.f.Fatal("Watch did not end")
		return nil
	}
}

// upTo waits until the stream has reached the revision, and returns a copy of what the follower has
// seen.
func (w *follower) upTo(rev store.Revision) seen {
	w.f.Helper()
	for {
		w.mu.Lock()
		s, wake := w.seen, w.wake
		s.state, s.log = maps.Clone(s.state), slices.Clone(s.log)
		w.mu.Unlock()
		if s.problem != nil {
			w.f.Fatalf("stream: %v", s.problem)
		}
		if s.whole && s.revision >= rev {
			return s
		}
		select {
		case <-wake:
		case <-w.done:
			w.f.Fatalf("Watch ended at revision %d before %d: %v", s.revision, rev, w.err)
		case <-w.f.ctx.Done():
			w.f.Fatalf("stream is at revision %d (whole: %v), want %d", s.revision, s.whole, rev)
		}
	}
}

func (w *follower) apply(b store.Batch) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	err := w.seen.apply(b)
	if w.ledger != nil {
		err = errors.Join(err, w.ledger.apply(b))
	}
	if w.seen.problem == nil {
		w.seen.problem = err
	}
	close(w.wake)
	w.wake = make(chan struct{})
	return nil
}

func (s *seen) apply(b store.Batch) error {
	if b.Reset {
		s.resets++
		s.whole = false
		s.state, s.log = map[name]store.Record{}, nil
	}
	if s.resets == 0 {
		return fmt.Errorf("the first batch has no Reset")
	}
	for _, d := range b.Deltas {
		if err := s.delta(d, b.Revision); err != nil {
			return err
		}
	}
	if s.whole && b.Revision < s.revision {
		return fmt.Errorf("revision %d after %d", b.Revision, s.revision)
	}
	if s.whole && b.Whole {
		return fmt.Errorf("whole twice without a reset")
	}
	s.whole = s.whole || b.Whole
	if s.whole {
		s.revision = b.Revision
	}
	return nil
}

func (s *seen) delta(d store.Delta, upTo store.Revision) error {
	n := name{d.Record.Kind, d.Record.ID}
	if old, ok := s.state[n]; ok && d.Record.Revision <= old.Revision {
		return fmt.Errorf("a record of kind %d at revision %d after %d", n.kind, d.Record.Revision, old.Revision)
	}
	if s.whole {
		// A whole commit is in one batch, and no commit comes twice.
		if at := d.Record.Revision; at <= s.revision || at > upTo {
			return fmt.Errorf("a change of revision %d in the batch from %d to %d", at, s.revision, upTo)
		}
		if n := len(s.log); n > 0 && d.Record.Revision < s.log[n-1].Record.Revision {
			return fmt.Errorf("a change of revision %d after %d", d.Record.Revision, s.log[n-1].Record.Revision)
		}
		if n := len(s.log); n > 0 && !d.Deleted && d.Record.Kind.Appended() {
			last := s.log[n-1]
			if last.Record.Kind == d.Record.Kind && !last.Deleted && store.Before(last.Record, d.Record) >= 0 {
				return fmt.Errorf("%q was appended after %q", d.Record.ID, last.Record.ID)
			}
		}
		s.log = append(s.log, d)
	}
	if d.Deleted {
		if len(d.Record.Value) != 0 {
			return fmt.Errorf("a deletion with a value")
		}
		delete(s.state, n)
	} else {
		s.state[n] = d.Record
	}
	return nil
}
