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
	e.SessionID = s.Key.String()
	_, err := a.mirror.Commit(ctx, a.Events.Change(e.By(s.Actor())))
	return err
}

// Read reads one property on behalf of the call c: with its session's authority,
// and without counting as a call of its own. nil: unset.
func (a *API) Read(ctx context.Context, c *Call, ref types.ManagedObjectReference, name string) (any, *Fault) {
	var r Reading
	r.Begin(a, c)
	return r.Read(ctx, ref, name)
}

// Exists reports whether the caller can address the object.
func (a *API) Exists(c *Call, ref types.ManagedObjectReference) *Fault {
	t := a.objects[ref.Type]
	if t == nil || !(t.ID != "" && ref.Value == t.ID) && a.Instance(c.Session, ref) == nil {
		return ObjectNotFound(ref)
	}
	return nil
}

// Reading reads properties one after the other on behalf of one call. What it
// calls them with is made once.
type Reading struct {
	api  *API
	call Call
}

// Begin makes r, which is zero, read on behalf of the call c.
func (r *Reading) Begin(a *API, c *Call) {
	r.api = a
	sub := &r.call
	sub.of = c.root()
	sub.Read, sub.Session, sub.Peer, sub.Release = true, c.Session, c.Peer, c.Release
	sub.AcceptLanguage, sub.Binding = c.AcceptLanguage, c.Binding
}

func (r *Reading) at(ref types.ManagedObjectReference, name string) *Call {
	r.call.Object, r.call.Name, r.call.Instance = ref, name, nil
	return &r.call
}

// Read is API.Read.
func (r *Reading) Read(ctx context.Context, ref types.ManagedObjectReference, name string) (any, *Fault) {
	p, fault := r.api.Property(ref, name)
	if fault != nil {
		return nil, fault
	}
	sub := r.at(ref, name)
	if fault := r.api.resolve(sub); fault != nil {
		return nil, fault
	}
	if fault := r.api.authorise(sub, p.Privilege, false); fault != nil {
		return nil, fault
	}
	v, err := p.read(ctx, sub)
	if err != nil {
		return nil, r.api.objects[ref.Type].FaultOf(nil, err)
	}
	if p.whole != nil {
		v = p.whole(v)
	}
	return v, nil
}

// Changed is closed at the next change of the property that the caller might
// see; nil where the property does not change, or is not watched.
func (r *Reading) Changed(ref types.ManagedObjectReference, name string) <-chan struct{} {
	p, fault := r.api.Property(ref, name)
	if fault != nil || p.changed == nil {
		return nil
	}
	sub := r.at(ref, name)
	if r.api.resolve(sub) != nil {
		return nil
	}
	return p.changed(sub)
}

// AuthorityChanged is closed at the next change of who may do what.
func (a *API) AuthorityChanged() <-chan struct{} { return a.Access.Changed() }
