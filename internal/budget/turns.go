package budget

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
)

// Limits of the queues. A caller may choose a limit of its own for its principal.
const (
	maxWaiting = 4096 // of all principals
	// MaxWaitingEach is the usual limit of one principal.
	MaxWaitingEach = 64
)

// Turns lets a limited number of long requests run at a time. The others wait. The principals take
// turns, so a principal with many requests delays only itself. All methods are safe for concurrent
// use.
type Turns struct {
	slots   int
	waiting atomic.Int64 // number of places in all queues

	mu      sync.Mutex // guards the fields below
	running int
	queues  map[string][]*place // by principal; no queue is empty
	order   []string            // the keys of queues; the first one is served next
}

// place is a request that waits. The channel is closed when the request gets its turn.
type place struct{ turn chan struct{} }

// NewTurns returns Turns with the given number of slots: so many requests may run at a time.
func NewTurns(slots int) *Turns {
	return &Turns{slots: slots, queues: map[string][]*place{}}
}

// Contended reports whether a request waits for its turn.
func (t *Turns) Contended() bool { return t.waiting.Load() > 0 }

// Acquire waits until the principal gets a turn. The caller must end the turn with Release.
//
// The error is ErrBusy if too many requests wait, in all or limit of the principal's, or the error
// of ctx.
func (t *Turns) Acquire(ctx context.Context, principal string, limit int) error {
	p, err := t.join(principal, limit)
	if p == nil {
		return err
	}
	select {
	case <-p.turn:
		return nil
	case <-ctx.Done():
	}
	if !t.giveUp(principal, p) {
		t.Release() // it got the turn at the same moment
	}
	return ctx.Err()
}

// join adds the request to the principal's queue and returns its place. It returns nil if the
// request has its turn at once, or with an error.
func (t *Turns) join(principal string, limit int) (*place, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.running < t.slots && len(t.order) == 0 {
		t.running++
		return nil, nil
	}
	q := t.queues[principal]
	if len(q) >= limit || t.waiting.Load() >= maxWaiting {
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

// giveUp removes the place from its queue. It returns false if the place already has its turn.
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

// remove removes a place from its queue. The caller must hold mu.
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

// Release ends a turn and gives it to the next principal that waits.
func (t *Turns) Release() {
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

// Load returns the number of requests that have a turn and that wait for one.
func (t *Turns) Load() (running, waiting int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.running, int(t.waiting.Load())
}
