package vim

import (
	"context"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/instance"
	"github.com/vigate/vigate/internal/session"
)

// Refuse is called instead of Do for a request that its binding refuses. It finds the caller's
// session, for the language of the fault's text, and measures the fault. It audits the call if it
// was denied. A token that can't be read is a failed login. Refuse runs nothing, spends no ticket, and
// does not count as activity.
func (a *API) Refuse(ctx context.Context, c *Call, f *Fault) {
	c.introduce()
	// If the session can't be looked up, the text is in the default language.
	a.caller(ctx, c)
	if denied(f) {
		a.audit(ctx, c, f)
	}
	if c.Proof.Unreadable && c.Session == nil && a.unreadable != nil {
		a.unreadable(ctx, *c.Peer, f.Cause)
	}
	if a.observe == nil {
		return
	}
	// An unknown name comes from the client. It must not become a label in metrics.
	object, name := c.Object.Type, c.Name
	if _, unknown := a.row(c); unknown != nil {
		object, name = "", ""
	}
	a.observe(object, name, f.Kind(), 0)
}

// caller finds the session of a call before the call is admitted. It uses only the token: it spends
// no ticket, and does not count as activity. Only the first call of it looks the session up, because
// that may cost a request to the store.
func (a *API) caller(ctx context.Context, c *Call) *session.Live {
	if !c.found && !c.Token.IsZero() {
		c.Session, _ = a.sessions.Authenticate(ctx, c.Token, a.now())
	}
	c.found = true
	return c.Session
}

// Lookup returns the fault of a call whose object does not exist for its caller, the same as Do. It returns nil if
// the object exists, or if there is no such type. A binding calls it before it refuses a call because of its
// operation or its arguments. So an unknown object is reported as unknown even if the rest of the request is wrong,
// and the object of a correct call is looked up only once.
func (a *API) Lookup(ctx context.Context, c *Call) *Fault {
	t := a.objects[c.Object.Type]
	if t == nil || t.ID != "" && c.Object.Value == t.ID {
		return nil
	}
	l := a.caller(ctx, c)
	switch {
	case a.Instance(l, c.Object) != nil:
		return nil
	case l != nil || !instance.Owned(c.Object):
		return ObjectNotFound(c.Object)
	case !c.HTTP.Ticket.IsZero():
		// It may be a ticket of the object's session. It is not spent for a call that is refused in
		// any case.
		return nil
	}
	privilege := View
	if r, fault := a.row(c); fault == nil {
		privilege = r.privilege
	}
	return NotAuthenticated(c.Object, privilege)
}

// TypeOf returns the type of the object that has the id: the object of the API, or one of the
// caller's session. It returns "" if there is none. Clients written by hand often leave the type out.
func (a *API) TypeOf(ctx context.Context, c *Call, id string) (string, *Fault) {
	if typ, ok := a.ids[id]; ok {
		return typ, nil
	}
	ref := types.ManagedObjectReference{Value: id}
	if !instance.Owned(ref) {
		return "", nil
	}
	l := a.caller(ctx, c)
	if l == nil {
		// The object may belong to the caller's session, which has ended.
		return "", NotAuthenticated(ref, View)
	}
	for _, o := range a.order {
		if ref.Type = o.Type; a.Instance(l, ref) != nil {
			return o.Type, nil
		}
	}
	return "", nil
}
