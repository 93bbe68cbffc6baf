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

// NewView makes the view that puts records of the kinds where the functions do. The
// owner of what is shown gives it to the mirror alone: what a process believes is
// changed by commits, and by nobody who reads it.
func NewView(kinds []Kind, reset func(), put func(Record), remove func(Kind, string), whole func()) View {
	return &view{kinds, reset, put, remove, whole}
}

type view struct {
	kinds  []Kind
	reset  func()
	put    func(Record)
	remove func(Kind, string)
	whole  func()
}

func (v *view) Kinds() []Kind            { return v.kinds }
func (v *view) Reset()                   { v.reset() }
func (v *view) Put(r Record)             { v.put(r) }
func (v *view) Delete(k Kind, id string) { v.remove(k, id) }
func (v *view) Whole()                   { v.whole() }

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
	waiters []*waiter  // in the order of their revisions
	reading bool       // a read of the newest revision is on its way
	next    *read      // the read after that one, if anybody waits for it
}

// NewMirror makes a mirror of s that feeds the views once Run is called.
func NewMirror(s Store, views ...View) *Mirror {
	m := &Mirror{store: s, views: map[Kind]View{}, all: views}
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
	m.wake()
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
		m.wake()
	}
	return nil
}

// waiter is one call of Wait.
type waiter struct {
	rev  Revision
	done chan struct{} // closed when the wait is over; then err holds
	err  error
}

// over reports whether a wait for rev ends, and with which error. Callers hold mu.
func (m *Mirror) over(rev Revision) (bool, error) {
	switch {
	case m.whole && m.applied >= rev:
		return true, nil
	case m.failed != nil:
		return true, errors.Join(ErrUnavailable, m.failed)
	}
	return false, nil
}

// wake ends the waits that are over, and no others: with many callers most wait for
// later commits. Callers hold mu.
func (m *Mirror) wake() {
	n := 0
	for ; n < len(m.waiters); n++ {
		w := m.waiters[n]
		over, err := m.over(w.rev)
		if !over {
			break
		}
		w.err = err
		close(w.done)
	}
	m.waiters = slices.Delete(m.waiters, 0, n)
}

// await adds a waiter for rev, unless the wait is over at once.
func (m *Mirror) await(rev Revision) (*waiter, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if over, err := m.over(rev); over {
		return nil, err
	}
	w := &waiter{rev: rev, done: make(chan struct{})}
	i := len(m.waiters)
	for i > 0 && m.waiters[i-1].rev > rev {
		i--
	}
	m.waiters = slices.Insert(m.waiters, i, w)
	return w, nil
}

// Wait returns once the views hold every change up to rev.
func (m *Mirror) Wait(ctx context.Context, rev Revision) error {
	w, err := m.await(rev)
	if w == nil {
		return err
	}
	select {
	case <-w.done:
		return w.err
	case <-ctx.Done():
		m.mu.Lock()
		defer m.mu.Unlock()
		if i := slices.Index(m.waiters, w); i >= 0 {
			m.waiters = slices.Delete(m.waiters, i, i+1)
		}
		return ctx.Err()
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
// views of this process show it. If ctx has a Guard, the commit is held to it;
// the Guard's error is returned as it is.
//
// The commit itself is not given up when ctx ends after it was begun: then the
// change stands, and the error is a *CommittedError. ErrUncertain says that
// something may have been written; after any other error nothing was.
// ErrConflict comes once the views show what was in the way: a caller that
// learns from it that a session has ended must not find the session alive right
// after.
func (m *Mirror) Commit(ctx context.Context, changes ...Change) (Revision, error) {
	if g, _ := ctx.Value(guardKey{}).(Guard); g != nil {
		return m.commitGuarded(ctx, g, changes)
	}
	return m.commit(ctx, changes)
}

func (m *Mirror) commit(ctx context.Context, changes []Change) (Revision, error) {
	rev, err := m.store.Commit(ctx, changes...)
	if errors.Is(err, ErrConflict) {
		if behind := m.Sync(ctx); behind != nil {
			err = fmt.Errorf("see what was in the way: %w", behind)
		}
	}
	if err != nil {
		return 0, err
	}
	if err := m.Wait(ctx, rev); err != nil {
		return rev, &CommittedError{Revision: rev, Err: err}
	}
	return rev, nil
}

// CommittedError says that a commit stands although its caller gets an error:
// the caller stopped waiting, or this process no longer follows the store,
// before its views showed the change. Towards clients it is ErrUncertain.
type CommittedError struct {
	Revision Revision
	Err      error // why the wait ended
}

func (e *CommittedError) Error() string {
	return "committed, but not yet visible on this node: " + e.Err.Error()
}

// Unwrap is the cause, or ErrUncertain in place of ErrUnavailable: that would
// say that nothing was written.
func (e *CommittedError) Unwrap() error {
	if errors.Is(e.Err, ErrUnavailable) {
		return ErrUncertain
	}
	return e.Err
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
//
// On a shared store it costs a read that a quorum confirms. However many calls
// come at once, one read is on its way and one waits to begin: see newest.
func (m *Mirror) Sync(ctx context.Context) error {
	rev, err := m.newest(ctx)
	if err != nil {
		return err
	}
	return m.Wait(ctx, rev)
}

// read is one read of the newest revision for all the calls that came before it
// began.
type read struct {
	ctx     context.Context
	cancel  context.CancelFunc
	callers int // who still wait for it; guarded by Mirror.mu

	done chan struct{} // closed when it is over; then what follows holds
	rev  Revision
	err  error
}

// newest is a revision at or after the newest that was acknowledged before the
// call.
//
// A call never joins the read that is on its way: that one may have passed the
// store before something that the caller must see was acknowledged. It joins the
// next, which begins when the one on its way is over, and so after the call.
func (m *Mirror) newest(ctx context.Context) (Revision, error) {
	m.mu.Lock()
	if !m.reading {
		m.reading = true
		m.mu.Unlock()
		var err error
		defer func() { m.readNext(err) }()
		var rev Revision
		rev, err = m.store.Newest(ctx)
		return rev, err
	}
	r := m.next
	if r == nil {
		r = &read{done: make(chan struct{})}
		// No caller's: the read goes on for the others when one of them has gone.
		r.ctx, r.cancel = context.WithCancel(context.Background())
		m.next = r
	}
	r.callers++
	m.mu.Unlock()
	select {
	case <-r.done:
		return r.rev, r.err
	case <-ctx.Done():
		m.leave(r)
		return 0, ctx.Err()
	}
}

// leave gives up waiting for r. A read that nobody waits for any more is
// cancelled.
func (m *Mirror) leave(r *read) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r.callers--; r.callers > 0 {
		return
	}
	r.cancel()
	if m.next == r {
		m.next = nil // it has not begun, and nobody may join one that is cancelled
	}
}

// readNext begins the next read, if anybody waits for it, after one that ended
// with err. If that one found the store unavailable, those who wait are told the
// same: they have waited as long as a read of their own may take.
func (m *Mirror) readNext(err error) {
	m.mu.Lock()
	r := m.next
	m.next = nil
	unavailable := errors.Is(err, ErrUnavailable)
	m.reading = r != nil && !unavailable
	m.mu.Unlock()
	switch {
	case r == nil:
	case unavailable:
		r.end(0, err)
	default:
		go func() {
			rev, err := m.store.Newest(r.ctx)
			r.end(rev, err)
			m.readNext(err)
		}()
	}
}

func (r *read) end(rev Revision, err error) {
	r.cancel()
	r.rev, r.err = rev, err
	close(r.done)
}
