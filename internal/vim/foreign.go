package vim

import (
	"context"

	"github.com/vmware/govmomi/vim25/types"
)

// What packages need that serve managed objects of their own over this API's
// objects: the rows' constructors, and reading properties as a caller.

// Privileges that decide whether a session is needed at all.
const (
	Anonymous = anonymous // anyone may call
	View      = view      // any live session may call
)

// NewMethod makes the row of a method that answers with an R; a pointer R is an
// optional result. faults are those that the API names for it.
func NewMethod[A, R any](name, privilege string, run func(context.Context, *Call, *A) (R, error), named ...string) Method {
	return method(name, privilege, run, faults(named...))
}

// NewVoid makes the row of a method without a result.
func NewVoid[A any](name, privilege string, run func(context.Context, *Call, *A) error, named ...string) Method {
	return void(name, privilege, run, faults(named...))
}

// NewProperty makes the row of a property; a pointer T is an optional one.
func NewProperty[T any](name, privilege string, read func(context.Context, *Call) (T, error)) Property {
	return property(name, privilege, read)
}

// Watch is the row with how to learn of changes of the property: f's channel is
// closed at the next one that the caller might see.
func (p Property) Watch(f func(*Call) <-chan struct{}) Property {
	p.changed = f
	return p
}

// NewFault makes a fault of the API's type, with its text. args are those of the
// text; cause goes to the log alone.
func NewFault(detail types.BaseMethodFault, cause error, args ...any) *Fault {
	return newFault(detail, cause, args...)
}

// Read reads one property on behalf of the call c: with its session's authority,
// and without counting as a call of its own. nil: unset.
func (a *API) Read(ctx context.Context, c *Call, ref types.ManagedObjectReference, name string) (any, *Fault) {
	sub := a.sub(c, ref, name)
	p, fault := a.Property(ref, name)
	if fault != nil {
		return nil, fault
	}
	if fault := a.resolve(sub); fault != nil {
		return nil, fault
	}
	if fault := a.authorise(sub, p.Privilege); fault != nil {
		return nil, fault
	}
	v, err := p.read(ctx, sub)
	if err != nil {
		return nil, FaultOf(err)
	}
	if p.whole != nil {
		v = p.whole(v)
	}
	return v, nil
}

// Exists reports whether the caller can address the object.
func (a *API) Exists(c *Call, ref types.ManagedObjectReference) *Fault {
	if a.objects[ref.Type] == nil {
		return ObjectNotFound(ref)
	}
	return a.resolve(a.sub(c, ref, ""))
}

// Changed is closed at the next change of the property that the caller might
// see; nil where the property does not change, or is not watched.
func (a *API) Changed(c *Call, ref types.ManagedObjectReference, name string) <-chan struct{} {
	p, fault := a.Property(ref, name)
	if fault != nil || p.changed == nil {
		return nil
	}
	sub := a.sub(c, ref, name)
	if a.resolve(sub) != nil {
		return nil
	}
	return p.changed(sub)
}

// AuthorityChanged is closed at the next change of who may do what.
func (a *API) AuthorityChanged() <-chan struct{} { return a.Access.Changed() }

func (a *API) sub(c *Call, ref types.ManagedObjectReference, name string) *Call {
	return &Call{
		Object: ref, Name: name, Read: true, Session: c.Session, Peer: c.Peer, Release: c.Release,
		AcceptLanguage: c.AcceptLanguage, Binding: c.Binding,
	}
}
