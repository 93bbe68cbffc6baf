package vim

import "context"

// Refuse is Do for a call that its binding can't make out: the caller's session
// is found, for the language of the fault's text, and the fault is measured, and
// audited where the call was denied. Nothing runs, no ticket is taken, and
// nothing counts as activity.
func (a *API) Refuse(ctx context.Context, c *Call, f *Fault) {
	c.introduce()
	if c.Token != "" {
		// Where that can't be found out, the fault is told in the language of all.
		c.Session, _ = a.Sessions.Authenticate(ctx, c.Token, a.Now())
	}
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

// Unavailable refuses a call for want of something that will be back soon.
func Unavailable(cause error) *Fault {
	return &Fault{RetryAfter: retryBusy, Cause: cause, key: "unavailable"}
}
