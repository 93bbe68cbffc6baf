package vim

import (
	"cmp"
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
	"github.com/vigate/vigate/internal/instance"
	"github.com/vigate/vigate/internal/locale"
	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/peer"
	"github.com/vigate/vigate/internal/session"
	"github.com/vigate/vigate/internal/store"
)

// Options configures an API. All fields are optional.
type Options struct {
	// Fresh returns an error while the state of this node may be out of date. The node then serves
	// no calls, because another node may have ended a session. If nil, the state is always current.
	Fresh func() error
	// Permits reports whether a session has a privilege on the root folder, for a front whose users are
	// those of an upstream server. If nil, the permissions of the domain decide.
	Permits func(context.Context, *session.Live, access.Privilege) (bool, error)
	// Limits bound what sessions hold. If nil, budget.Default.
	Limits *budget.Limits

	Logger *slog.Logger     // if nil, slog.Default
	Now    func() time.Time // the clock of the domain; if nil, time.Now
	// Unreadable is called for a refused request whose token can't be read, if its caller has no session.
	// It counts a failed login, and returns when the answer is due. It may be nil.
	Unreadable func(context.Context, peer.Peer, error)
	// Observe is called after each call, with the names of the row, the kind of the fault ("" for
	// success) and the duration. It may be nil.
	Observe func(object, name, fault string, took time.Duration)
}

// API dispatches calls to managed objects. Its methods are safe for concurrent use, except Add.
type API struct {
	sessions *session.Manager
	access   *access.Manager
	events   *event.Log
	mirror   *store.Mirror
	locale   func(requested string) (locale.Choice, error)

	permits func(context.Context, *session.Live, access.Privilege) (bool, error) // nil: access decides

	fresh   func() error // nil: always fresh
	now     func() time.Time
	logger  *slog.Logger
	observe func(object, name, fault string, took time.Duration) // may be nil

	unreadable func(context.Context, peer.Peer, error) // may be nil
	objects    map[string]*table
	// ids has the type of each object that has an id of its own, or "" if two have the same id.
	ids       map[string]string
	order     []*Object
	instances *instance.Table
	ledger    *budget.Ledger // what sessions hold
	turns     *budget.Turns  // turns of requests that take long
	drain     chan struct{}  // closed when the server shuts down
	drainOnce sync.Once
}

// table is an object's rows by name.
type table struct {
	*Object
	methods    map[string]*Method
	properties map[string]*Property
}

// New creates an API over the domain, for this server itself or for the front that the domain is of: see
// domain.Domain.On. It knows only the sessions of that domain, whether a token proves them, a ticket for one request
// or a ticket for a clone. It serves no objects until Add is called.
func New(d *domain.Domain, o Options) *API {
	a := &API{
		sessions: d.Sessions, access: d.Access, events: d.Events, mirror: d.Mirror, locale: d.Locale,
		permits: o.Permits, fresh: o.Fresh, now: o.Now, observe: o.Observe, unreadable: o.Unreadable,
		logger:  cmp.Or(o.Logger, slog.Default()),
		objects: map[string]*table{}, ids: map[string]string{}, instances: instance.NewTable(),
		drain: make(chan struct{}),
	}
	if a.now == nil {
		a.now = time.Now
	}
	a.bound(o.Limits)
	d.OnEnd(a.endSession)
	return a
}

// Drain ends the calls that wait for a change, because the server shuts down.
func (a *API) Drain() { a.drainOnce.Do(func() { close(a.drain) }) }

// Draining returns a channel that is closed when the server shuts down.
func (a *API) Draining() <-chan struct{} { return a.drain }

// Now returns the time of the domain's clock.
func (a *API) Now() time.Time { return a.now() }

// Add adds types of managed objects. It must be called before the first request.
func (a *API) Add(objects ...*Object) error {
	for _, o := range objects {
		if err := a.add(o); err != nil {
			return err
		}
	}
	return nil
}

