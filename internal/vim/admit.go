package vim

import (
	"context"
	"time"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/budget"
)

// Foreign is what a call needs here if another server carries it out. A call of
// this server has a row that says the same.
type Foreign struct {
	Privilege access.Privilege // Anonymous if nobody has to be logged in
	Audited   bool             // the call leaves an audit line, whatever comes of it
	Waits     bool             // the call may wait for a change, for long
	// Measured is the object's name in metrics. The names that a client writes must
	// not become labels, so it is one of few.
	Measured string
}

// Admission is a call that may be carried out by another server.
type Admission struct {
	// Context is held to the call's authority, as a row's: a commit that the call
	// makes needs its session and its privileges as they are now.
	Context context.Context

	api     *API
	call    *Call
	foreign Foreign
	began   time.Time
	wait    *budget.Hold
	over    bool
}

// Admit admits a call that another server carries out: it finds the call's session
// and holds the call to the privilege, as [API.Do] does for a row. The caller must
// call Done of the admission. A call that is not admitted is counted, measured and
// audited here, and its fault is the answer.
func (a *API) Admit(ctx context.Context, c *Call, f Foreign) (*Admission, *Fault) {
	began, fault := a.begin(ctx, c)
	c.audit.wanted = c.audit.wanted || f.Audited
	c.measured = f.Measured
	if fault == nil {
		fault = a.authorise(c, f.Privilege, false)
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
		ad.Context = a.hold(ctx, c, &Method{Name: c.Name, Privilege: f.Privilege})
	}
	return ad, nil
}

// Done ends the call. fault is what came of it; nil if the other server has
// answered, with whatever answer. Done counts, measures and audits the call, and
// returns the fault to answer with: that of a session that ended meanwhile, which
// gets no answer, or else the one that was given. Only the first call of Done
// counts.
func (ad *Admission) Done(fault *Fault) *Fault {
	if ad.over {
		return fault
	}
	ad.over = true
	a, c := ad.api, ad.call
	ad.wait.Release()
	a.Rest(c)
	c.done = a.Now()
	if fault == nil {
		fault = a.outlived(c, ad.foreign.Privilege)
	}
	a.end(ad.Context, c, fault, ad.began)
	return fault
}
