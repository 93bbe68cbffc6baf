package vim

import (
	"context"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/session"
)

// Refuse is Do for a call that its binding can't make out: the caller's session
// is found, for the language of the fault's text, and the fault is measured, and
// audited where the call was denied. Nothing runs, no ticket is taken, and
// nothing counts as activity.
func (a *API) Refuse(ctx context.Context, c *Call, f *Fault) {
	c.introduce()
	// If the session can't be found, the text is in the default language.
	a.caller(ctx, c)
	if denied(f) {
		a.audit(ctx, c, f)
	}
	if a.Observe == nil {
		return
	}
	// Names that the table does not have would be a stranger's labels in the
	// metrics.
	object, name := c.Object.Type, c.Name
	if _, unknown := a.row(c); unknown != nil {
		object, name = "", ""
	}
	a.Observe(object, name, f.Kind(), 0)
}

// caller finds the session of a call before the call is admitted, by its token
// alone: no ticket is taken, and nothing counts as activity. It looks once, however
// often it is asked, as a look may cost a request to the store.
func (a *API) caller(ctx context.Context, c *Call) *session.Live {
	if !c.found && !c.Token.IsZero() {
		c.Session, _ = a.Sessions.Authenticate(ctx, c.Token, a.Now())
	}
	c.found = true
	return c.Session
}

// Lookup returns the fault of a call whose object is not there for its caller, as Do
// gives it; nil if it is there, or there is no such type. A binding asks before it
// refuses a call for its operation or its arguments, so that an object is found
// before they are judged, and a call that is well made is looked up only once.
func (a *API) Lookup(ctx context.Context, c *Call) *Fault {
	t := a.objects[c.Object.Type]
	if t == nil || t.ID != "" && c.Object.Value == t.ID {
		return nil
	}
	l := a.caller(ctx, c)
	switch {
	case a.Instance(l, c.Object) != nil:
		return nil
	case l != nil || !ownedBySession(c.Object):
		return ObjectNotFound(c.Object)
	case !c.HTTP.Ticket.IsZero():
		// It may be a ticket of the object's session, and is not taken for a call
		// that is refused in any case.
		return nil
	}
	privilege := View
	if r, fault := a.row(c); fault == nil {
		privilege = r.privilege
	}
	return NotAuthenticated(c.Object, privilege)
}

// TypeOf returns the type of the object that an id alone stands for, to the caller:
// the object of the API that has the id, or one of the caller's session. It is "" if
// there is none. Clients written by hand often leave the type out.
func (a *API) TypeOf(ctx context.Context, c *Call, id string) (string, *Fault) {
	if typ, ok := a.ids[id]; ok {
		return typ, nil
	}
	ref := types.ManagedObjectReference{Value: id}
	if !ownedBySession(ref) {
		return "", nil
	}
	l := a.caller(ctx, c)
	if l == nil {
		// It may be an object of the caller's session, which is over.
		return "", NotAuthenticated(ref, View)
	}
	for _, o := range a.order {
		if ref.Type = o.Type; a.Instance(l, ref) != nil {
			return o.Type, nil
		}
	}
	return "", nil
}

// Unavailable refuses a call for want of something that will be back soon.
func Unavailable(cause error) *Fault {
	return &Fault{RetryAfter: retryBusy, Cause: cause, key: "unavailable"}
}
