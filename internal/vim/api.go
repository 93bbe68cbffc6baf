package vim

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/budget"
	"github.com/vigate/vigate/internal/domain"
	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/extension"
	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/session"
	"github.com/vigate/vigate/internal/setting"
	"github.com/vigate/vigate/internal/store"
)

// Options of an API. Gate is needed for logins.
type Options struct {
	Gate *login.Gate
	// LocalTickets issues local tickets; nil: not supported here.
	LocalTickets *login.LocalTickets
	// Server is what this server says of itself.
	Server ServerInfo

	// Fresh says why what this node knows may be old: it then serves nobody, as
	// a session may have been ended elsewhere. nil: it never is.
	Fresh func() error

	// Limits bound what sessions hold; nil: budget.Default.
	Limits *budget.Limits

	Log *slog.Logger     // nil: slog.Default
	Now func() time.Time // the clock of the domain; nil: time.Now
	// Observe, if set, hears of each call after it was done: the row's names,
	// the fault's kind or "", and how long it took.
	Observe func(object, name, fault string, took time.Duration)
}

// API is the managed objects and their dispatcher.
type API struct {
	// What the operations work on: the domain's managers, but for those that only
	// one package needs.
	Sessions   *session.Manager
	Access     *access.Manager
	Extensions *extension.Manager
	Events     *event.Log
	Settings   *setting.Settings
	Options

	mirror  *store.Mirror
	objects map[string]*table
	// ids has the type of each object that has an id of its own; "" if two have the same.
	ids       map[string]string
	order     []*Object
	instances *instances
	ledger    *budget.Ledger // what sessions hold
	turns     *budget.Turns  // of requests that take long work
	drain     chan struct{}  // closed when the server shuts down
	drainOnce sync.Once
}

// Drain ends the calls that wait for something, for the server to shut down.
func (a *API) Drain() { a.drainOnce.Do(func() { close(a.drain) }) }

// Draining is closed when the server shuts down.
func (a *API) Draining() <-chan struct{} { return a.drain }

// table is an object's rows by name.
type table struct {
	*Object
	methods    map[string]*Method
	properties map[string]*Property
}

