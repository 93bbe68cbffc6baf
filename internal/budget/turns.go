package budget

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
)

// Bounds of who waits for a turn.
const (
	maxWaiting     = 4096 // in all
	maxWaitingEach = 64   // of one principal
)

// Turns lets a few requests that take long work at a time. The others wait.
// Principals take turns, so that one with many requests keeps nobody waiting
// but itself. All methods may be called at the same time.
type Turns struct {
	slots   int
	waiting atomic.Int64 // the places in queues

	mu      sync.Mutex // guards what follows
	running int
	queues  map[string][]*place // by principal; none is empty
	order   []string            // the keys of queues; the first is served next
}

// place is a request that waits.
type place struct{ turn chan struct{} } // closed when it has the turn

// NewTurns makes turns of which so many can be had at a time.
func NewTurns(slots int) *Turns {
	return &Turns{slots: slots, queues: map[string][]*place{}}
}

// Contended reports whether somebody waits for a turn.
func (t *Turns) Contended() bool { return t.waiting.Load() > 0 }

// Enter returns when the principal has a turn, which Leave ends.
//
// Errors: ErrBusy if too many wait, and the context's.
func (t *Turns) Enter(ctx context.Context, principal string) error {
	p, err := t.join(principal)
	if p == nil {
		return err
	}
	select {
	case <-p.turn:
		return nil
	case <-ctx.Done():
	}
	if !t.giveUp(principal, p) {
		t.Leave() // it had the turn in the same instant
	}
	return ctx.Err()
}

// join returns a place to wait at, or nil if the caller has the turn or an
// error.
func (t *Turns) join(principal string) (*place, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.running < t.slots && len(t.order) == 0 {
		t.running++
		return nil, nil
	}
	q := t.queues[principal]
	if len(q) >= maxWaitingEach || t.waiting.Load() >= maxWaiting {
		return nil, ErrBusy
	}
	if len(q) == 0 {
		t.order = append(t.order, principal)
	}
	p := &place{turn: make(chan struct{})}
	t.queues[principal] = append(q, p)
	t.waiting.Add(1)
	return p, nil
}

// giveUp leaves the queue. It reports false if the place has the turn already.
func (t *Turns) giveUp(principal string, p *place) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := slices.Index(t.queues[principal], p)
	if i < 0 {
		return false
	}
	t.remove(principal, i)
	return true
}

// remove takes a place out of its queue. Callers hold mu.
func (t *Turns) remove(principal string, i int) {
	t.waiting.Add(-1)
	q := slices.Delete(t.queues[principal], i, i+1)
	if len(q) > 0 {
		t.queues[principal] = q
		return
	}
	delete(t.queues, principal)
	t.order = slices.DeleteFunc(t.order, func(k string) bool { return k == principal })
}

// Leave ends a turn and gives it to the next principal that waits.
func (t *Turns) Leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.order) == 0 {
		t.running--
		return
	}
	next := t.order[0]
	p := t.queues[next][0]
	if t.remove(next, 0); len(t.queues[next]) > 0 {
		t.order = append(t.order[1:], next)
	}
	close(p.turn)
}

// Load is how many requests have a turn and how many wait for one.
func (t *Turns) Load() (running, waiting int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.running, int(t.waiting.Load())
}
