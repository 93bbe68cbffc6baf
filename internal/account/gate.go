package account

import (
	"context"
	"slices"
	"sync"
	"time"
)

// gate bounds the hashes computed at once; some more wait for their turn, for a
// short while. A hash takes all of a core and 19 MiB: without a bound strangers
// could have all of the machine.
//
// Those who wait take turns by who they are, so that one who floods the gate
// stands in its own way only; when the queue is full, who has most in it loses
// its latest.
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
	waiting int
	queues  map[string][]*place // who waits, by who it is; none is empty
	turns   []string            // the keys of queues, whose turn is next first
	hashes  uint64              // asked for since the start
	refused uint64              // of them
	others  pressure
}

// place is one who waits.
type place struct {
	outcome chan error // buffered: nil when it is its turn, or ErrBusy
}

func newGate(cores, queue int, patience time.Duration, p pressure) *gate {
	if p.now == nil {
		p.now = time.Now
	}
	return &gate{cores: cores, limit: queue, patience: patience, others: p, queues: map[string][]*place{}}
}

// enter returns when it is the caller's turn; the caller must leave. who is the
// caller as far as turns go. ErrBusy where too many wait already or the turn
// doesn't come in time.
func (g *gate) enter(ctx context.Context, who string) (leave func(), _ error) {
	p, err := g.join(who)
	if p != nil {
		err = g.wait(ctx, who, p)
	}
	if err != nil {
		return nil, err
	}
	began := g.others.now()
	return func() { g.leave(g.others.now().Sub(began)) }, nil
}

func (g *gate) wait(ctx context.Context, who string, p *place) error {
	late := time.NewTimer(g.patience)
	defer late.Stop()
	select {
	case err := <-p.outcome:
		return err
	case <-late.C:
		return g.giveUp(who, p, ErrBusy)
	case <-ctx.Done():
		return g.giveUp(who, p, ctx.Err())
	}
}

// join enters at once, or refuses, or returns the caller's place in the queue.
func (g *gate) join(who string) (*place, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.hashes++
	if g.waiting == 0 && g.running < g.slots() {
		g.running++
		return nil, nil
	}
	if g.waiting >= g.limit && !g.makeRoom(who) {
		g.refused++
		return nil, ErrBusy
	}
	p := &place{outcome: make(chan error, 1)}
	if len(g.queues[who]) == 0 {
		g.turns = append(g.turns, who)
	}
	g.queues[who] = append(g.queues[who], p)
	g.waiting++
	return p, nil
}

// makeRoom refuses the latest of those who have most places in a full queue,
// unless that is who asks. Callers hold mu.
func (g *gate) makeRoom(who string) bool {
	most := who
	for k, q := range g.queues {
		if len(q) > len(g.queues[most])+1 {
			most = k
		}
	}
	if most == who {
		return false
	}
	q := g.queues[most]
	last := q[len(q)-1]
	g.remove(most, last)
	g.refused++
	last.outcome <- ErrBusy
	return true
}

// remove takes a place out of its queue. Callers hold mu.
func (g *gate) remove(who string, p *place) bool {
	q := g.queues[who]
	i := slices.Index(q, p)
	if i < 0 {
		return false
	}
	g.waiting--
	if q = slices.Delete(q, i, i+1); len(q) > 0 {
		g.queues[who] = q
		return true
	}
	delete(g.queues, who)
	g.turns = slices.DeleteFunc(g.turns, func(k string) bool { return k == who })
	return true
}

// giveUp leaves the queue because of err; if it was the caller's turn in the
// same instant, it is passed on.
func (g *gate) giveUp(who string, p *place, err error) error {
	g.mu.Lock()
	waited := g.remove(who, p)
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
	for slots := g.slots(); g.waiting > 0 && g.running < slots; {
		who := g.turns[0]
		p := g.queues[who][0]
		if g.remove(who, p); len(g.queues[who]) > 0 {
			g.turns = append(g.turns[1:], who)
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
		Running: g.running, Waiting: g.waiting, Slots: g.slots(), Queue: g.limit,
		Hashes: g.hashes, Refused: g.refused,
	}
}

const (
	// pressureEvery is how often the other work is looked at: longer than a
	// hash, or its turns would hide what it keeps from running. A look that is
	// older than pressureStale tells nothing.
	pressureEvery = 100 * time.Millisecond
	pressureStale = 2 * time.Second
	// Up to quietRate other requests a second, and those that come with a
	// login (a look at the server before it, a call or two, the logout), are
	// no reason to hash less: they are served soon enough beside it, and those
	// who wait to log in would wait twice as long.
	quietRate = 20
	perLogin  = 4
)

// pressure tells whether there is much other work than hashing, by the requests
// that come in.
type pressure struct {
	requests func() uint64 // all since the start, those that hash among them; nil: not known
	now      func() time.Time

	looked time.Time
	last   counts // when it looked
	was    bool
}

// counts are of requests since the start.
type counts struct{ all, hashing, refused uint64 }

// high is asked with the hashes asked for and refused since the start.
func (p *pressure) high(hashing, refused uint64) bool {
	if p.requests == nil {
		return false
	}
	now := p.now()
	d := now.Sub(p.looked)
	if d < pressureEvery {
		return p.was
	}
	c := counts{p.requests(), hashing, refused}
	// As floats, since a request is counted before its hash is asked for.
	others := float64(c.all-p.last.all) - float64(c.hashing-p.last.hashing)
	logins := float64(c.hashing-p.last.hashing) - float64(c.refused-p.last.refused)
	p.was = d < pressureStale && others > quietRate*d.Seconds()+perLogin*logins
	p.looked, p.last = now, c
	return p.was
}
