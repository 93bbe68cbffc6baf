package vim

import (
	"cmp"
	"context"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/budget"
)

// Foreign describes a call that another server carries out. It has the facts that a row has about a
// call of this server.
type Foreign struct {
	Privilege access.Privilege // Anonymous if no session is needed
	// OwnSession is set if any live session may make the call, whatever its privileges.
	OwnSession bool
	Audited    bool // whether the call leaves an audit line, whatever its outcome
	Waits      bool // whether the call may wait for a change for a long time
	// Measured is the object's name in metrics. It must be one of a few names, because a name that
	// a client sends must not become a label.
	Measured string
	// Operation is the operation's name in metrics. It must be one of a bounded number of texts too. If it is empty,
	// the name of the call is used.
	Operation string
}

// Admission is a call that may be carried out by another server.
type Admission struct {
	// Context is bound to the call's authority, as that of a row: a commit of the call fails unless
	// its session and its privileges are still the same.
	Context context.Context

	api     *API
	call    *Call
	foreign Foreign
	began   time.Time
	wait    *budget.Hold
	over    bool
}

// Admit admits a call that another server carries out. It finds the call's session and checks the
// privilege, as [API.Do] does for a row. The caller must call Done of the admission. A call that is
// not admitted is counted, measured and audited here, and the caller answers with the fault.
func (a *API) Admit(ctx context.Context, c *Call, f Foreign) (*Admission, *Fault) {
	began, fault := a.begin(ctx, c)
	c.audit.wanted = c.audit.wanted || f.Audited
	c.measured, c.measuredAs = f.Measured, f.Operation
	if fault == nil {
		fault = a.authorise(ctx, c, f.Privilege, f.OwnSession)
	}
	var wait *budget.Hold
	if fault == nil {
		wait, fault = a.wait(c, f.Waits)
	}
	if fault != nil {
		a.end(ctx, c, fault, began)
		return nil, fault
	}
	ad := &Admission{Context: ctx, api: a, call: c, foreign: f, began: began, wait: wait}
	if c.Session != nil {
		ad.Context = a.hold(ctx, c, &Method{Name: c.Name, Privilege: f.Privilege, OwnSession: f.OwnSession})
	}
	return ad, nil
}

// Done ends the call: it counts, measures and audits it. fault is nil if the other server has
// answered, even with an error. Done returns the fault to answer with: the given one, or
// NotAuthenticated if the session has ended in the meantime. Only the first call of Done has an
// effect.
func (ad *Admission) Done(fault *Fault) *Fault {
	if ad.over {
		return fault
	}
	ad.over = true
	a, c := ad.api, ad.call
	ad.wait.Release()
	a.Rest(c)
	c.done = a.now()
	if fault == nil || IsFault[*types.ManagedObjectNotFound](fault) { // what the session owned is gone with it
		fault = cmp.Or(a.outlived(c, ad.foreign.Privilege), fault)
	}
	a.end(ad.Context, c, fault, ad.began)
	return fault
}
