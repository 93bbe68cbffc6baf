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

const (
	// stretch is how much work a call does between two checks of its client and its session, in
	// units: objects visited, elements of lists read. A unit takes about a microsecond or less.
	stretch = 1000
	// short is the most work that a call does without a turn. Only a few longer calls work at a
	// time, so that others are served in the meantime.
	short = 10_000
	// keep is how many times the length of a list a call may work before it gives up its turn. While
	// it waited for another turn, the list would stay in memory.
	keep = 4
)

// small is how many bytes of arguments a binding decodes without a turn. Nearly all requests are
// smaller. Larger ones take milliseconds of a processor.
const small = 64 << 10

// waitingDecodes is how many large requests of one network may wait to be decoded. Their memory is
// bounded already: the bodies of a network may take 64 MiB, so there are hardly more of them.
const waitingDecodes = 1024

// Decode is called before the binding decodes the call's arguments, which have the given size in
// bytes. If they are large, it waits for a turn, which done ends. So networks that send large
// requests wait for each other, and others are served in the meantime. The session is not known yet,
// so turns are given by network.
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
	look int // units after which to check the client and the session again
	turn bool
	pass int // units after which to give the turn to another call that waits
}

// bound creates the ledger of what sessions hold, and the turns.
func (a *API) bound(o *budget.Limits) {
	limits := budget.Default()
	if o != nil {
		limits = *o
	}
	a.ledger = budget.NewLedger(limits)
	a.turns = budget.NewTurns(max(1, runtime.GOMAXPROCS(0)/2))
}

// root returns the call that the client made.
func (c *Call) root() *Call {
	if c.of != nil {
		return c.of
	}
	return c
}

// Work counts n more units of work of the call. Every loop whose length depends on a client must call
// it. If it returns an error, the call must end: its client has disconnected, its session has ended,
// or too many calls work for a long time.
//
// It may wait for a turn, so the caller must not hold a lock that others need; see Rest.
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

// Wanted returns an error if the caller must not get more of the call's answer: its client has
// disconnected, its session has ended, or this node can't know whether it has. A call that has
// committed something is always answered, because it may have ended the session itself.
func (a *API) Wanted(ctx context.Context, c *Call) error {
	if c.guard.used {
		return nil
	}
	if fault := a.stale(); fault != nil {
		return fault
	}
	return a.wanted(ctx, c)
}

// wanted is Wanted without the check for commits and for the state of this node.
func (a *API) wanted(ctx context.Context, c *Call) error {
	if err := ctx.Err(); err != nil {
		return FaultOf(err)
	}
	if c.Session != nil && (!a.sessions.Alive(c.Session) || c.strayed()) {
		return NotAuthenticated(c.Object, View)
	}
	return nil
}

// strayed reports whether the call came with a ticket and its session now acts as another principal.
// The ticket does not give that principal's authority.
func (c *Call) strayed() bool {
	c = c.root()
	return c.standing != (session.Standing{}) && c.Session.Standing() != c.standing
}

// Rest gives back the call's turn, if it has one. It must be called before a call waits, and is called
// after the call.
func (a *API) Rest(c *Call) {
	if c = c.root(); c.work.turn {
		c.work.turn = false
		a.turns.Release()
	}
}

// Begin starts to count the work of a call anew, for a call that has waited for a change.
func (a *API) Begin(c *Call) {
	a.Rest(c)
	c.root().work = work{}
}

// principalOf returns the name under which the call gets turns: its user, or its address if it has no
// session.
func principalOf(c *Call) string {
	if c.Session != nil {
		return c.Session.Owner()
	}
	return "address " + c.Peer.Address
}

// Hold reserves the amounts for the caller's session. They are given back by Release of the hold, and
// when the session ends.
func (a *API) Hold(c *Call, amounts budget.Amounts) (*budget.Hold, *Fault) {
	h, err := a.take(c.Session, amounts)
	switch {
	case err == nil:
		return h, nil
	case !a.sessions.Alive(c.Session):
		return nil, NotAuthenticated(c.Object, View)
	}
	return nil, FaultOf(err)
}

func (a *API) take(l *session.Live, amounts budget.Amounts) (*budget.Hold, error) {
	h, err := a.ledger.Reserve(l.Key().String(), l.Owner(), amounts)
	if err == nil && !a.sessions.Alive(l) {
		// It ended before the ledger had recorded the amounts.
		a.endSession(l.Key())
		return nil, session.ErrNoSession
	}
	return h, err
}

// Held returns what the session holds.
func (a *API) Held(l *session.Live) budget.Amounts { return a.ledger.Session(l.Key().String()) }

// Ledger returns what all sessions hold, and how many of them hold something.
func (a *API) Ledger() (held budget.Amounts, sessions int) { return a.ledger.Server() }

// endSession removes everything that belongs to a session.
func (a *API) endSession(key session.Key) {
	a.instances.EndSession(key)
	a.ledger.End(key.String())
}

// freeAnswer is the size in bytes up to which an answer is not counted. Nearly all answers are
// shorter, and counting them would cost more than they do.
const freeAnswer = 16 << 10

// maxStrangers is the greatest size of an answer to a caller without a session, in bytes. What such a
// caller may read is short.
const maxStrangers = 256 << 10

// Answer counts n more bytes of the call's answer. They count until the answer is sent.
func (a *API) Answer(c *Call, n int64) *Fault {
	c = c.root()
	c.weight += n
	switch {
	case c.weight <= freeAnswer:
		return nil
	case c.Session == nil && c.weight <= maxStrangers:
		return nil
	case c.Session == nil:
		return limitFault(&budget.ExceededError{
			Kind: budget.Answers, Scope: budget.OfSession, Max: maxStrangers, Asked: c.weight,
		})
	}
	var err error
	if c.held == nil {
		c.held, err = a.take(c.Session, budget.Of(budget.Answers, c.weight))
	} else {
		err = c.held.Resize(budget.Answers, c.weight)
	}
	if e, ok := errors.AsType[*budget.ExceededError](err); ok {
		e.Asked = c.weight // the whole answer of this call, not only the last bytes
	}
	if err != nil {
		return FaultOf(err)
	}
	return nil
}

// Weight returns the approximate size of the call's answer in bytes, as far as it is known.
func (c *Call) Weight() int64 { return c.root().weight }

// Answered gives back the memory of the call's answer. Bindings call it when the answer is sent.
func (c *Call) Answered() {
	c.held.Release()
	c.held = nil
}

// weigh counts an answer that is a list, unless the row has done so: then the weight differs from the
// weight before. A method that changes something must count its answer before the change.
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

// limitFault returns the fault for a hold that was refused.
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
