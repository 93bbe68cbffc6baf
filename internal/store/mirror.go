package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
)

// View is a domain's picture of its records in memory. A Mirror calls it from one goroutine at a
// time. The view itself protects its state from its concurrent readers.
type View interface {
	// Kinds returns the kinds of the view's records. No two views of a mirror share a kind.
	Kinds() []Kind
	// Reset: a new whole state follows. A record that is not Put before Whole does not exist any
	// more.
	Reset()
	// Put: the record now has this value. The view may keep Value.
	Put(Record)
	// Delete: the record does not exist any more.
	Delete(Kind, string)
	// Whole: every record of the state that Reset began has been Put.
	Whole()
}

// NewView returns a view that calls the functions for the records of the kinds. The owner of the
// state behind the functions gives the view to the mirror only. So only commits change what a
// process believes; no reader can.
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

// Mirror follows a store and feeds views. When Commit has acknowledged a change, the readers of
// this process see it.
type Mirror struct {
	store Store
	views map[Kind]View
	all   []View

	mu      sync.Mutex // guards the fields below
	applied Revision   // every change up to here is in the views
	whole   bool       // the views hold a whole state
	failed  error      // Run has ended
	waiters []*waiter  // by revision, ascending
	reading bool       // a read of the newest revision is running
	next    *read      // the read after the running one, if a caller waits for it
}

// NewMirror returns a mirror of s. It feeds the views once Run is called. It panics if two views
// share a kind.
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

// waiter belongs to one call of Wait.
type waiter struct {
	rev  Revision
	done chan struct{} // closed when the wait is over; err is valid from then on
	err  error
}

// over reports whether a wait for rev is over, and with which error. The caller holds mu.
func (m *Mirror) over(rev Revision) (bool, error) {
	switch {
	case m.whole && m.applied >= rev:
		return true, nil
	case m.failed != nil:
		return true, errors.Join(ErrUnavailable, m.failed)
	}
	return false, nil
}

// wake ends only those waits that are over. If there are many callers, most of them wait for later
// commits. The caller holds mu.
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

// await adds a waiter for rev. If the wait is already over, it returns no waiter but the result.
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

// Wait returns once the views show every change up to rev.
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

// Whole reports whether the views hold a whole state and are still being fed.
func (m *Mirror) Whole() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.whole && m.failed == nil
}

// Applied returns the revision that the views show. It is 0 until they hold a whole state.
func (m *Mirror) Applied() Revision {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.applied
}

// Commit commits to the store, and returns once the changes are durable and the views of this
// process show them. If ctx has a Guard, the Guard's conditions apply to the commit, and the
// Guard's error is returned unchanged.
//
// If ctx ends after the commit was begun, the commit is not cancelled. The changes stand, and the
// error is a *CommittedError. ErrUncertain means that something may have been written; after any
// other error nothing was written. ErrConflict is returned only once the views show the change that
// was in the way. So a caller that learns from the error that a session has ended never finds that
// session alive right afterwards.
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
			err = fmt.Errorf("wait for the conflicting change to become visible: %w", behind)
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

// CommittedError says that a commit stands although its caller gets an error. Before the views
// showed the changes, either the caller stopped waiting, or this process stopped following the
// store. For clients it is ErrUncertain.
type CommittedError struct {
	Revision Revision
	Err      error // why the wait ended
}

func (e *CommittedError) Error() string {
	return "committed, but not yet visible on this node: " + e.Err.Error()
}

// Unwrap returns the cause, but ErrUncertain in place of ErrUnavailable, which would mean that
// nothing was written.
func (e *CommittedError) Unwrap() error {
	if errors.Is(e.Err, ErrUnavailable) {
		return ErrUncertain
	}
	return e.Err
}

// Touch touches the records in the store, and returns once the views of this process show it.
func (m *Mirror) Touch(ctx context.Context, records ...Record) ([]Revision, error) {
	revs, err := m.store.Touch(ctx, records...)
	if err != nil || len(revs) == 0 {
		return revs, err
	}
	return revs, m.Wait(ctx, slices.Max(revs))
}

// Get calls Get of the store.
func (m *Mirror) Get(ctx context.Context, k Kind, id string) (Record, error) {
	return m.store.Get(ctx, k, id)
}

// Sweep calls Sweep of the store.
func (m *Mirror) Sweep(ctx context.Context, limit int, kinds ...Kind) (int, error) {
	return m.store.Sweep(ctx, limit, kinds...)
}

// Sync returns once the views show every commit that was acknowledged, to any process, before the
// call.
//
// On a shared store it costs one read that a quorum confirms. Concurrent calls share reads: at any
// time at most one read runs and one waits to begin, see newest.
func (m *Mirror) Sync(ctx context.Context) error {
	rev, err := m.newest(ctx)
	if err != nil {
		return err
	}
	return m.Wait(ctx, rev)
}

// read is one read of the newest revision. It serves all calls that came before it began.
type read struct {
	ctx     context.Context
	cancel  context.CancelFunc
	callers int // number of calls that still wait for it; guarded by Mirror.mu

	done chan struct{} // closed when the read is over; rev and err are valid from then on
	rev  Revision
	err  error
}

// newest returns a revision that is at least the newest that was acknowledged before the call.
//
// A call never joins the running read. That read may have reached the store before a commit was
// acknowledged that the call must see. The call joins the next read, which begins when the running
// one is over, and so after the call.
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
		// The context is no caller's: when one caller leaves, the read goes on for the others.
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

// leave stops waiting for r. If no other caller waits for r, it cancels r.
func (m *Mirror) leave(r *read) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r.callers--; r.callers > 0 {
		return
	}
	r.cancel()
	if m.next == r {
		m.next = nil // it has not begun, and no caller may join a cancelled read
	}
}

// readNext begins the next read, if a caller waits for it. err is the result of the read before. If
// that read found the store unavailable, the waiting callers get the same error: they have already
// waited as long as a read of their own may take.
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
