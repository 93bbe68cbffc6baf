package login

import (
	"container/list"
	"context"
)

// guess is one attempt to log in. It begins before its credential is verified, and is then decided by
// one of wrong, succeeded (after right) and giveBack.
//
// While a guess is undecided, it counts as a failure for the guesses that began after it. A guess with
// the right credential is accepted if these failures don't reach the limit. Otherwise it waits until
// enough of the earlier guesses are decided. So a right guess after five wrong ones is refused, even if
// all six are verified at once and the right one is finished first. Any number of concurrent right
// guesses are accepted.
//
// Only guesses with the right credential wait, so the wait does not reveal to anybody else which failures
// were counted.
type guess struct {
	throttle *Throttle
	claim
	key     string // of the claim
	network string
	exists  bool // the principal exists
	usual   bool // the principal has logged in from the network recently

	// refused is set if a lock was in force when the guess began. The guess is refused even if the
	// credential is right, and does not count as undecided.
	refused bool
	// behind is set if the network was locked.
	behind bool

	turn    uint64
	flights []flight
	decided bool
}

// flight is the place of an undecided guess in the list of one rule.
type flight struct {
	id    string // of the rule
	place *list.Element
}

// begin begins a guess, which must be decided afterwards.
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

// locks says which locks are in force for a guess.
type locks struct{ network, name, pair bool }

// any reports whether one of the locks applies to the guess.
func (l locks) any(g *guess) bool { return l.network || l.pair || l.name && !g.usual }

// locks returns the locks in force. Callers hold mu.
func (t *Throttle) locks(g *guess, rules []rule) (l locks) {
	now := t.since()
	for _, r := range rules {
		_, c := t.counter(g, r, false)
		switch r.kind {
		case byNetwork:
			l.network = c.Locked(now)
		case byName:
			l.name = c.Locked(now)
		case byPair:
			l.pair = c.Locked(now)
		}
	}
	return l
}

// wrong decides that the credential is wrong. It counts the failure, and returns the texts of the locks
// that begin.
//
// A guess that a lock has refused counts only against the network, and against the pair if the pair is
// locked. Otherwise a client that continues would lock the principal out on all networks, and a locked
// network could create counters for any name.
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
			continue // the rule is disabled
		case r.kind == byName && (was || l.name):
			continue
		case r.kind == byPair && was && (l.network || !l.pair):
			continue
		}
		in, c := t.counter(g, r, true)
		begins := false
		if in == nil {
			begins = c.Fail(t.since(), r.Lockout)
		} else {
			begins = in.Fail(c, t.since(), r.Lockout)
		}
		if begins {
			locked = append(locked, g.what(r.kind))
		}
	}
	return locked
}

// what returns the text of a lock for its event.
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

// right reports whether a guess with a right credential is accepted, perhaps after a wait. For a wrong
// credential, the store is asked for its newest revision. So right calls look, which does that too,
// before it refuses or waits: the time of the answer does not reveal that the credential is right. The
// error is look's or ctx's.
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

// verdict reports whether a guess with a right credential is accepted or refused. If neither, the
// channel is closed when another guess is decided, and verdict must be called again.
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
		free := r.Failures - c.Failures(t.since(), r.Lockout)
		if n := t.earlier(g, r.id, free); n > 0 && n >= free {
			if t.decided == nil {
				t.decided = make(chan struct{})
			}
			return false, false, t.decided
		}
	}
	return true, false, nil
}

// earlier returns the number of undecided guesses of the rule that began before g, but at most the
// greater of most and 1. Callers hold mu.
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

// succeeded decides that the principal has logged in. It removes the failures of the pair, unless the
// pair is locked.
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
	if c := n.pairs.Find(g.network, true); c != nil && !c.Locked(now) {
		n.pairs.Drop(c)
	}
}

// giveBack decides that the attempt revealed nothing about the credential. It counts nothing.
func (g *guess) giveBack() {
	g.throttle.mu.Lock()
	defer g.throttle.mu.Unlock()
	g.throttle.decide(g)
}

// decide marks a guess as decided. It returns false if the guess was decided before. Callers hold mu.
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
