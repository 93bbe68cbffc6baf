// Package budget bounds what one session, one principal and all of them
// together take of the machine.
//
// A [Ledger] is the account of what they hold: objects, memory, calls that wait,
// answers that are being sent. [Turns] lets requests that take long work one
// after the other, so that others are served beside them. [Weight] is how much
// memory a value takes.
package budget

import (
	"errors"
	"fmt"
)

// Kind is something that can be held.
type Kind int

// The kinds.
const (
	Objects Kind = iota // managed objects that belong to a session
	Memory              // bytes of those objects, and of unfinished retrievals
	Waits               // calls that wait for a change
	Answers             // bytes of long answers, until they are sent
	kinds
)

var kindNames = [kinds]string{"objects", "memory", "waits", "answers"}

func (k Kind) String() string { return kindNames[k] }

// Amounts are how much of each kind is held, or is to be held.
type Amounts [kinds]int64

// Of is an amount of one kind.
func Of(k Kind, n int64) Amounts {
	var a Amounts
	a[k] = n
	return a
}

func (a *Amounts) add(b Amounts, sign int64) {
	for k := range a {
		a[k] += sign * b[k]
	}
}

// Bound is the most of a kind that may be held at a time.
type Bound struct {
	Session   int64 // by one session
	Principal int64 // by all sessions of one principal
	Server    int64 // by all
}

// Limits are the bounds of all kinds.
type Limits [kinds]Bound

// Default is the limits of a server. docs/operations.md lists them.
func Default() Limits {
	const mib = 1 << 20
	return Limits{
		Objects: {Session: 1000, Principal: 20_000, Server: 500_000},
		Memory:  {Session: 16 * mib, Principal: 64 * mib, Server: 512 * mib},
		Waits:   {Session: 64, Principal: 1024, Server: 20_000},
		Answers: {Session: 64 * mib, Principal: 128 * mib, Server: 512 * mib},
	}
}

// ErrBusy: too many requests wait for their turn.
var ErrBusy = errors.New("too many long requests at a time")

// Scope is whose bound it is.
type Scope string

// The scopes.
const (
	OfSession   Scope = "session"
	OfPrincipal Scope = "principal"
	OfServer    Scope = "server"
)

// ExceededError refuses to let more be held.
type ExceededError struct {
	Kind  Kind
	Scope Scope
	Max   int64
	// Asked is how much of the kind was asked for.
	Asked int64
}

func (e *ExceededError) Error() string {
	return fmt.Sprintf("the %s may hold at most %d of %s, and %d more are asked for", e.Scope, e.Max, e.Kind, e.Asked)
}

// Passing reports whether the refusal passes when others give back what they
// hold: the same request may succeed later without any act of the caller.
func (e *ExceededError) Passing() bool {
	return e.Scope == OfServer || e.Kind == Answers && e.Asked <= e.Max
}
