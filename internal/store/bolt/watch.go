package bolt

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/vigate/vigate/internal/store"
)

// maxLag is how many bytes a watcher may be behind. A watcher that is further behind gets the whole
// state again. So commits never wait for watchers, and watchers never need unbounded memory.
const maxLag = 64 << 20

// deltaSize is the approximate size of a delta without its id and value.
const deltaSize = 100

// errLagging ends a stream whose watcher is too far behind.
var errLagging = errors.New("watcher is too far behind")

// hub passes published commits on to the running watches.
type hub struct {
	lag int

	mu     sync.Mutex // guards the fields below
	newest store.Revision
	queues map[*queue]bool
	closed bool
}

// queue holds the batches that one watch has not delivered yet.
type queue struct {
	since store.Revision // the newest when the queue began
	wake  chan struct{}  // holds one signal that something has changed

	// Guarded by the hub's mu.
	batches []store.Batch // values shared with other queues
	bytes   int
	lagging bool
}

func (h *hub) init(newest store.Revision, lag int) {
	h.newest, h.lag, h.queues = newest, lag, map[*queue]bool{}
}

func (h *hub) revision() store.Revision {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.newest
}

func (h *hub) publish(b store.Batch) {
	size := 0
	for _, d := range b.Deltas {
		size += deltaSize + len(d.Record.ID) + len(d.Record.Value)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.newest = b.Revision
	for q := range h.queues {
		q.add(b, size, h.lag)
	}
}

// add appends a batch. An empty queue accepts a batch of any size.
func (q *queue) add(b store.Batch, size, lag int) {
	if q.lagging {
		return
	}
	if len(q.batches) > 0 && q.bytes+size > lag {
		q.lagging, q.batches = true, nil
	} else {
		q.batches = append(q.batches, b)
		q.bytes += size
	}
	q.signal()
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

func (h *hub) subscribe() *queue {
	h.mu.Lock()
	defer h.mu.Unlock()
	q := &queue{since: h.newest, wake: make(chan struct{}, 1)}
	h.queues[q] = true
	return q
}

func (h *hub) unsubscribe(q *queue) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.queues, q)
}

func (h *hub) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for q := range h.queues {
		q.signal()
	}
}

// take empties the queue and returns its batches.
func (h *hub) take(q *queue) ([]store.Batch, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.closed:
		return nil, store.ErrClosed
	case q.lagging:
		return nil, errLagging
	}
	batches := q.batches
	q.batches, q.bytes = nil, 0
	return batches, nil
}

// wait returns the next batches. It waits until there is at least one.
func (h *hub) wait(ctx context.Context, q *queue) ([]store.Batch, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		batches, err := h.take(q)
		if err != nil || len(batches) > 0 {
			return batches, err
		}
		select {
		case <-q.wake:
		case <-ctx.Done():
		}
	}
}

// Watch implements store.Store.
func (s *Store) Watch(ctx context.Context, apply func(store.Batch) error) error {
	for {
		if err := s.ready(ctx); err != nil {
			return err
		}
		if err := s.stream(ctx, apply); !errors.Is(err, errLagging) {
			return err
		}
		s.logger.Warn("watcher of the store is too far behind: reading the whole state again", "file", s.path)
	}
}

// stream does the work of Watch until the watcher lags.
//
// It reads the state piece by piece, each in a transaction of its own, so that a slow reader delays
// no commit. Pieces of different instants become one state as follows. The queue has every commit
// after q.since, so the pieces leave out records that were written later. The state is whole once
// the commits up to the instant of the last piece were applied too. So the watcher sees each record
// and each commit once.
func (s *Store) stream(ctx context.Context, apply func(store.Batch) error) error {
	q := s.hub.subscribe()
	defer s.hub.unsubscribe(q)
	upTo, err := s.load(ctx, q, apply)
	if err != nil {
		return err
	}
	whole := upTo <= q.since
	for {
		batches, err := s.hub.wait(ctx, q)
		if err != nil {
			return err
		}
		for _, b := range batches {
			if err := s.ready(ctx); err != nil {
				return err
			}
			b.Deltas = copies(b.Deltas)
			b.Whole = !whole && b.Revision >= upTo
			whole = whole || b.Whole
			if err := apply(b); err != nil {
				return err
			}
		}
	}
}

func copies(deltas []store.Delta) []store.Delta {
	deltas = slices.Clone(deltas)
	for i := range deltas {
		deltas[i].Record.Value = bytes.Clone(deltas[i].Record.Value)
	}
	return deltas
}
