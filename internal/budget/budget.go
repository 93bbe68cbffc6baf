// Package budget limits how much of the machine one session, one principal and all sessions
// together can use.
//
// A [Ledger] records what they hold: managed objects, memory, waiting calls, and responses that are
// being sent. Each of these kinds has limits. [Turns] lets requests that need long computation run
// one after the other, so that other requests are served in between. [Weight] estimates the memory
// that a value takes. The callers decide when to reserve and when to wait; the package knows no
// sessions and no API.
package budget

import (
	"errors"
	"fmt"
)

// Kind is a kind of resource.
type Kind int

// The kinds of resources.
const (
	Objects Kind = iota // managed objects that belong to a session
	Memory              // bytes of these objects and of unfinished retrievals
	Waits               // calls that wait for a change
	Answers             // bytes of long responses until they are sent
	kinds
)

var kindNames = [kinds]string{"objects", "memory", "waits", "answers"}

func (k Kind) String() string { return kindNames[k] }

// Amounts is an amount of each kind.
type Amounts [kinds]int64

// Of returns an amount of one kind.
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

// Bound is the maximum amount of a kind that may be held at a time.
type Bound struct {
	Session   int64 // by one session
	Principal int64 // by all sessions of one principal
	Server    int64 // by all sessions
}

// Limits holds the bound of each kind.
type Limits [kinds]Bound

// Default returns the limits of a server. docs/operations.md lists them.
func Default() Limits {
	const mib = 1 << 20
	return Limits{
		Objects: {Session: 1000, Principal: 20_000, Server: 500_000},
		Memory:  {Session: 16 * mib, Principal: 64 * mib, Server: 512 * mib},
		Waits:   {Session: 64, Principal: 1024, Server: 20_000},
		Answers: {Session: 64 * mib, Principal: 128 * mib, Server: 512 * mib},
	}
}

// ErrBusy means that too many requests already wait for their turn.
var ErrBusy = errors.New("too many long requests at a time")

// Scope says whose bound was reached.
type Scope string

// The scopes.
const (
	OfSession   Scope = "session"
	OfPrincipal Scope = "principal"
	OfServer    Scope = "server"
)

// ExceededError means that a reservation would exceed a bound.
type ExceededError struct {
	Kind  Kind
	Scope Scope
	Max   int64
	// Asked is the amount that was requested.
	Asked int64
}

func (e *ExceededError) Error() string {
	return fmt.Sprintf("the %s may hold at most %d of %s, and %d more were requested", e.Scope, e.Max, e.Kind, e.Asked)
}

// Temporary reports whether the same request may succeed later because other sessions release what
// they hold.
func (e *ExceededError) Temporary() bool {
	return e.Scope == OfServer || e.Kind == Answers && e.Asked <= e.Max
}
