package vim

import (
	"context"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/event"
)

// Post writes an event whose actor is the caller.
func (a *API) Post(ctx context.Context, c *Call, e event.Event) error {
	e.SessionID = c.Session.Key().String()
	_, err := a.mirror.Commit(ctx, a.events.Change(e.By(c.Session.Actor())))
	return err
}

// Read reads one property on behalf of the call c, with the authority of its session. It does not
// count as a call. It returns nil for an unset property.
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

// Reading reads properties, one after the other, on behalf of one call. It reuses one Call for all
// of them.
type Reading struct {
	api  *API
	call Call
}

// Begin prepares r, which must be zero, to read on behalf of the call c.
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

// Read does the same as API.Read.
func (r *Reading) Read(ctx context.Context, ref types.ManagedObjectReference, name string) (any, *Fault) {
	p, v, fault := r.open(ctx, ref, name)
	if fault == nil && p.whole != nil {
		v = p.whole(v)
	}
	return v, fault
}

// Open does the same as Read, but of a list that is too long to keep, it returns the sequence that the row yields.
// The elements are read while the caller iterates.
func (r *Reading) Open(ctx context.Context, ref types.ManagedObjectReference, name string) (any, *Fault) {
	_, v, fault := r.open(ctx, ref, name)
	return v, fault
}

func (r *Reading) open(ctx context.Context, ref types.ManagedObjectReference, name string) (*Property, any, *Fault) {
	p, fault := r.api.Property(ref, name)
	if fault != nil {
		return nil, nil, fault
	}
	sub := r.at(ref, name)
	if fault := r.api.resolve(sub); fault != nil {
		return nil, nil, fault
	}
	if fault := r.api.authorise(ctx, sub, p.Privilege, false); fault != nil {
		return nil, nil, fault
	}
	v, err := p.read(ctx, sub)
	if err != nil {
		return nil, nil, r.api.objects[ref.Type].FaultOf(nil, err)
	}
	return p, v, nil
}

// Changed returns a channel that is closed at the next change of the property that the caller may
// see. It returns nil if the property does not change or is not watched.
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
