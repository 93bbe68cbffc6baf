package history

import (
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"
)

// Rules are the rules that a history must keep.
type Rules struct {
	// Stale is how long after the acknowledged end of a session a node may still serve it. It is 0
	// with one node.
	Stale time.Duration
	// MaxPerUser and MaxSessions are the limits in force. 0: not checked.
	MaxPerUser, MaxSessions int
}

// Violation is a broken promise and the evidence for it.
type Violation struct {
	What string
	Ops  []Op
}

func (v *Violation) String() string { return v.What + "\n" + Format(v.Ops) }

// Verdict is the result of a check.
type Verdict struct {
	Violations []Violation // of the invariants, at most a few of each kind
	// Illegal is the smallest history that is not linearizable.
	Illegal *Violation
	// Unsure is the number of sessions for which the search took too long.
	Unsure   int
	Sessions int
}

// Sound reports whether the check found nothing.
func (v *Verdict) Sound() bool { return len(v.Violations) == 0 && v.Illegal == nil && v.Unsure == 0 }

// Check judges the operations by the rules.
func Check(ops []Op, r Rules) *Verdict {
	parts := partitions(ops)
	v := &Verdict{Sessions: len(parts), Violations: Invariants(ops, r)}
	var mu sync.Mutex // guards v
	var wg sync.WaitGroup
	work := make(chan partition)
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for p := range work {
				result := linearizable(p.ops, r.Stale)
				if result == porcupine.Ok {
					continue
				}
				var small []Op
				if result == porcupine.Illegal {
					small = minimise(p.ops, r.Stale)
				}
				mu.Lock()
				switch {
				case result == porcupine.Unknown:
					v.Unsure++
				case v.Illegal == nil || len(small) < len(v.Illegal.Ops):
					v.Illegal = &Violation{"not linearizable: session " + p.session, small}
				}
				mu.Unlock()
			}
		})
	}
	for _, p := range parts {
		work <- p
	}
	close(work)
	wg.Wait()
	return v
}

// minimise removes the operations that the contradiction does not need. It keeps operations that
// change something, unless it removes all later operations as well: without the operation that
// explains an answer, a good history looks bad.
func minimise(ops []Op, stale time.Duration) []Op {
	ops = slices.Clone(ops)
	slices.SortStableFunc(ops, func(a, b Op) int { return int(min(1, max(-1, a.Return-b.Return))) })
	illegal := func(ops []Op) bool { return linearizable(ops, stale) == porcupine.Illegal }
	// First by truncation. Operations that began after the end of the shortest bad beginning can't
	// have explained it. Operations that were still running at its end stay.
	upTo := func(n int) []Op {
		end := ops[n-1].Return
		part := slices.Clone(ops[:n])
		for _, o := range ops[n:] {
			if o.Call <= end {
				part = append(part, o)
			}
		}
		return part
	}
	low, high := 1, len(ops)
	for low < high {
		if mid := (low + high) / 2; illegal(upTo(mid)) {
			high = mid
		} else {
			low = mid + 1
		}
	}
	ops = upTo(high)
	// The removal of one operation may permit the removal of others. So repeat until nothing can be
	// removed.
	for smaller := true; smaller; {
		smaller = false
		for i := len(ops) - 1; i >= 0; i-- {
			if !droppable(ops, i) {
				continue
			}
			if less := slices.Delete(slices.Clone(ops), i, i+1); illegal(less) {
				ops, smaller = less, true
			}
		}
	}
	return ops
}

// droppable reports whether a history must keep no additional rules without the operation: the
// operation only observed, or its change explains no refusal.
func droppable(ops []Op, i int) bool {
	switch o := ops[i]; {
	case o.Kind == Use, o.Kind == Issue, o.Outcome == Refused:
		return true
	case o.Kind == Redeem:
		return !slices.ContainsFunc(ops, func(p Op) bool {
			return p.Kind == Redeem && p.Ticket == o.Ticket && p.Outcome == Refused
		})
	case o.Kind == End:
		return !slices.ContainsFunc(ops, func(p Op) bool { return p.Outcome == Refused && p.Return >= o.Call })
	}
	return false
}

// perKind bounds how many violations of one kind are reported.
const perKind = 3

// Invariants checks the rules that need no search.
func Invariants(ops []Op, r Rules) []Violation {
	var all []Violation
	for _, find := range []func() []Violation{
		func() []Violation { return endedAndBack(ops, r.Stale) },
		func() []Violation { return lost(ops) },
		func() []Violation { return spentTwice(ops) },
		func() []Violation { return overLimit(ops, r) },
		func() []Violation { return mixedUp(ops) },
	} {
		found := find()
		all = append(all, found[:min(perKind, len(found))]...)
	}
	return all
}

