package etcd

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/vigate/vigate/internal/store"
)

// request is one Commit. Who has taken it off the queue owns it.
type request struct {
	ctx     context.Context
	changes []store.Change
	until   time.Time // by when it must have been tried
	tries   int
	// seen is the revision, 0 for none, at which each change's record was found
	// to meet its condition. Empty: not looked yet.
	seen  []int64
	alone bool // shares no transaction
	done  chan result
}

type result struct {
	rev store.Revision
	err error
}

// answer ends the request. It never waits.
func (r *request) answer(rev store.Revision, err error) { r.done <- result{rev, err} }

// queue is what waits for the writer.
type queue struct {
	wake chan struct{} // holds one token while there may be something to do

	mu      sync.Mutex // guards what follows
	waiting []*request
	closed  bool
}

func (q *queue) init() { q.wake = make(chan struct{}, 1) }

func (q *queue) rouse() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// add appends the request. It returns false if the queue is closed. Who adds
// sees to it that somebody writes.
func (q *queue) add(r *request) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false
	}
	q.waiting = append(q.waiting, r)
	return true
}

// withdraw removes the request if it still waits.
func (q *queue) withdraw(r *request) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.Index(q.waiting, r)
	if i >= 0 {
		q.waiting = slices.Delete(q.waiting, i, i+1)
	}
	return i >= 0
}

// take removes the oldest requests that can share a transaction.
func (q *queue) take(k keys) *group {
	q.mu.Lock()
	defer q.mu.Unlock()
	g := newGroup(k)
	q.waiting = slices.DeleteFunc(q.waiting, g.join)
	return g
}

// back puts requests before all others.
func (q *queue) back(rs []*request) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting = append(slices.Clone(rs), q.waiting...)
}

func (q *queue) empty() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting) == 0
}

func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.rouse()
}

// drain closes and empties the queue.
func (q *queue) drain() []*request {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	waiting := q.waiting
	q.waiting = nil
	return waiting
}

// Commit is the contract's. A commit of more changes than etcd takes in one
// transaction is refused: by default about a hundred with conditions, or some
// thousands without.
func (s *Store) Commit(ctx context.Context, changes ...store.Change) (store.Revision, error) {
	if err := s.ready(ctx); err != nil {
		return 0, err
	}
	if err := store.Validate(changes); err != nil {
		return 0, err
	}
	r := &request{ctx: ctx, changes: changes, until: time.Now().Add(s.opts.Timeout), done: make(chan result, 1)}
	if !s.queue.add(r) {
		return 0, store.ErrClosed
	}
	s.push()
	select {
	case got := <-r.done:
		return got.rev, got.err
	case <-ctx.Done():
	}
	if s.queue.withdraw(r) {
		return 0, ctx.Err()
	}
	// It is under way, so that only its outcome says whether it was written.
	got := <-r.done
	return got.rev, got.err
}

// push has what waits written: here and now if nobody else writes, which spares
// the way to another goroutine and back.
func (s *Store) push() {
	select {
	case s.writing <- struct{}{}:
		s.writer.step()
		s.writing.give()
		if s.queue.empty() {
			return
		}
	default:
	}
	s.queue.rouse()
}

// write writes what waits, as much at a time as one transaction holds, until the
// store closes. What came while a caller of Commit wrote is left to it, so that
// none of them writes for all others for long.
func (s *Store) write() {
	for {
		select {
		case <-s.queue.wake:
		case <-s.ctx.Done():
		}
		s.writing <- struct{}{} // nobody keeps it for longer than a try takes
		for !s.closing.Load() && s.writer.step() {
		}
		s.writing.give()
		if s.closing.Load() {
			for _, r := range s.queue.drain() {
				r.answer(0, store.ErrClosed)
			}
			return
		}
	}
}

// writer is what writes. Who has taken Store.writing may use it.
type writer struct {
	s    *Store
	lane lane
	ids  ids
}

// ids makes ids of appended records: no other process makes the same, and those
// of one process ascend, so that the records of one commit are in the order of
// its changes.
type ids struct {
	process string // made up at the start
	n       uint64
}

func newIDs() ids { return ids{process: rand.Text()[:idRandom]} }

// idRandom is how many of rand.Text's characters tell processes apart: 80 bits.
const idRandom = 16

func (i *ids) next() string {
	i.n++
	return fmt.Sprintf("%s-%010x", i.process, i.n)
}

// step tries the oldest requests that can share a transaction. It returns false
// if there are none.
func (w *writer) step() bool {
	g := w.s.queue.take(w.s.keys)
	if len(g.requests) > 0 {
		w.run(g)
	}
	return len(g.requests) > 0
}

// retry puts back what was not written for the cause, or answers what has no
// time left.
func (w *writer) retry(rs []*request, cause error) {
	var again []*request
	now := time.Now()
	for _, r := range rs {
		switch r.tries++; {
		case r.ctx.Err() != nil:
			r.answer(0, r.ctx.Err())
		case w.s.closing.Load():
			r.answer(0, store.ErrClosed)
		case futile(cause), now.After(r.until):
			r.answer(0, fmt.Errorf("commit: %w: %w", store.ErrUnavailable, cause))
		default:
			again = append(again, r)
		}
	}
	w.s.queue.back(again)
}
