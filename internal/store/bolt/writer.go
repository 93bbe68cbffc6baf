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
	// maxGroup bounds how long the first of a group waits for the others' work.
	maxGroup = 1024
	// releaseEvery is after how many changes the map is released, see release.
	releaseEvery = 1 << 16
)

// errAborted: a part of a group failed after it had begun to write. The group
// is then undone and its parts are tried one by one.
var errAborted = errors.New("write aborted")

// request is one write that waits for the writer.
type request struct {
	// run evaluates the request in a transaction, and writes only if it will
	// succeed. It may be run again after the transaction was undone.
	run   func(*group) error
	state atomic.Int32 // waiting, then taken by the writer or given up by the caller
	err   error        // once done is closed
	done  chan struct{}
}

const (
	waiting int32 = iota
	taken
	givenUp
)

// writer is the queue before the writing goroutine.
type writer struct {
	mu     sync.Mutex // guards what follows
	wake   *sync.Cond // the queue grew, or closed
	queue  []*request
	closed bool

	// The writing goroutine's own.
	last    int   // size of the last group
	changes int   // since the map was released
	broken  error // why nothing can be written until the file is opened anew
}

func (w *writer) init() { w.wake = sync.NewCond(&w.mu) }

func (w *writer) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	w.wake.Signal()
}

// submit hands a write to the writer and waits for its outcome. A caller whose
// context ends first has nothing written: either it gives the request up before
// the writer takes it, or it waits for what becomes of it.
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

// take waits for requests. It returns none when the writer is closed and all
// is done.
func (w *writer) take() []*request {
	w.mu.Lock()
	for len(w.queue) == 0 && !w.closed {
		w.wake.Wait()
	}
	// Those that the last group answered are about to ask again: let them, as
	// long as more come, or groups of half the callers would take turns.
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

// write is the writing goroutine.
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

// answer ends the request. err is the whole transaction's and counts for more
// than the request's own, which rests on what was not written.
func (r *request) answer(err error) {
	if err != nil && !errors.Is(err, errAborted) || r.err == nil {
		r.err = err
	}
	close(r.done)
}

// attempt runs the requests in one transaction, and returns after it is durable
// and published. An error means that none of them was written.
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

// failed finds out what became of a transaction that could not be committed.
//
// Until its last page, the meta page, is written, the transaction does not
// exist, and there is nothing to undo but in memory, which bbolt has done: the
// disk was full, most likely. If the revision can be read, then the meta page
// was written but not synced. Whether it is on the disk can't be known, and
// after a failed fsync not be found out by trying again, so nothing is written
// until the file has been opened anew.
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
		s.log.Error("store can't be written", "file", s.path, "error", cause)
		return fmt.Errorf("commit: %w: %w", store.ErrUnavailable, cause)
	}
	s.writer.broken = fmt.Errorf("%w: the file must be opened anew after: %w", store.ErrUnavailable, cause)
	s.log.Error("store is read-only until it is opened anew", "file", s.path, "error", cause)
	return fmt.Errorf("commit: %w: %w", store.ErrUncertain, cause)
}
