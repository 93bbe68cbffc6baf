package account

import (
	"context"
	"sync"
	"time"
)

// gate limits the number of hashes that are computed at once. A limited number of callers waits for
// a short while. A hash uses a whole core and 19 MiB, so without a limit unauthenticated clients
// could take the whole machine.
//
// Waiting callers are served in turn by the network that they come from, and within a network by
// name. So a flood of logins from one network delays only that network, whatever names it uses.
// Callers that are Behind are served only if nobody else waits. If the queue is full, a newcomer
// replaces the latest waiting caller that is Behind, or the latest of the network that has the most
// waiting callers.
//
// While the server has much other work, hashing is limited to a quarter of the machine: to half of
// its cores for half of the time. Competing for processor time is not enough, because only the
// scheduler interrupts a hash, after 10 ms, which is very long for a read.
type gate struct {
	cores    int // hashes at once at most
	limit    int // waiting callers at most
	patience time.Duration

	mu      sync.Mutex // guards what follows
	running int        // running hashes, including those that rest afterwards
	front   queue
	behind  queue  // callers that are Behind
	hashes  uint64 // requested since the start
	refused uint64 // hashes refused since the start
	others  pressure
}

func newGate(cores, queue int, patience time.Duration, p pressure) *gate {
	if p.now == nil {
		p.now = time.Now
	}
	return &gate{cores: cores, limit: queue, patience: patience, others: p}
}

// enter waits until the caller may hash for the name. The caller must call leave afterwards. It
// returns ErrBusy if too many callers wait already or the turn doesn't come in time.
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

// waiting returns the number of waiting callers. Callers hold mu.
func (g *gate) waiting() int { return g.front.waiting + g.behind.waiting }

// join lets the caller in at once, refuses it, or returns its place in the queue.
func (g *gate) join(from Caller, name string) (*place, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.hashes++
	if g.waiting() == 0 && g.running < g.slots() {
		g.running++
		return nil, nil
	}
	if g.waiting() >= g.limit && !g.evict(from, name) {
		g.refused++
		return nil, ErrBusy
	}
	q := &g.front
	if from.Behind {
		q = &g.behind
	}
	return q.add(from.Network, name), nil
}

// evict refuses a waiting caller in favour of the newcomer, if the newcomer has more right to a
// place. It reports whether it did. Callers hold mu.
func (g *gate) evict(from Caller, name string) bool {
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

// giveUp removes the caller from the queue and returns err. If its turn came at the same time, the
// turn is passed on.
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

// leave ends a hash that has taken the given time.
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

// next passes on a turn that is over.
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

// slots returns how many hashes may run at once now. Callers hold mu.
func (g *gate) slots() int {
	if g.others.high(g.hashes, g.refused) {
		return max(1, g.cores/2)
	}
	return g.cores
}

// Load is the current load of password hashing.
type Load struct {
	Running, Waiting int // a caller that rests after its hash counts as running
	// Slots is how many hashes may run now. Queue is how many callers may wait.
	Slots, Queue int
	// Hashes is how many hashes were requested since the start. Refused is how many of them did not
	// get a turn.
	Hashes, Refused uint64
}

// Load returns the current load of password hashing.
func (m *Manager) Load() Load {
	g := m.gate
	g.mu.Lock()
	defer g.mu.Unlock()
	return Load{
		Running: g.running, Waiting: g.waiting(), Slots: g.slots(), Queue: g.limit,
		Hashes: g.hashes, Refused: g.refused,
	}
}
