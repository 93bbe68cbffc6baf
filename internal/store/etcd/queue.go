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
	// expected is how many requests will probably wait before the time until, see
	// expect.
	expected int
	until    time.Time

	filled chan struct{} // holds one token after as many as expected have come
}

func (q *queue) init() {
	q.wake, q.filled = make(chan struct{}, 1), make(chan struct{}, 1)
}

func (q *queue) rouse() { signal(q.wake) }

// signal puts a token into the channel unless it holds one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
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
	if len(q.waiting) >= q.expected {
		signal(q.filled)
	}
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
func (q *queue) take(k keys, now time.Time) *group {
	q.mu.Lock()
	defer q.mu.Unlock()
	g := newGroup(k, now)
	q.waiting = slices.DeleteFunc(q.waiting, g.join)
	return g
}

// back puts requests before all others.
func (q *queue) back(rs []*request) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting = append(slices.Clone(rs), q.waiting...)
}

const (
	// maxGather bounds how long a commit waits for others to share its transaction.
	maxGather = 20 * time.Millisecond
	// enough requests fill a transaction, if each has two writes as a login has.
	enough = flatOps / 2
)

// expect records that a transaction ended that answered so many requests and took
// so long. If it answered several, their callers are probably about to commit
// again, as clients do that have no more work for an instant than to wait for the
// server. A transaction costs etcd much, and one more commit in it costs little. So
// the writer waits for as many as are probably on their way, but at most for as
// long as the transaction took.
func (q *queue) expect(answered int, took time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.expected = 0
	if answered > 1 {
		q.expected = min(answered+len(q.waiting), enough)
	}
	q.until = time.Now().Add(min(took, maxGather))
}

// patience returns how long to wait for further requests at now.
func (q *queue) patience(now time.Time) time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed || len(q.waiting) >= q.expected {
		return 0
	}
	return max(0, q.until.Sub(now))
}

// gather waits for the requests that are expected.
func (q *queue) gather() {
	d := q.patience(time.Now())
	if d == 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	for {
		select {
		case <-q.filled:
			if q.patience(time.Now()) == 0 {
				return
			}
		case <-t.C:
			return
		}
	}
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
	signal(q.filled)
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

// push has what waits written: here and now if nobody else writes and no more
// requests are expected, which spares the way to another goroutine and back.
func (s *Store) push() {
	if s.queue.patience(time.Now()) == 0 {
		select {
		case s.writing <- struct{}{}:
			s.writer.step()
			s.writing.give()
			if s.queue.empty() {
				return
			}
		default:
		}
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
		for !s.closing.Load() && !s.queue.empty() {
			s.queue.gather()
			s.writer.step()
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
	// again is how many requests of the last try are back in the queue.
	again int
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

// step tries the oldest requests that can share a transaction, if there are any.
func (w *writer) step() {
	g := w.s.queue.take(w.s.keys, w.s.now())
	if len(g.requests) == 0 {
		return
	}
	began := time.Now()
	w.again = 0
	w.run(g)
	w.s.queue.expect(len(g.requests)-w.again, time.Since(began))
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
	w.again = len(again)
	w.s.queue.back(again)
}
