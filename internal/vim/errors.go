package vim

import (
	"context"
	"errors"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/budget"
	"github.com/vigate/vigate/internal/session"
	"github.com/vigate/vigate/internal/store"
)

// Mapping defines the fault for an error of the domain. It is declared beside the rows that return
// the error, because only they know the names of their arguments.
type Mapping struct {
	is    func(error) bool
	fault func(error) *Fault
}

// Map returns the mapping of the error target.
func Map(target error, fault func(error) *Fault) Mapping {
	return Mapping{func(err error) bool { return errors.Is(err, target) }, fault}
}

// MapType returns the mapping of errors of the type E. fault gets the error of that type, and the
// error that wraps it.
func MapType[E error](fault func(found E, err error) *Fault) Mapping {
	is := func(err error) bool { _, ok := errors.AsType[E](err); return ok }
	return Mapping{is, func(err error) *Fault {
		found, _ := errors.AsType[E](err)
		return fault(found, err)
	}}
}

// Plain returns the fault of a type whose members need not be set.
func Plain[T any, P interface {
	*T
	types.BaseMethodFault
}](err error) *Fault {
	return NewFault(P(new(T)), err)
}

// Argument returns a function that makes BadArgument for the argument, which is a path of
// members, with the reason.
func Argument(property, reason string) func(error) *Fault {
	return func(err error) *Fault { return BadArgument(property, reason, err) }
}

// Unavailable refuses a call because something is missing that will be back soon.
func Unavailable(cause error) *Fault { return Refusal("unavailable", retryBusy, cause) }

// Busy refuses a login that had to wait too long for its turn.
func Busy(err error) *Fault { return Refusal("overload.login", retryBusy, err) }

// About returns err with the name that the call is about. The fault will contain the name if the
// API's fault has a member for it.
func About(err error, name string) error {
	if err == nil {
		return nil
	}
	return &aboutError{err, name}
}

type aboutError struct {
	error
	name string
}

func (e *aboutError) Unwrap() error { return e.error }

// FaultOf maps an error to a fault that any row may return. A *Fault is returned unchanged. An error
// without a mapping becomes a SystemError, which tells the caller nothing.
func FaultOf(err error) *Fault { return faultOf(err, nil) }

// FaultOf maps an error of the object's row to a fault. m is the method, or nil for a property. The
// method's mappings override those of the object.
func (o *Object) FaultOf(m *Method, err error) *Fault {
	if m == nil || len(m.Errors) == 0 {
		return faultOf(err, o.Errors)
	}
	return faultOf(err, append(m.Errors[:len(m.Errors):len(m.Errors)], o.Errors...))
}

func faultOf(err error, own []Mapping) *Fault {
	if fault, ok := errors.AsType[*Fault](err); ok {
		return fault
	}
	for _, all := range [][]Mapping{passing, own, lost} {
		for _, m := range all {
			if m.is(err) {
				return named(m.fault(err), err)
			}
		}
	}
	return NewFault(&types.SystemError{Reason: "internal error"}, err)
}

// named sets the name that the call is about in the fault.
func named(f *Fault, err error) *Fault {
	about, ok := errors.AsType[*aboutError](err)
	if !ok {
		return f
	}
	switch d := f.Detail.(type) {
	case *types.AlreadyExists:
		d.Name = about.name
	case *types.InvalidName:
		d.Name = about.name
	case *types.UserNotFound:
		d.Principal = about.name
	}
	return f
}

// passing are errors whose mappings override those of a row: the server can't do something at the
// moment, or the client no longer waits for the answer.
var passing = []Mapping{
	Map(store.ErrUncertain, func(err error) *Fault { return Refusal("uncertain", retryBusy, err) }),
	Map(budget.ErrBusy, Unavailable),
	Map(store.ErrUnavailable, Unavailable),
	Map(store.ErrClosed, Unavailable),
	Map(context.Canceled, Plain[types.RequestCanceled]),
	Map(context.DeadlineExceeded, Plain[types.RequestCanceled]),
	MapType(func(_ *budget.ExceededError, err error) *Fault { return limitFault(err) }),
}

// lost are errors of a commit that any row may make, unless the row maps them itself: the caller's
// own session has ended, or other commits were faster each time.
var lost = []Mapping{
	Map(session.ErrNoSession, func(err error) *Fault {
		f := NotAuthenticated(types.ManagedObjectReference{Type: "SessionManager", Value: "SessionManager"}, View)
		f.Cause = err
		return f
	}),
	Map(store.ErrConflict, Unavailable),
}
