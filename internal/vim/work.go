package vim

import (
	"context"
	"errors"
	"reflect"
	"runtime"
	"strconv"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/budget"
	"github.com/vigate/vigate/internal/session"
)

// What a call may take of the machine: how long it works without a look at its
// client, and what its session holds.

const (
	// stretch is how much work a call does between two looks at its client and
	// its session, in units: objects visited, elements of lists read. A unit
	// takes about a microsecond or less.
	stretch = 1000
	// short is the work of a call that needs no turn. Longer calls work a few at
	// a time, so that others are served beside them.
	short = 10_000
	// keep is for how many looks at a list a call keeps the turn in which it reads it.
	// While it waited for another turn, the list would stay in memory.
	keep = 4
)

// small is how many bytes of arguments a binding decodes without a turn: nearly
// all requests have less. Larger ones take milliseconds of a core.
const small = 64 << 10

// waitingDecodes is how many large requests of one network may wait to be decoded.
// Their memory is bounded before: with the 64 MiB that the bodies of a network may
// take, there are hardly more of them.
const waitingDecodes = 1024

// Decode is called before the binding decodes the call's arguments, which take so
// many bytes. If they are large it waits for a turn, which done ends: the
// networks that send large requests then wait for each other, and others are
// served beside them. The session is not known yet, so it has no say in that.
func (a *API) Decode(ctx context.Context, c *Call, bytes int) (done func(), _ *Fault) {
	if bytes <= small {
		return func() {}, nil
	}
	c.introduce()
	if err := a.turns.Acquire(ctx, "network "+c.Peer.Network(), waitingDecodes); err != nil {
		return nil, FaultOf(err)
	}
	return a.turns.Release, nil
}

// work is what a call has done.
type work struct {
	done int // units
	look int // after which to look again
	turn bool
	pass int // after which to give the turn to others who wait
}

// bound makes the account of what sessions hold.
func (a *API) bound() {
	limits := budget.Default()
	if a.Limits != nil {
		limits = *a.Limits
	}
	a.ledger = budget.NewLedger(limits)
	a.turns = budget.NewTurns(max(1, runtime.GOMAXPROCS(0)/2))
}

// root is the call that the client made.
func (c *Call) root() *Call {
	if c.of != nil {
		return c.of
	}
	return c
}

// Work counts n more units of work of the call. Every loop whose length a client
// can choose calls it. The fault ends the call: its client went away, its
// session ended, or too many calls work for long.
//
// It may wait for a turn, so callers hold no lock that others need; see Rest.
func (a *API) Work(ctx context.Context, c *Call, n int) error {
	c = c.root()
	w := &c.work
	if w.done += n; w.done < w.look {
		return nil
	}
	w.look = w.done + stretch
	if err := a.wanted(ctx, c); err != nil {
		return err
	}
	if w.done < short || w.turn && (w.done < w.pass || !a.turns.Contended()) {
		return nil
	}
	a.Rest(c)
	if err := a.turns.Acquire(ctx, principalOf(c), budget.MaxWaitingEach); err != nil {
		return FaultOf(err)
	}
	w.turn, w.pass = true, w.done+max(short, keep*n)
	return a.wanted(ctx, c)
}

// Wanted returns why the caller must not get more of the call's answer: its client is
// gone, its session has ended, or this node can't know whether it has. A call that has
// committed something is answered, as it may have ended the session itself.
func (a *API) Wanted(ctx context.Context, c *Call) error {
	if c.guard.used {
		return nil
	}
	if fault := a.stale(); fault != nil {
		return fault
	}
	return a.wanted(ctx, c)
}

// wanted reports why nobody wants the call's answer any more.
func (a *API) wanted(ctx context.Context, c *Call) error {
	if err := ctx.Err(); err != nil {
		return FaultOf(err)
	}
	if c.Session != nil && (!a.Sessions.Alive(c.Session) || c.strayed()) {
		return NotAuthenticated(c.Object, View)
	}
	return nil
}

// strayed reports whether the call came by a ticket and its session has changed whom
// it acts as: the ticket does not give that principal's authority.
func (c *Call) strayed() bool {
	c = c.root()
	return c.standing != (session.Standing{}) && c.Session.Standing() != c.standing
}

