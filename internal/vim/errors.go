package vim

import (
	"context"
	"errors"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/budget"
	"github.com/vigate/vigate/internal/session"
	"github.com/vigate/vigate/internal/store"
)

// Mapping says which fault an error of the domain is. It stands beside the rows
// that return the error, as only they know what their arguments are called.
type Mapping struct {
	is    func(error) bool
	fault func(error) *Fault
}

// Map says which fault target is.
func Map(target error, fault func(error) *Fault) Mapping {
	return Mapping{func(err error) bool { return errors.Is(err, target) }, fault}
}

// MapType says which fault an error of the type E is. fault gets it, and the
// error that it was found in.
func MapType[E error](fault func(found E, err error) *Fault) Mapping {
	return Mapping{isA[E], func(err error) *Fault {
		found, _ := errors.AsType[E](err)
		return fault(found, err)
	}}
}

func isA[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

// Plain makes the fault of a type that needs no more than to be it.
func Plain[T any, P interface {
	*T
	types.BaseMethodFault
}](err error) *Fault {
	return NewFault(P(new(T)), err)
}

// Argument makes InvalidArgument of the argument, a path of members.
func Argument(property string) func(error) *Fault {
	return func(err error) *Fault { return InvalidArgument(property, err) }
}

// Busy makes the fault of a login that had no turn.
func Busy(err error) *Fault {
	return &Fault{RetryAfter: retryBusy, Cause: err, key: "overload.login"}
}

// About is err with the name that the call is about. The fault gets the name, if
// the API's fault has a member for it.
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

// FaultOf maps an error to a fault that any row may give. A *Fault stays what it
// is; what nobody has mapped is a SystemError that tells the caller nothing.
func FaultOf(err error) *Fault { return faultOf(err, nil) }

// FaultOf maps an error of the object's row to a fault. m is the method, nil for
// a property: what it maps overrides what the object does.
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

// named has the fault name what the call is about.
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

// passing are the errors that come before what a row's errors are: what the
// server can't do at the moment, and what nobody waits for any more.
var passing = []Mapping{
	Map(store.ErrUncertain, func(err error) *Fault { return &Fault{RetryAfter: retryBusy, Cause: err, key: "uncertain"} }),
	Map(budget.ErrBusy, Unavailable),
	Map(store.ErrUnavailable, Unavailable),
	Map(store.ErrClosed, Unavailable),
	Map(context.Canceled, Plain[types.RequestCanceled]),
	Map(context.DeadlineExceeded, Plain[types.RequestCanceled]),
	MapType(func(_ *budget.ExceededError, err error) *Fault { return limitFault(err) }),
}

// lost are the errors of a commit that any row may make, unless the row says more:
// the caller's own session has ended, or others were faster each time.
var lost = []Mapping{
	Map(session.ErrNoSession, func(err error) *Fault {
		f := NotAuthenticated(types.ManagedObjectReference{Type: "SessionManager", Value: "SessionManager"}, View)
		f.Cause = err
		return f
	}),
	Map(store.ErrConflict, Unavailable),
}
