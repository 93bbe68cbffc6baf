package login

import (
	"container/list"
	"context"
)

// guess is one attempt to log in, from before its credential is judged until it
// is decided: by wrong, right and succeeded, or giveBack.
//
// Until then it counts against the limits as a failure, for the guesses that
// began after it. A right one is taken only if that leaves fewer failures than
// would lock; where it does not, it waits until enough of the earlier ones are
// decided. So a right one after five wrong ones is refused, also where all six
// are judged at once and it is the first to be done; and any number of right
// ones at once are all taken.
//
// Only who has the right credential ever waits, so that waiting tells nobody what
// was counted of whom.
type guess struct {
	throttle *Throttle
	claim
	key     string // of the claim
	network string
	exists  bool // there is such a principal
	usual   bool // it has logged in from the network lately

	// refused: a lock was in force when it began. It does not count as a guess:
	// whatever it says, it is refused.
	refused bool
	// behind: the lock was the network's.
	behind bool

	turn    uint64
	flights []flight
	decided bool
}

// flight is where a guess counts while it is in flight.
type flight struct {
	id    string
	place *list.Element
}

// begin begins an attempt. It must be decided.
func (t *Throttle) begin(c claim, network string) *guess {
	g := &guess{throttle: t, claim: c, key: c.key(), network: network}
	g.exists = t.known(c.name) && g.key != ""
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.names.byKey[g.key]
	g.exists = g.exists || n != nil
	g.usual = n.visited(network, t.since())
	rules := t.rules(g)
	locks := t.locks(g, rules)
	g.behind = locks.network
	if g.refused = locks.any(g); g.refused {
		return g
	}
	t.turn++
	g.turn = t.turn
	for _, r := range rules {
		l := t.flights[r.id]
		if l == nil {
			l = list.New()
			t.flights[r.id] = l
		}
		g.flights = append(g.flights, flight{r.id, l.PushBack(g.turn)})
	}
	return g
}

// locks says which locks are in force.
type locks struct{ network, name, pair bool }

// any reports whether one of them holds for the guess.
func (l locks) any(g *guess) bool { return l.network || l.pair || l.name && !g.usual }

// locks returns the locks in force. Callers hold mu.
func (t *Throttle) locks(g *guess, rules []rule) (l locks) {
	now := t.since()
	for _, r := range rules {
		_, c := t.counter(g, r, false)
		switch r.kind {
		case byNetwork:
			l.network = c.locked(now)
		case byName:
			l.name = c.locked(now)
		case byPair:
			l.pair = c.locked(now)
		}
	}
	return l
}

// wrong decides that the credential is not good, counts that, and returns what
// it locked, in words.
//
// What a lock has refused is no guess and counts against the network only, and
// against its pair if that is what is locked: otherwise one client that goes on
// would lock the principal out from everywhere, and a locked network would have
// counters made for any name.
func (g *guess) wrong() []string {
	t := g.throttle
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.decide(g) {
		return nil
	}
	rules := t.rules(g)
	l := t.locks(g, rules)
	was := g.refused || l.any(g)
	var locked []string
	for _, r := range rules {
		switch {
		case r.Failures <= 0:
			continue // switched off
		case r.kind == byName && (was || l.name):
			continue
		case r.kind == byPair && was && (l.network || !l.pair):
			continue
		}
		in, c := t.counter(g, r, true)
		begins := false
		if in == nil {
			begins = c.fail(t.since(), r.Lockout)
		} else {
			begins = in.fail(c, t.since(), r.Lockout)
		}
		if begins {
			locked = append(locked, g.what(r.kind))
		}
	}
	return locked
}

// what says what a rule locks, for the event.
func (g *guess) what(k kind) string {
	switch k {
	case byNetwork:
		return "address " + g.network
	case byName:
		return g.text
	default:
		return g.text + " from " + g.network
	}
}

// right reports whether a credential that is good is taken. It may have to wait
// for that. A wrong credential costs a look at the store: right has look do that
// before it refuses or waits, so that the time does not tell that the credential
// is good. The error is look's or ctx's.
func (g *guess) right(ctx context.Context, look func(context.Context) error) (bool, error) {
	for looked := false; ; {
		taken, refused, decided := g.verdict()
		if taken {
			return true, nil
		}
		if !looked {
			looked = true
			if err := look(ctx); err != nil {
				if !refused {
					g.giveBack()
				}
				return false, err
			}
			continue
		}
		if refused {
			return false, nil
		}
		select {
		case <-decided:
		case <-ctx.Done():
			g.giveBack()
			return false, ctx.Err()
		}
	}
}

// verdict says whether a right credential is taken or refused. If neither, it is
// too early to tell until another guess is decided.
func (g *guess) verdict() (taken, refused bool, decided <-chan struct{}) {
	t := g.throttle
	t.mu.Lock()
	defer t.mu.Unlock()
	rules := t.rules(g)
	if g.refused = g.refused || t.locks(g, rules).any(g); g.refused {
		return false, true, nil
	}
	for _, r := range rules {
		if r.Failures <= 0 || r.kind == byName && g.usual {
			continue
		}
		_, c := t.counter(g, r, false)
		free := r.Failures - c.failures(t.since(), r.Lockout)
		if n := t.earlier(g, r.id, free); n > 0 && n >= free {
			if t.decided == nil {
				t.decided = make(chan struct{})
			}
			return false, false, t.decided
		}
	}
	return true, false, nil
}

// earlier is how many guesses in flight that count by the rule began before g, up
// to most or 1 if that is more. Callers hold mu.
func (t *Throttle) earlier(g *guess, id string, most int) int {
	l := t.flights[id]
	if l == nil {
		return 0
	}
	n := 0
	for e := l.Front(); e != nil && e.Value.(uint64) < g.turn && n < max(most, 1); e = e.Next() {
		n++
	}
	return n
}

// succeeded decides that the attempt has logged the principal in. It forgets the
// failures of the pair, but no lock in force.
func (g *guess) succeeded() {
	t := g.throttle
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.decide(g) || g.key == "" {
		return
	}
	now := t.since()
	n := t.names.make(g.key, now)
	n.visit(g.network, now)
	if c := n.pairs.find(g.network, true); c != nil && !c.locked(now) {
		n.pairs.drop(c)
	}
}

// giveBack decides that nothing was learned about the credential.
func (g *guess) giveBack() {
	g.throttle.mu.Lock()
	defer g.throttle.mu.Unlock()
	g.throttle.decide(g)
}

// decide takes a guess out of flight. It returns false where the guess was
// decided before. Callers hold mu.
func (t *Throttle) decide(g *guess) bool {
	if g.decided {
		return false
	}
	g.decided = true
	for _, f := range g.flights {
		l := t.flights[f.id]
		if l.Remove(f.place); l.Len() == 0 {
			delete(t.flights, f.id)
		}
	}
	if t.decided != nil {
		close(t.decided)
		t.decided = nil
	}
	return true
}
