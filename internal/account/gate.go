package account

import (
	"context"
	"sync"
	"time"
)

// gate bounds the hashes computed at once; some more wait for their turn, for a
// short while. A hash takes all of a core and 19 MiB: without a bound strangers
// could have all of the machine.
//
// Those who wait take turns by the network that they come from, and within it by
// name, so that a flood from one network delays that network only, whatever names
// it makes up. Callers that are Behind have a turn only when nobody else waits.
// When the queue is full, a newcomer takes the latest place of those who are
// Behind, or of the network that has most.
//
// While there is much other work hashing keeps to a quarter of the machine: to
// half of its cores, half of the time. A hash can't be interrupted by anything
// but the scheduler, which lets it run for 10 ms, an age for a read: it is not
// enough to let them compete.
type gate struct {
	cores    int // hashes at once
	limit    int // who wait at most
	patience time.Duration

	mu      sync.Mutex // guards what follows
	running int        // those that rest included
	front   queue
	behind  queue  // callers that are Behind
	hashes  uint64 // asked for since the start
	refused uint64 // of them
	others  pressure
}

func newGate(cores, queue int, patience time.Duration, p pressure) *gate {
	if p.now == nil {
		p.now = time.Now
	}
	return &gate{cores: cores, limit: queue, patience: patience, others: p}
}

// enter returns when it is the caller's turn to hash for the name; the caller
// must leave. ErrBusy if too many wait already or the turn doesn't come in time.
func (g *gate) enter(ctx context.Context, from Caller, name string) (leave func(), _ error) {
	p, err := g.join(from, name)
	if p != nil {
		err = g.wait(ctx, p)
	}
	if err != nil {
		return nil, err
	}
	began := g.others.now()
	return func() { g.leave(g.others.now().Sub(began)) }, nil
}

func (g *gate) wait(ctx context.Context, p *place) error {
	late := time.NewTimer(g.patience)
	defer late.Stop()
	select {
	case err := <-p.outcome:
		return err
	case <-late.C:
		return g.giveUp(p, ErrBusy)
	case <-ctx.Done():
		return g.giveUp(p, ctx.Err())
	}
}

// waiting is how many wait. Callers hold mu.
func (g *gate) waiting() int { return g.front.waiting + g.behind.waiting }

// join enters at once, or refuses, or returns the caller's place in the queue.
func (g *gate) join(from Caller, name string) (*place, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.hashes++
	if g.waiting() == 0 && g.running < g.slots() {
		g.running++
		return nil, nil
	}
	if g.waiting() >= g.limit && !g.makeRoom(from, name) {
		g.refused++
		return nil, ErrBusy
	}
	q := &g.front
	if from.Behind {
		q = &g.behind
	}
	return q.add(from.Network, name), nil
}

// makeRoom refuses another who waits, if the newcomer has more right to a place.
// Callers hold mu.
func (g *gate) makeRoom(from Caller, name string) bool {
	var loser *place
	switch {
	case from.Behind:
		loser = g.behind.loser(from.Network, name)
	case g.behind.waiting > 0:
		loser = g.behind.largest().largest().last()
	default:
		loser = g.front.loser(from.Network, name)
	}
	if loser == nil {
		return false
	}
	loser.remove()
	g.refused++
	loser.outcome <- ErrBusy
	return true
}

// giveUp leaves the queue because of err; if it was the caller's turn in the
// same instant, it is passed on.
func (g *gate) giveUp(p *place, err error) error {
	g.mu.Lock()
	waited := p.remove()
	if waited && err == ErrBusy {
		g.refused++
	}
	g.mu.Unlock()
	if !waited && <-p.outcome == nil {
		g.next()
	}
	return err
}

// leave ends a hash that took so long.
func (g *gate) leave(took time.Duration) {
	g.mu.Lock()
	rest := g.others.high(g.hashes, g.refused)
	g.mu.Unlock()
	if rest {
		time.AfterFunc(took, g.next)
		return
	}
	g.next()
}

// next gives a turn that is over to whose it is next.
func (g *gate) next() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.running--
	for slots := g.slots(); g.waiting() > 0 && g.running < slots; {
		p := g.front.take()
		if p == nil {
			p = g.behind.take()
		}
		g.running++
		p.outcome <- nil
	}
}

// slots is how many may hash at once now. Callers hold mu.
func (g *gate) slots() int {
	if g.others.high(g.hashes, g.refused) {
		return max(1, g.cores/2)
	}
	return g.cores
}

// Load is how much hashing goes on.
type Load struct {
	Running, Waiting int // who rests after a hash counts as running
	// Slots is how many may run now, and Queue how many may wait.
	Slots, Queue int
	// Hashes is how many were asked for since the start, Refused how many of
	// them were refused for want of a turn.
	Hashes, Refused uint64
}

// Load tells how much hashing goes on.
func (m *Manager) Load() Load {
	g := m.gate
	g.mu.Lock()
	defer g.mu.Unlock()
	return Load{
		Running: g.running, Waiting: g.waiting(), Slots: g.slots(), Queue: g.limit,
		Hashes: g.hashes, Refused: g.refused,
	}
}
