package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
)

// View is a domain's picture of its records in memory. A Mirror calls it from
// one goroutine at a time; the view guards itself against its own readers.
type View interface {
	// Kinds are the records it wants. No two views of a mirror share a kind.
	Kinds() []Kind
	// Reset: a new whole state follows. What is not Put before Whole is gone.
	Reset()
	// Put: the record is now so. The view may keep Value.
	Put(Record)
	// Delete: the record is gone.
	Delete(Kind, string)
	// Whole: all of the state since Reset has been Put.
	Whole()
}

// Mirror follows a store and feeds views, so that what Commit has acknowledged
// is also what this process's readers see.
type Mirror struct {
	store Store
	views map[Kind]View
	all   []View

	mu      sync.Mutex // guards what follows
	applied Revision   // every change up to here is in the views
	whole   bool       // the views hold a whole state
	failed  error      // Run has ended
	wake    chan struct{}
}

// NewMirror makes a mirror of s that feeds the views once Run is called.
func NewMirror(s Store, views ...View) *Mirror {
	m := &Mirror{store: s, views: map[Kind]View{}, all: views, wake: make(chan struct{})}
	for _, v := range views {
		for _, k := range v.Kinds() {
			if m.views[k] != nil {
				panic(fmt.Sprintf("store: kind %d has two views", k))
			}
			m.views[k] = v
		}
	}
	return m
}

// Run follows the store until ctx ends or the stream fails.
func (m *Mirror) Run(ctx context.Context) error {
	err := m.store.Watch(ctx, m.apply)
	if err == nil {
		err = ErrClosed
	}
	m.mu.Lock()
	m.failed = fmt.Errorf("follow store: %w", err)
	m.broadcast()
	m.mu.Unlock()
	return err
}

func (m *Mirror) apply(b Batch) error {
	if b.Reset {
		m.mu.Lock()
		m.whole = false
		m.mu.Unlock()
		for _, v := range m.all {
			v.Reset()
		}
	}
	for _, d := range b.Deltas {
		v := m.views[d.Record.Kind]
		switch {
		case v == nil:
		case d.Deleted:
			v.Delete(d.Record.Kind, d.Record.ID)
		default:
			v.Put(d.Record)
		}
	}
	if b.Whole {
		for _, v := range m.all {
			v.Whole()
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.whole = m.whole || b.Whole
	if m.whole {
		m.applied = max(m.applied, b.Revision)
		m.broadcast()
	}
	return nil
}

// broadcast wakes all waiters. Callers hold mu.
func (m *Mirror) broadcast() {
	close(m.wake)
	m.wake = make(chan struct{})
}

// Wait returns once the views hold every change up to rev.
func (m *Mirror) Wait(ctx context.Context, rev Revision) error {
	for {
		m.mu.Lock()
		done, failed, wake := m.whole && m.applied >= rev, m.failed, m.wake
		m.mu.Unlock()
		switch {
		case done:
			return nil
		case failed != nil:
			return errors.Join(ErrUnavailable, failed)
		}
		select {
		case <-wake:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Whole reports whether the views hold a whole state and are still fed.
func (m *Mirror) Whole() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.whole && m.failed == nil
}

// Applied is the revision that the views show; 0 before they are whole.
func (m *Mirror) Applied() Revision {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.applied
}

// Commit commits to the store and returns once the change is durable and the
// views of this process show it.
//
// The commit itself is not given up when ctx ends after it was begun: the
// caller then gets ctx's error while the change stands. ErrUnavailable says that
// nothing was written, ErrUncertain that something may have been. ErrConflict
// comes once the views show what was in the way: who is told that a session has
// ended must not find it alive right after.
func (m *Mirror) Commit(ctx context.Context, changes ...Change) (Revision, error) {
	rev, err := m.store.Commit(ctx, changes...)
	if errors.Is(err, ErrConflict) {
		if behind := m.Sync(ctx); behind != nil {
			err = fmt.Errorf("see what was in the way: %w", behind)
		}
	}
	if err != nil {
		return 0, err
	}
	err = m.Wait(ctx, rev)
	if errors.Is(err, ErrUnavailable) {
		err = fmt.Errorf("%w: it did, but is not shown: %v", ErrUncertain, err)
	}
	return rev, err
}

// Touch touches in the store and returns once the views of this process show it.
func (m *Mirror) Touch(ctx context.Context, records ...Record) ([]Revision, error) {
	revs, err := m.store.Touch(ctx, records...)
	if err != nil || len(revs) == 0 {
		return revs, err
	}
	return revs, m.Wait(ctx, slices.Max(revs))
}

// Get is the store's.
func (m *Mirror) Get(ctx context.Context, k Kind, id string) (Record, error) {
	return m.store.Get(ctx, k, id)
}

// Sweep is the store's.
func (m *Mirror) Sweep(ctx context.Context, limit int, kinds ...Kind) (int, error) {
	return m.store.Sweep(ctx, limit, kinds...)
}

// Sync returns once the views hold everything that any process had been
// acknowledged before the call.
func (m *Mirror) Sync(ctx context.Context) error {
	rev, err := m.store.Newest(ctx)
	if err != nil {
		return err
	}
	return m.Wait(ctx, rev)
}