// Rest gives back the call's turn, if it has one. It is called before a call
// waits, and when it has run.
func (a *API) Rest(c *Call) {
	if c = c.root(); c.work.turn {
		c.work.turn = false
		a.turns.Release()
	}
}

// Begin counts the work of a call anew: for one that waits and then looks again.
func (a *API) Begin(c *Call) {
	a.Rest(c)
	c.root().work = work{}
}

// principalOf is whose turns the call takes: its user's or, without a session,
// its address's.
func principalOf(c *Call) string {
	if c.Session != nil {
		return c.Session.Owner()
	}
	return "address " + c.Peer.Address
}

// Hold lets the caller's session hold the amounts. They are given back by Give,
// and when the session ends.
func (a *API) Hold(c *Call, amounts budget.Amounts) (*budget.Hold, *Fault) {
	h, err := a.take(c.Session, amounts)
	switch {
	case err == nil:
		return h, nil
	case !a.Sessions.Alive(c.Session):
		return nil, NotAuthenticated(c.Object, View)
	}
	return nil, FaultOf(err)
}

func (a *API) take(l *session.Live, amounts budget.Amounts) (*budget.Hold, error) {
	h, err := a.ledger.Reserve(l.Key().String(), l.Owner(), amounts)
	if err == nil && !a.Sessions.Alive(l) {
		// It ended before the ledger knew that it holds something.
		a.endSession(l.Key())
		return nil, session.ErrNoSession
	}
	return h, err
}

// Held is what the session holds.
func (a *API) Held(l *session.Live) budget.Amounts { return a.ledger.Session(l.Key().String()) }

// Ledger is what all sessions hold, and how many of them hold something.
func (a *API) Ledger() (held budget.Amounts, sessions int) { return a.ledger.Server() }

// endSession ends all that belongs to a session.
func (a *API) endSession(key session.Key) {
	a.instances.endSession(key)
	a.ledger.End(key.String())
}

// freeAnswer is how many bytes of an answer do not count, since nearly all are
// shorter: counting them would cost more than they do.
const freeAnswer = 16 << 10

// maxStrangers is how long the answer to a caller without a session may be, in
// bytes: what such a caller may read is short.
const maxStrangers = 256 << 10

// Answer counts n more bytes of the call's answer, which are held until it is
// sent.
func (a *API) Answer(c *Call, n int64) *Fault {
	c = c.root()
	c.weight += n
	switch {
	case c.weight <= freeAnswer:
		return nil
	case c.Session == nil && c.weight <= maxStrangers:
		return nil
	case c.Session == nil:
		return limitFault(&budget.ExceededError{Kind: budget.Answers, Scope: budget.OfSession, Max: maxStrangers, Asked: c.weight})
	}
	var err error
	if c.held == nil {
		c.held, err = a.take(c.Session, budget.Of(budget.Answers, c.weight))
	} else {
		err = c.held.Resize(budget.Answers, c.weight)
	}
	if e, ok := errors.AsType[*budget.ExceededError](err); ok {
		e.Asked = c.weight // by this call, whether or not others have an answer too
	}
	if err != nil {
		return FaultOf(err)
	}
	return nil
}

// Weight is about how many bytes the call's answer takes, as far as it is known.
func (c *Call) Weight() int64 { return c.root().weight }

// Answered gives back the memory of the call's answer. Bindings call it when the
// answer is sent.
func (c *Call) Answered() {
	c.held.Release()
	c.held = nil
}

// weigh counts an answer that is a list, unless the row has done so, which the weight
// before it ran tells. A method that changes something counts its answer before.
func (a *API) weigh(c *Call, before int64, value any) *Fault {
	if c.guard.used || c.Session == nil || value == nil || c.Weight() != before {
		return nil
	}
	v := reflect.ValueOf(value)
	if v.Kind() != reflect.Slice || v.Len() == 0 {
		return nil
	}
	return a.Answer(c, budget.WeightOf(v))
}

// limitFault is the fault of a hold that is refused.
func limitFault(err error) *Fault {
	e, _ := errors.AsType[*budget.ExceededError](err)
	if e.Temporary() {
		return Unavailable(err)
	}
	limit := int32(min(e.Max, 1<<31-1))
	f := NewFault(&types.LimitExceeded{Property: e.Kind.String(), Limit: &limit}, err, strconv.FormatInt(e.Max, 10))
	f.key = "limit." + e.Kind.String()
	return f
}
