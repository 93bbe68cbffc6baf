// Package turns bounds the work that strangers can ask for at the same time, such as questions to a
// directory. There is a bound on all work at once, and a smaller one for each network. So the callers of
// one network, however many they are, leave turns to those of others.
//
// [Turns.Enter] waits for a turn. It knows nothing about the work. For work of this process alone, whose
// turns are short, see budget.Turns.
package turns

import (
	"context"
	"sync"
	"time"

	"github.com/vigate/vigate/internal/login"
)

// Limits are the bounds of Turns.
type Limits struct {
	All    int // work at once
	Each   int // work at once of one network
	Behind int // work at once of all networks that are locked; 0: no locked network may have a turn
	// Callers is how many callers of one network may work or wait. 0: any number.
	Callers int
	// Patience is how long a caller waits for its turn.
	Patience time.Duration
}

// Turns lets a limited number of callers work at once. It is safe for concurrent use.
type Turns struct {
	limits Limits
	all    chan struct{} // has one element for each caller that works
	behind chan struct{} // has one element for each turn of a locked network

	mu       sync.Mutex // guards what follows
	networks map[string]*network
}

// network is a network whose callers work or wait.
type network struct {
	places  chan struct{} // has one element for each caller that works
	callers int
}

// New returns turns with the limits.
func New(l Limits) *Turns {
	return &Turns{
		limits: l, all: make(chan struct{}, l.All), behind: make(chan struct{}, l.Behind),
		networks: map[string]*network{},
	}
}

// Enter waits for a turn, which leave ends. behind is set if the caller's network is locked. The error is
// login.ErrBusy or ctx's.
func (t *Turns) Enter(ctx context.Context, from string, behind bool) (leave func(), _ error) {
	n := t.join(from)
	if n == nil {
		return nil, login.ErrBusy
	}
	// The network's own place comes first, so that its callers wait without a place that others need.
	waits := []chan struct{}{n.places, t.all}
	if behind {
		waits = []chan struct{}{n.places, t.behind, t.all}
	}
	var held []chan struct{}
	leave = func() {
		for _, places := range held {
			<-places
		}
		t.leave(from, n)
	}
	patience, cancel := context.WithTimeout(ctx, t.limits.Patience)
	defer cancel()
	for _, places := range waits {
		select {
		case places <- struct{}{}:
			held = append(held, places)
			continue
		case <-patience.Done():
		}
		leave()
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		return nil, login.ErrBusy
	}
	return leave, nil
}

// join counts a caller of the network. It returns nil if there are too many.
func (t *Turns) join(from string) *network {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.networks[from]
	if n == nil {
		n = &network{places: make(chan struct{}, t.limits.Each)}
		t.networks[from] = n
	}
	if t.limits.Callers > 0 && n.callers >= t.limits.Callers {
		return nil
	}
	n.callers++
	return n
}

// leave is the opposite of join.
func (t *Turns) leave(from string, n *network) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n.callers--; n.callers == 0 {
		delete(t.networks, from)
	}
}
