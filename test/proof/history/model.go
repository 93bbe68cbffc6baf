package history

import (
	"slices"
	"time"

	"github.com/anishathalye/porcupine"
)

// state is one session together with its tickets. They are linearizable only together, because
// tickets end with their session.
type state struct {
	phase phase
	spent uint64 // bit n stands for the session's n-th ticket
}

type phase uint8

const (
	notYet phase = iota
	live
	over
)

// step is an Op in the terms of the model. bit is the ticket's position among the tickets of its
// session.
type step struct {
	op  Op
	bit uint64
}

// model defines what a session may do, one operation at a time. An operation of unknown outcome may
// or may not have been done.
var model = func() porcupine.Model {
	m := porcupine.NondeterministicModel{
		Init: func() []any { return []any{state{}} },
		Step: func(s, input, _ any) []any { return next(s.(state), input.(step)) },
		Hash: func(s any) uint64 { x := s.(state); return x.spent*31 + uint64(x.phase) },
	}
	return m.ToModel()
}()

func next(s state, in step) []any {
	after, can := s, false // the state if the operation is done
	switch in.op.Kind {
	case Start:
		after.phase, can = live, s.phase == notYet
	case Use, Issue:
		can = s.phase == live
	case End:
		after.phase, can = over, s.phase == live
	case Redeem:
		after.spent, can = s.spent|in.bit, s.phase == live && s.spent&in.bit == 0
	}
	switch {
	case in.op.Outcome == OK && can:
		return []any{after}
	case in.op.Outcome == OK:
		return nil
	case in.op.Outcome == Refused && can:
		return nil
	case in.op.Outcome == Unknown && can:
		return []any{after, s}
	}
	return []any{s}
}

// partition holds the operations on one session.
type partition struct {
	session string
	ops     []Op
}

// partitions splits the history by session. A redeemed ticket that began a session is in two
// partitions: in that of the ticket's session, and as a Start in that of the new session.
func partitions(ops []Op) []partition {
	var all []partition
	index := map[string]int{}
	put := func(session string, o Op) {
		i, ok := index[session]
		if !ok {
			i = len(all)
			index[session] = i
			all = append(all, partition{session: session})
		}
		all[i].ops = append(all[i].ops, o)
	}
	for _, o := range ops {
		put(o.Session, o)
		if o.Kind == Redeem && o.Outcome == OK {
			put(o.Made, Op{
				Client: o.Client, Node: o.Node, Kind: Start, Session: o.Made, User: o.User,
				Outcome: OK, Call: o.Call, Return: o.Return,
			})
		}
	}
	return all
}

// patience bounds the search in one partition. In practice a search is short. The bound only ends a
// search that does not end, on slow machines too.
const patience = 5 * time.Minute

// lent reports whether another caller may have held the refused ticket at that time, and had to
// give it back. The refusal then says nothing.
func lent(ops []Op, refused Op) bool {
	return slices.ContainsFunc(ops, func(o Op) bool {
		return o.Outcome == Full && o.Ticket == refused.Ticket && o.Call <= refused.Return && refused.Call <= o.Return
	})
}

// linearizable reports whether the operations on one session can have happened one after the other,
// each between its call and its return. For stale after a change, a node may still answer by the
// state before it. So a Use counts as if it had been called that much earlier.
func linearizable(ops []Op, stale time.Duration) porcupine.CheckResult {
	bits := map[int]uint64{}
	refused := map[int]bool{} // tickets
	for _, o := range ops {
		if o.Kind == Redeem && o.Outcome == Refused {
			refused[o.Ticket] = true
		}
	}
	history := make([]porcupine.Operation, 0, len(ops))
	for _, o := range ops {
		observes := o.Kind == Use || o.Kind == Issue || o.Kind == Start || o.Kind == Redeem && !refused[o.Ticket]
		if o.Outcome == Unknown && observes {
			continue // no other operation depends on it
		}
		if o.Outcome == Full || o.Kind == Redeem && o.Outcome == Refused && lent(ops, o) {
			continue
		}
		in := step{op: o}
		if o.Kind == Redeem {
			if bits[o.Ticket] == 0 {
				bits[o.Ticket] = 1 << len(bits)
			}
			in.bit = bits[o.Ticket]
		}
		call := o.Call
		if o.Kind == Use && o.Outcome == OK {
			call -= int64(stale)
		}
		history = append(history, porcupine.Operation{ClientId: o.Client, Input: in, Call: call, Return: o.Return})
	}
	return porcupine.CheckOperationsTimeout(model, history, patience)
}
