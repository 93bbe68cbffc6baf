package bolt

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	bolt "go.etcd.io/bbolt"

	"github.com/vigate/vigate/internal/store"
)

const (
	// maxGroup bounds how long the first write of a group waits for the others.
	maxGroup = 1024
	// releaseEvery is the number of changes after which the map is released, see release.
	releaseEvery = 1 << 16
)

// errAborted: a part of a group failed after it had begun to write. The whole group is then rolled
// back, and its parts are tried one by one.
var errAborted = errors.New("write aborted")

// request is one write in the writer's queue.
type request struct {
	// run evaluates the request in a transaction. It writes only if the request will succeed. It
	// may run again after the transaction was rolled back.
	run   func(*group) error
	state atomic.Int32 // waiting; then taken by the writer, or givenUp by the caller
	err   error        // valid once done is closed
	done  chan struct{}
}

const (
	waiting int32 = iota
	taken
	givenUp
)

// writer is the queue of the writing goroutine.
type writer struct {
	mu     sync.Mutex // guards the fields below
	wake   *sync.Cond // the queue grew, or closed
	queue  []*request
	closed bool

	// Only the writing goroutine uses these.
	last    int   // size of the last group
	changes int   // since the map was released
	broken  error // why no write is possible until the file is opened again
}

func (w *writer) init() { w.wake = sync.NewCond(&w.mu) }

func (w *writer) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	w.wake.Signal()
}

// submit hands a write to the writer and waits for its outcome. If the caller's context ends first,
// either submit withdraws the request before the writer takes it, and nothing is written, or it
// waits for the outcome.
func (s *Store) submit(ctx context.Context, run func(*group) error) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	r := &request{run: run, done: make(chan struct{})}
	if !s.writer.add(r) {
		return store.ErrClosed
	}
	select {
	case <-r.done:
	case <-ctx.Done():
		if r.state.CompareAndSwap(waiting, givenUp) {
			return ctx.Err()
		}
		<-r.done
	}
	return r.err
}

func (w *writer) add(r *request) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return false
	}
	w.queue = append(w.queue, r)
	w.wake.Signal()
	return true
}

// take waits for requests. It returns none once the writer is closed and no request is left.
func (w *writer) take() []*request {
	w.mu.Lock()
	for len(w.queue) == 0 && !w.closed {
		w.wake.Wait()
	}
	// The callers that the last group has answered are likely to write again at once. Let them
	// queue as long as more come. Otherwise two halves of the callers would take turns.
	for n := 0; w.last > 1 && n < len(w.queue) && len(w.queue) < w.last; {
		n = len(w.queue)
		w.mu.Unlock()
		runtime.Gosched()
		w.mu.Lock()
	}
	n := min(len(w.queue), maxGroup)
	requests := w.queue[:n:n]
	if w.queue = w.queue[n:]; len(w.queue) == 0 {
		w.queue = nil
	}
	w.last = n
	w.mu.Unlock()

	live := make([]*request, 0, n)
	for _, r := range requests {
		if r.state.CompareAndSwap(waiting, taken) {
			live = append(live, r)
		}
	}
	if n > 0 && len(live) == 0 {
		return w.take()
	}
	return live
}

// write is the loop of the writing goroutine.
func (s *Store) write() {
	defer close(s.stopped)
	for {
		requests := s.writer.take()
		if len(requests) == 0 {
			return
		}
		err := s.attempt(requests)
		if len(requests) > 1 && errors.Is(err, errAborted) {
			for _, r := range requests {
				r.answer(s.attempt([]*request{r}))
			}
			continue
		}
		for _, r := range requests {
			r.answer(err)
		}
	}
}

// answer ends the request. An error of the whole transaction overrides the request's own result,
// which depends on writes that did not happen.
func (r *request) answer(err error) {
	if err != nil && !errors.Is(err, errAborted) || r.err == nil {
		r.err = err
	}
	close(r.done)
}

// attempt runs the requests in one transaction, and returns once it is durable and published. An
// error means that none of them was written.
func (s *Store) attempt(requests []*request) error {
	if err := s.writer.broken; err != nil {
		return err
	}
	var g *group
	start, began := s.now(), false
	err := guard(s.path, func() error {
		tx, err := s.db.Begin(true)
		if err != nil {
			return beginError(err)
		}
		defer tx.Rollback() // unless it was committed
		if g, err = s.newGroup(tx); err != nil {
			return err
		}
		for _, r := range requests {
			g.writing = false
			if r.err = g.guarded(r.run); r.err != nil && g.writing {
				return errAborted
			}
		}
		if len(g.deltas) == 0 {
			return nil
		}
		if err := putNumber(tx, revisionKey, uint64(g.revision)); err != nil {
			return err
		}
		began = true
		return tx.Commit()
	})
	if began {
		s.observe(len(requests), s.now().Sub(start), err)
	}
	if began && err != nil {
		return s.failed(g.revision, err)
	}
	if err != nil || !began {
		return err
	}
	s.hub.publish(store.Batch{Revision: g.revision, Deltas: g.deltas})
	if s.writer.changes += len(g.deltas); s.writer.changes >= releaseEvery {
		s.writer.changes = 0
		s.release()
	}
	return nil
}

// failed finds out what happened to a transaction that could not be committed.
//
// A transaction exists once its last page, the meta page, is written. If it was not, there is
// nothing to undo but in memory, and bbolt has done that. The most likely cause is a full disk. But
// if the new revision can be read, the meta page was written and not synced. It is then unknown
// whether the page is on the disk, and after a failed fsync a second fsync does not show it. So
// nothing is written until the file has been opened again.
func (s *Store) failed(rev store.Revision, cause error) error {
	var got store.Revision
	err := s.view(func(tx *bolt.Tx) (err error) {
		got, err = newest(tx)
		return err
	})
	if err == nil && got < rev {
		var damage *store.DamagedError
		if errors.As(cause, &damage) {
			return fmt.Errorf("%w: %w", errAborted, cause)
		}
		s.logger.Error("store can't be written", "file", s.path, "err", cause)
		return fmt.Errorf("commit: %w: %w", store.ErrUnavailable, cause)
	}
	s.writer.broken = fmt.Errorf("%w: the file must be opened again after: %w", store.ErrUnavailable, cause)
	s.logger.Error("store is read-only until the server is restarted", "file", s.path, "err", cause)
	return fmt.Errorf("commit: %w: %w", store.ErrUncertain, cause)
}
