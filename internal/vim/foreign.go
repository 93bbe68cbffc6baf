package vim

import (
	"context"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/event"
)

// What packages need beside the rows' constructors that serve managed objects of
// their own over this API: posting events, and reading properties as a caller.

// Post writes an event as the caller's own.
func (a *API) Post(ctx context.Context, c *Call, e event.Event) error {
	s := c.Session.Session()
	e.User, e.SessionID = s.Actor(), s.Key.String()
	_, err := a.Gate.Mirror.Commit(ctx, a.Events.Change(e))
	return err
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