// endedAndBack checks I1: a session whose end was acknowledged never works again.
func endedAndBack(ops []Op, stale time.Duration) []Violation {
	ended := map[string]Op{}
	for _, o := range ops {
		if e, ok := ended[o.Session]; o.Kind == End && o.Outcome == OK && (!ok || o.Return < e.Return) {
			ended[o.Session] = o
		}
	}
	var all []Violation
	for _, o := range ops {
		e, ok := ended[o.Session]
		if ok && o.Outcome == OK && o.Kind != Start && o.Kind != End && o.Call > e.Return+int64(stale) {
			all = append(all, Violation{"I1: a session acknowledged as ended works again", []Op{e, o}})
		}
	}
	return all
}

// lost checks I2: an acknowledged session does not disappear unless a client may have ended it.
func lost(ops []Op) []Violation {
	started := map[string]Op{}
	ends := map[string][]int{} // by session: indexes in ops
	for i, o := range ops {
		switch {
		case o.Kind == Start && o.Outcome == OK:
			started[o.Session] = o
		case o.Kind == Redeem && o.Outcome == OK:
			started[o.Made] = o
		case o.Kind == End:
			ends[o.Session] = append(ends[o.Session], i)
		}
	}
	var all []Violation
	for i, o := range ops {
		s, ok := started[o.Session]
		if !ok || o.Outcome != Refused || o.Kind == Redeem || o.Call <= s.Return {
			continue
		}
		// A refused End did not end the session.
		explained := slices.ContainsFunc(ends[o.Session], func(e int) bool {
			return e != i && ops[e].Outcome != Refused && ops[e].Call <= o.Return
		})
		if !explained {
			all = append(all, Violation{"I2: an acknowledged session is gone", []Op{s, o}})
		}
	}
	return all
}

// spentTwice checks I3: a ticket is spent at most once.
func spentTwice(ops []Op) []Violation {
	spent := map[int]Op{}
	var all []Violation
	for _, o := range ops {
		if o.Kind != Redeem || o.Outcome != OK {
			continue
		}
		if was, ok := spent[o.Ticket]; ok {
			all = append(all, Violation{"I3: a ticket was spent twice", []Op{was, o}})
		}
		spent[o.Ticket] = o
	}
	return all
}

// overLimit checks I4: at no time more sessions are certainly alive than the limits allow. A
// session is certainly alive from the answer that began it to the first call that may end it.
func overLimit(ops []Op, r Rules) []Violation {
	type change struct {
		at   int64
		by   int
		user string
		op   Op
	}
	ended := map[string]int64{}
	for _, o := range ops {
		if was, ok := ended[o.Session]; o.Kind == End && (!ok || o.Call < was) {
			ended[o.Session] = o.Call
		}
	}
	var changes []change
	for _, o := range ops {
		key := o.Session
		if o.Kind == Redeem {
			key = o.Made
		}
		if o.Outcome != OK || o.Kind != Start && o.Kind != Redeem {
			continue
		}
		end, ok := ended[key]
		if ok && end <= o.Return {
			continue
		}
		changes = append(changes, change{o.Return, 1, o.User, o})
		if ok {
			changes = append(changes, change{end, -1, o.User, o})
		}
	}
	slices.SortFunc(changes, func(a, b change) int {
		if a.at != b.at {
			return int(min(1, max(-1, a.at-b.at)))
		}
		return a.by - b.by
	})
	total, users := 0, map[string]int{}
	var all []Violation
	for _, c := range changes {
		total += c.by
		users[c.user] += c.by
		if c.by > 0 && r.MaxPerUser > 0 && users[c.user] > r.MaxPerUser {
			text := fmt.Sprintf("I4: %d sessions of %s, at most %d allowed", users[c.user], c.user, r.MaxPerUser)
			all = append(all, Violation{text, []Op{c.op}})
		}
		if c.by > 0 && r.MaxSessions > 0 && total > r.MaxSessions {
			text := fmt.Sprintf("I4: %d sessions, at most %d allowed", total, r.MaxSessions)
			all = append(all, Violation{text, []Op{c.op}})
		}
	}
	return all
}

// mixedUp checks I5: an answer is about the caller's own session.
func mixedUp(ops []Op) []Violation {
	var all []Violation
	for _, o := range ops {
		if o.Kind != Use || o.Outcome != OK || o.Seen == "" {
			continue
		}
		if o.Seen != o.Session || o.SeenUser != o.User {
			all = append(all, Violation{fmt.Sprintf("I5: an answer to %s's session %s was about %s's %s",
				o.User, short(o.Session), o.SeenUser, short(o.Seen)), []Op{o}})
		}
	}
	return all
}