func (a *API) add(o *Object) error {
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

// Objects returns the types of managed objects in the order in which they were added.
func (a *API) Objects() []*Object { return a.order }

// Method returns the row of a method. Bindings need it to create the arguments.
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

// Property returns the row of a property.
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

// Do runs one call: session, row, object, privilege, function, count, audit. It is the only way to
// an operation of this server, for all bindings. A call that another server carries out is admitted
// by [API.Admit].
func (a *API) Do(ctx context.Context, c *Call) (Result, *Fault) {
	began, fault := a.begin(ctx, c)
	var result Result
	if fault == nil {
		result, fault = a.run(ctx, c)
	}
	a.end(ctx, c, fault, began)
	return result, fault
}

// begin finds the call's session, and returns when the call began. The caller passes that time to
// end, even if there is a fault.
func (a *API) begin(ctx context.Context, c *Call) (time.Time, *Fault) {
	began := a.now()
	c.introduce()
	c.done = time.Time{}
	if fault := a.stale(); fault != nil {
		return began, fault
	}
	if fault := a.authenticate(ctx, c, began); fault != nil {
		return began, fault
	}
	if c.Session != nil {
		a.sessions.Use(c.Session, began)
	}
	return began, nil
}

// end counts, measures and audits a call.
func (a *API) end(ctx context.Context, c *Call, fault *Fault, began time.Time) {
	if c.done.IsZero() {
		c.done = a.now()
	}
	if c.Session != nil {
		a.sessions.Count(c.Session, c.done)
	}
	a.finish(ctx, c, fault, began)
}

// stale returns a fault while the state of this node may be out of date.
func (a *API) stale() *Fault {
	if a.fresh == nil {
		return nil
	}
	if err := a.fresh(); err != nil {
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
		if c.Session == nil && instance.Owned(c.Object) {
			// The object may belong to the caller's session, which has ended.
			return Result{}, NotAuthenticated(c.Object, r.privilege)
		}
		return Result{}, fault
	}
	if fault := a.authorise(ctx, c, r.privilege, r.own()); fault != nil {
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
	c.done = a.now()
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

// wait counts the call as one of the session's waiting calls if waits is set. If not, the hold is
// nil.
func (a *API) wait(c *Call, waits bool) (*budget.Hold, *Fault) {
	if !waits {
		return nil, nil
	}
	if c.Session == nil {
		// There is no session that the call could count for. Rows that wait need a session, but a
		// foreign call may not.
		return nil, NotAuthenticated(c.Object, View)
	}
	return a.Hold(c, budget.Of(budget.Waits, 1))
}

// outlived returns a fault if the call's session ended while the call was reading: after the end of
// a session is acknowledged, the session gets no data. A call that has committed something did so
// while its session lived, or has ended the session itself.
func (a *API) outlived(c *Call, privilege access.Privilege) *Fault {
	if c.Session == nil || c.guard.used || a.sessions.AliveAt(c.Session, c.done) && !c.strayed() {
		return nil
	}
	return NotAuthenticated(c.Object, privilege)
}

// row is what a call runs.
type row struct {
	privilege access.Privilege
	run       func(context.Context, *Call) (any, error)
	method    *Method // nil for a property
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

// authenticate finds the caller's session. An unknown or expired token counts as none, and so does a
// ticket for another request. It returns a fault only if the session can't be looked up.
func (a *API) authenticate(ctx context.Context, c *Call, now time.Time) *Fault {
	c.Session, c.standing = nil, session.Standing{} // ignore an earlier lookup by the binding
	if !c.Token.IsZero() {
		l, err := a.sessions.Authenticate(ctx, c.Token, now)
		if err != nil {
			return FaultOf(err)
		}
		c.Session = l
	}
	if c.Session != nil || c.HTTP.Ticket.IsZero() {
		return nil
	}
	c.UsesTicket(login.ServiceKind)
	l, standing, err := a.sessions.RedeemHTTPTicket(ctx, c.HTTP.Ticket, c.HTTP.Method, c.HTTP.Target)
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

// authorise checks that the caller has the privilege. If own is set, the row concerns only the
// caller's own session, and any live session will do. It fails closed: nobody has an unknown
// privilege.
func (a *API) authorise(ctx context.Context, c *Call, privilege access.Privilege, own bool) *Fault {
	switch {
	case privilege == Anonymous:
		return nil
	case c.Session == nil:
		return NotAuthenticated(c.Object, privilege)
	}
	has := own || a.permits == nil && a.Has(c, privilege)
	if !has && a.permits != nil {
		var err error
		if has, err = a.permits(ctx, c.Session, privilege); err != nil {
			return FaultOf(err)
		}
	}
	switch {
	case c.strayed():
		return NotAuthenticated(c.Object, privilege)
	case has:
		return nil
	}
	return NoPermission(c.Object, nil, privilege)
}

// Has reports whether the caller has the privilege on the root folder, by the permissions of the domain.
func (a *API) Has(c *Call, privilege access.Privilege) bool {
	// strayed is checked last, because it shows whether the session was the caller's until then.
	return c.Session != nil && a.SessionHas(c.Session, privilege) && !c.strayed()
}

// SessionHas reports whether the session has the privilege on the root folder.
func (a *API) SessionHas(l *session.Live, privilege access.Privilege) bool {
	return a.access.Has(login.SubjectOf(l), privilege)
}

// AuthorityChanged returns a channel that is closed at the next change of roles or permissions.
func (a *API) AuthorityChanged() <-chan struct{} { return a.access.Changed() }

// MessageLocale returns the locale of the texts for the caller. For a caller without a session that
// is the locale in the arguments, else that of Accept-Language, else the default.
func (a *API) MessageLocale(c *Call) string {
	if c.Session != nil {
		return c.Session.MessageLocale()
	}
	requested := a.requestedLocale(c)
	if requested == "" && c.AcceptLanguage != "" {
		return locale.AcceptLanguage(c.AcceptLanguage)
	}
	choice, err := a.locale(requested)
	if err != nil {
		return locale.Default
	}
	return choice.MessageLocale
}

// requestedLocale returns the locale in the call's arguments, or "" if there is none.
func (a *API) requestedLocale(c *Call) string {
	if c.Read || c.Args == nil {
		return ""
	}
	m, fault := a.Method(c.Object, c.Name)
	if fault != nil || m.locale == nil {
		return ""
	}
	return m.locale(c.Args)
}
