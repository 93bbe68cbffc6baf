package etcd

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/store/etcd/layout"
)

// request is one call of Commit. It belongs to the writer once it is out of the queue.
type request struct {
	ctx     context.Context
	changes []store.Change
	until   time.Time // when it is given up
	tries   int
	// found is the revision of the record of each change, 0 for none, when its condition held. It
	// is empty before the records are read.
	found []int64
	alone bool // must not share a transaction
	done  chan result
}

type result struct {
	rev store.Revision
	err error
}

// answer ends the request. It does not block.
func (r *request) answer(rev store.Revision, err error) { r.done <- result{rev, err} }

const (
	// maxGather bounds how long a commit waits for others to share its transaction.
	maxGather = 20 * time.Millisecond
	// enough requests fill a transaction if each writes two records, as a login does.
	enough = flatOps / 2
)

// queue holds the requests that wait for the writer.
type queue struct {
	wake   chan struct{} // holds a token while there may be requests
	filled chan struct{} // holds a token when as many requests as expected have come

	mu      sync.Mutex // guards the following
	waiting []*request
	closed  bool
	// expected is how many requests will probably wait before the time until, see expect.
	expected int
	until    time.Time
}

func (q *queue) init() {
	q.wake, q.filled = make(chan struct{}, 1), make(chan struct{}, 1)
}

// signal puts a token into the channel, unless it holds one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// add appends the request. It returns false if the queue is closed. The caller must make sure that
// the writer runs.
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

// withdraw removes the request. It returns false if the writer has it.
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
func (q *queue) take(k layout.Keys, now time.Time) *batch {
	q.mu.Lock()
	defer q.mu.Unlock()
	b := newBatch(k, now)
	q.waiting = slices.DeleteFunc(q.waiting, b.join)
	return b
}

// back puts requests in front of all others.
func (q *queue) back(rs []*request) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting = append(slices.Clone(rs), q.waiting...)
}

// expect records that a transaction has ended that answered some requests and took some time. If
// it answered several, their callers will probably commit again soon: clients that wait for the
// server send the next request when they have the answer. A transaction is expensive for etcd, and
// one more commit in it is cheap. So the writer waits for them, but at most as long as the
// transaction took.
func (q *queue) expect(answered int, took time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.expected = 0
	if answered > 1 {
		q.expected = min(answered+len(q.waiting), enough)
	}
	q.until = time.Now().Add(min(took, maxGather))
}

// patience returns how long the writer should wait for more requests.
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
	signal(q.wake)
}

// drain closes the queue and removes all requests.
func (q *queue) drain() []*request {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	waiting := q.waiting
	q.waiting = nil
	return waiting
}