// New makes the API over the domain, with the objects of the sessions. Other
// packages serve more: see Add.
func New(d *domain.Domain, o Options) (*API, error) {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	a := &API{
		Sessions: d.Sessions, Access: d.Access, Extensions: d.Extensions, Events: d.Events, Settings: d.Settings,
		Options: o, mirror: d.Mirror, objects: map[string]*table{}, ids: map[string]string{}, instances: newInstances(), drain: make(chan struct{})}
	a.bound()
	d.OnEnd(a.endSession)
	for _, o := range []*Object{
		a.serviceInstance(),
		a.sessionManager(),
		a.folder(),
		a.searchIndex(),
	} {
		if err := a.Add(o); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// Add serves one more type of managed object. It is called before the first
// request.
func (a *API) Add(o *Object) error {
	if err := o.check(); err != nil {
		return err
	}
	t := &table{o, map[string]*Method{}, map[string]*Property{}}
	for i := range o.Methods {
		t.methods[o.Methods[i].Name] = &o.Methods[i]
	}
	for i := range o.Properties {
		t.properties[o.Properties[i].Name] = &o.Properties[i]
	}
	a.objects[o.Type] = t
	if _, taken := a.ids[o.ID]; taken {
		a.ids[o.ID] = ""
	} else if o.ID != "" {
		a.ids[o.ID] = o.Type
	}
	a.order = append(a.order, o)
	return nil
}

// Objects lists the types served, in the order in which they were added.
func (a *API) Objects() []*Object { return a.order }

// Method finds the row of a method, for the binding to make its arguments.
func (a *API) Method(ref types.ManagedObjectReference, name string) (*Method, *Fault) {
	t := a.objects[ref.Type]
	if t == nil {
		return nil, TypeNotFound(ref.Type)
	}
	if m := t.methods[name]; m != nil {
		return m, nil
	}
	return nil, MethodNotFound(ref, name)
}

// Property finds the row of a property.
func (a *API) Property(ref types.ManagedObjectReference, name string) (*Property, *Fault) {
	t := a.objects[ref.Type]
	if t == nil {
		return nil, TypeNotFound(ref.Type)
	}
	if p := t.properties[name]; p != nil {
		return p, nil
	}
	return nil, PropertyNotFound(name)
}

// Object returns the rows of a type, or nil.
func (a *API) Object(typ string) *Object {
	if t := a.objects[typ]; t != nil {
		return t.Object
	}
	return nil
}

// Do runs one call: session, row, object, privilege, run, count, audit. It is the
// only way to an operation of this server, whatever the binding. A call that
// another server carries out is admitted by [API.Admit].
func (a *API) Do(ctx context.Context, c *Call) (Result, *Fault) {
	began, fault := a.begin(ctx, c)
	var result Result
	if fault == nil {
		result, fault = a.run(ctx, c)
	}
	a.end(ctx, c, fault, began)
	return result, fault
}

// begin finds the call's session, and returns when the call began. The caller
// passes it to end, whatever the fault.
func (a *API) begin(ctx context.Context, c *Call) (time.Time, *Fault) {
	began := a.Now()
	c.introduce()
	c.done = time.Time{}
	if fault := a.stale(); fault != nil {
		return began, fault
	}
	if fault := a.authenticate(ctx, c, began); fault != nil {
		return began, fault
	}
	if c.Session != nil {
		a.Sessions.Use(c.Session, began)
	}
	return began, nil
}

// end counts, measures and audits a call.
func (a *API) end(ctx context.Context, c *Call, fault *Fault, began time.Time) {
	if c.done.IsZero() {
		c.done = a.Now()
	}
	if c.Session != nil {
		a.Sessions.Count(c.Session, c.done)
	}
	a.finish(ctx, c, fault, began)
}

func (a *API) stale() *Fault {
	if a.Fresh == nil {
		return nil
	}
	if err := a.Fresh(); err != nil {
		return FaultOf(err)
	}
	return nil
}

func (a *API) run(ctx context.Context, c *Call) (Result, *Fault) {
	r, fault := a.row(c)
	if fault != nil {
		return Result{}, fault
	}
	if fault := a.resolve(c); fault != nil {
		if c.Session == nil && ownedBySession(c.Object) {
			// It may be an object of the caller's session, which is over.
			return Result{}, NotAuthenticated(c.Object, r.privilege)
		}
		return Result{}, fault
	}
	if fault := a.authorise(c, r.privilege, r.own()); fault != nil {
		return Result{}, fault
	}
	wait, fault := a.wait(c, r.method != nil && r.method.Waits)
	if fault != nil {
		return Result{}, fault
	}
	defer wait.Release()
	defer a.Rest(c)
	if c.Session != nil {
		ctx = a.hold(ctx, c, r.method)
	}
	weight := c.Weight()
	value, err := r.run(ctx, c)
	c.done = a.Now()
	if err != nil {
		return Result{}, a.objects[c.Object.Type].FaultOf(r.method, err)
	}
	if fault := a.outlived(c, r.privilege); fault != nil {
		return Result{}, fault
	}
	if fault := a.weigh(c, weight, value); fault != nil {
		return Result{}, fault
	}
	if r, ok := value.(Result); ok {
		return r, nil
	}
	return Result{Value: value}, nil
}

// wait counts the call among those that wait, if it may. The hold is nil for other
// calls.
func (a *API) wait(c *Call, waits bool) (*budget.Hold, *Fault) {
	if !waits {
		return nil, nil
	}
	if c.Session == nil {
		// It would count for nobody. No row is so, but a foreign call may be.
		return nil, NotAuthenticated(c.Object, View)
	}
	return a.Hold(c, budget.Of(budget.Waits, 1))
}

// outlived is the fault of a call whose session ended while the call was reading: a
// session that was acknowledged as ended gets no answer any more. A call that has
// committed something did so while its session lived, or has ended it.
func (a *API) outlived(c *Call, privilege access.Privilege) *Fault {
	if c.Session == nil || c.guard.used || a.Sessions.AliveAt(c.Session, c.done) && !c.strayed() {
		return nil
	}
	return NotAuthenticated(c.Object, privilege)
}

// row is what a call runs.
type row struct {
	privilege access.Privilege
	run       func(context.Context, *Call) (any, error)
	method    *Method // nil: a property
}

func (r row) own() bool { return r.method != nil && r.method.OwnSession }

// row finds the call's row.
func (a *API) row(c *Call) (row, *Fault) {
	if c.Read {
		p, fault := a.Property(c.Object, c.Name)
		if fault != nil {
			return row{}, fault
		}
		return row{privilege: p.Privilege, run: p.read}, nil
	}
	m, fault := a.Method(c.Object, c.Name)
	if fault != nil {
		return row{}, fault
	}
	c.audit.wanted = c.audit.wanted || m.Audited
	return row{privilege: m.Privilege, run: m.run, method: m}, nil
}

// authenticate finds the caller's session. A dead or unknown token is as good
// as none, and so is a ticket that is not for this request. The fault is that it
// can't be found out.
func (a *API) authenticate(ctx context.Context, c *Call, now time.Time) *Fault {
	c.Session, c.standing = nil, session.Standing{} // whatever its binding has looked up
	if !c.Token.IsZero() {
		l, err := a.Sessions.Authenticate(ctx, c.Token, now)
		if err != nil {
			return FaultOf(err)
		}
		c.Session = l
	}
	if c.Session != nil || c.HTTP.Ticket.IsZero() {
		return nil
	}
	c.uses(login.ServiceKind)
	l, standing, err := a.Sessions.RedeemHTTPTicket(ctx, c.HTTP.Ticket, c.HTTP.Method, c.HTTP.Target)
	switch {
	case errors.Is(err, session.ErrBadTicket):
		c.Note("ticketOutcome", "refused")
	case err != nil:
		return FaultOf(err)
	default:
		c.Note("ticketOutcome", "spent")
		c.Session, c.standing = l, standing
	}
	return nil
}

// authorise holds the call to its row's privilege, or only to a live session if
// the row concerns the caller's own session. It fails closed: an unknown
// privilege is one that nobody has.
func (a *API) authorise(c *Call, privilege access.Privilege, own bool) *Fault {
	switch {
	case privilege == Anonymous:
		return nil
	case c.Session == nil:
		return NotAuthenticated(c.Object, privilege)
	}
	has := own || a.Has(c, privilege)
	switch {
	case c.strayed():
		return NotAuthenticated(c.Object, privilege)
	case has:
		return nil
	}
	return NoPermission(c.Object, nil, privilege)
}

// Has reports whether the caller has the privilege on the root folder.
func (a *API) Has(c *Call, privilege access.Privilege) bool {
	// strayed comes last: it tells whether the session was the caller's until then.
	return c.Session != nil && a.SessionHas(c.Session, privilege) && !c.strayed()
}

// SessionHas reports whether the session has the privilege on the root folder.
func (a *API) SessionHas(l *session.Live, privilege access.Privilege) bool {
	return a.Access.Has(login.SubjectOf(l), privilege)
}

// MessageLocale is the locale of the texts that the caller gets.
func (a *API) MessageLocale(c *Call) string {
	if c.Session != nil {
		return c.Session.MessageLocale()
	}
	return a.anonymousLocale(c)
}
