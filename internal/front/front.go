// Package front makes the part of a front that does not pass calls on: who may log in, the API of the front's own
// objects, and the upstream account as which a client session acts. Package gateway passes the other calls on.
//
// A [Front] is made for one upstream. With accounts, its users are principals of this server, and [Front.Choose]
// finds the account of a session. With pass-through, its users are those of the upstream: they log in with their
// passwords there, have their privileges there, and their sessions end when the upstream has no session of theirs any
// more.
package front

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/domain"
	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/login/passthrough"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/session"
	"github.com/vigate/vigate/internal/sessionmanager"
	"github.com/vigate/vigate/internal/upstream"
	"github.com/vigate/vigate/internal/upstream/settings"
	"github.com/vigate/vigate/internal/vim"
)

// Options configures a front. Domain, Upstream, Config and Gate are required.
type Options struct {
	Domain   *domain.Domain // of the server
	Upstream *upstream.Upstream
	Config   upstream.Config
	// Gate is that of the server. A front for principals of the server counts failed logins with it.
	Gate *login.Gate
	// Thumbprint returns the SHA-1 of the front's own certificate as AA-BB-…, for clone tickets. If nil,
	// the front shows that of the server.
	Thumbprint func() string
	// Methods are the ways in of the server besides clones, for a front with accounts.
	Methods []login.Method
	// Login has the other options of the front's gate: Started, Grid and Wait.
	Login login.GateOptions
	// API has the options of the front's API, but for Permits and Unreadable.
	API vim.Options
	// Manager has the options of SessionManager, but for Gate, ID and Front.
	Manager sessionmanager.Options
	Now     func() time.Time // if nil, time.Now
	Logger  *slog.Logger     // if nil, slog.Default
}

// Front is one front. It is safe for concurrent use.
type Front struct {
	name     string
	o        Options
	domain   *domain.Domain
	gate     *login.Gate
	through  *passthrough.Method // nil with accounts
	current  atomic.Pointer[current]
	retained sync.Map // session.Key of a pass-through session to the function that releases its account
}

// current is what a reload replaces.
type current struct {
	rules     rules
	verifyFor time.Duration
}

// New returns a front. It has no API until Open.
func New(o Options) *Front {
	o.Logger = cmp.Or(o.Logger, slog.Default()).With("front", o.Config.Name)
	if o.Now == nil {
		o.Now = time.Now
	}
	f := &Front{name: o.Config.Name, o: o, domain: o.Domain.On(o.Config.Name)}
	if o.Thumbprint != nil {
		f.domain.Sessions = f.domain.Sessions.Showing(o.Thumbprint)
	}
	f.Reload(o.Config)
	g := o.Login
	g.Methods = []login.Method{login.Clone{Sessions: f.domain.Sessions}}
	if o.Config.PassThrough {
		f.through = passthrough.New(passthrough.Options{
			Front: f.name, Upstream: tries{o.Upstream}, Digest: o.Domain.Accounts.Digest, Now: o.Now,
			VerifyFor: func() time.Duration { return f.current.Load().verifyFor },
		})
		g.Methods, g.Upstream, g.Entered = append(g.Methods, f.through), f.name, f.retain
		f.domain.OnEnd(f.release)
	} else {
		g.Methods, g.Beside = append(g.Methods, o.Methods...), o.Gate
		g.Admits = func(grant session.Grant) bool {
			_, ok := f.current.Load().rules.account(&grant.Identity)
			return ok
		}
	}
	f.gate = f.domain.NewGate(g)
	return f
}

// Name returns the name of the front and its upstream.
func (f *Front) Name() string { return f.name }

// Gate returns the gate of the front's logins.
func (f *Front) Gate() *login.Gate { return f.gate }

// Sessions returns the manager of the sessions of the front.
func (f *Front) Sessions() *session.Manager { return f.domain.Sessions }

// PassThrough reports whether the users of the front are those of the upstream.
func (f *Front) PassThrough() bool { return f.through != nil }

// Open makes the API of the front. manager is the id of the upstream's SessionManager, because the front
// has the same. So an API is opened only when the upstream was reached once.
func (f *Front) Open(manager string) (*vim.API, error) {
	o := f.o.API
	o.Unreadable = f.gate.Unreadable
	if f.through != nil {
		o.Permits = f.permits
	}
	api := vim.New(f.domain, o)
	m := f.o.Manager
	m.Gate, m.ID = f.gate, manager
	m.Front = &sessionmanager.Front{PassThrough: f.through != nil, Message: f.message}
	if f.through != nil {
		m.LocalTickets = nil
	}
	return api, sessionmanager.Serve(api, f.domain, m)
}

// Reload applies the accounts of another configuration, and which principals act as which account.
// No session ends.
func (f *Front) Reload(cfg upstream.Config) {
	c := &current{rules: newRules(cfg.Accounts, f.o.Domain.DefaultDomain()), verifyFor: cfg.VerifyFor}
	if cfg.Mode == settings.Private {
		c.verifyFor = 0 // each client session needs a session of its own, and thus a login
	}
	f.current.Store(c)
}

// Choose returns the account of the upstream as which the session acts. The error is a *vim.Fault:
// NoPermission if no account is for the session's principal, or NotAuthenticated if the upstream has no
// session of the user any more. In the second case the session has ended.
func (f *Front) Choose(l *session.Live) (*upstream.Account, error) {
	identity, _ := l.Who()
	if f.through != nil {
		return f.user(l, identity)
	}
	if name, ok := f.current.Load().rules.account(identity); ok {
		if a, ok := f.o.Upstream.Account(name); ok {
			return a, nil
		}
	}
	return nil, vim.NoPermission(vim.RootFolder(), errNoAccount, vim.View)
}

// AccountName returns the name of the account that Choose would return, or "" if there is none. It ends no
// session.
func (f *Front) AccountName(l *session.Live) string {
	identity, _ := l.Who()
	if f.through == nil {
		name, _ := f.current.Load().rules.account(identity)
		return name
	}
	_, name, _ := identity.Name.Upstream()
	if a, ok := f.o.Upstream.User(name); ok {
		return a.Name()
	}
	return ""
}

var (
	errNoAccount = errors.New("no account of the upstream is for the principal")
	errGone      = errors.New("the upstream has no session of the user any more")
)

// user returns the account of a pass-through user.
func (f *Front) user(l *session.Live, identity *session.Identity) (*upstream.Account, error) {
	_, name, _ := identity.Name.Upstream()
	a, ok := f.o.Upstream.User(name)
	if ok {
		f.keep(l, a)
		return a, nil
	}
	// The session is useless now: its client must log in again, and it can't while it has a session.
	ctx, cancel := context.WithTimeout(context.Background(), endTime)
	defer cancel()
	if err := f.domain.Sessions.End(ctx, l, session.Logout(l.Session())); err != nil &&
		!errors.Is(err, session.ErrNoSession) {
		return nil, fmt.Errorf("end session: %w", err)
	}
	fault := vim.NotAuthenticated(vim.RootFolder(), vim.View)
	fault.Cause = errGone
	return nil, fault
}

// endTime is how long the end of sessions may take that have lost their upstream sessions.
const endTime = 30 * time.Second

// Gone ends the sessions of a pass-through user who has no session at the upstream any more. The password
// is not kept, so their clients must log in again. Sessions that start after the call go on: the user has
// logged in again in the meantime. It is the function for upstream.Options.OnGone.
func (f *Front) Gone(a *upstream.Account) {
	if f.through == nil {
		return
	}
	gone := f.o.Now()
	f.through.Forget(a.Name())
	who := principal.OfUpstream(f.name, a.Name())
	is := func(n principal.Name) bool { return n == who } // the case counts, as for Upstream.User
	ctx, cancel := context.WithTimeout(context.Background(), endTime)
	defer cancel()
	n, err := f.domain.Sessions.EndAll(ctx, func(s *session.Session) bool {
		return s.Front == f.name && is(s.Identity.Name) && !s.LoginTime.After(gone)
	}, func(s session.Session) event.Event { return session.Terminated(s, event.By(who.String())) })
	if err != nil {
		// Each of them ends at its next call, see user.
		f.o.Logger.Warn("sessions of a user without a session at the upstream are left", "user", who.String(),
			"err", err)
	}
	f.o.Logger.Info("the upstream has no session of a user any more", "user", who.String(), "ended", n)
}

// retain keeps a pass-through user logged in at the upstream as long as the session lives.
func (f *Front) retain(l *session.Live) {
	identity, _ := l.Who()
	if _, name, ok := identity.Name.Upstream(); ok {
		if a, ok := f.o.Upstream.User(name); ok {
			f.keep(l, a)
		}
	}
}

// hold is the account that a session retains.
type hold struct {
	account *upstream.Account
	release func()
}

func (f *Front) keep(l *session.Live, a *upstream.Account) {
	if h, ok := f.retained.Load(l.Key()); ok && h.(hold).account == a {
		return
	}
	if old, was := f.retained.Swap(l.Key(), hold{a, a.Retain()}); was {
		old.(hold).release()
	}
	if !f.domain.Sessions.Alive(l) {
		f.release(l.Key()) // it ended before it was registered
	}
}

func (f *Front) release(key session.Key) {
	if h, ok := f.retained.LoadAndDelete(key); ok {
		h.(hold).release()
	}
}

// permits reports what a pass-through session may do with the front's SessionManager. The upstream decides that.
// Every session may view, as in vCenter.
func (f *Front) permits(ctx context.Context, l *session.Live, privilege access.Privilege) (bool, error) {
	if privilege == vim.View {
		return true, nil
	}
	a, err := f.Choose(l)
	if err != nil {
		return false, err
	}
	id := string(privilege)
	has, err := a.Privileges(ctx, id)
	if err != nil {
		return false, explain(err)
	}
	return has[id], nil
}

// message returns the upstream's service message.
func (f *Front) message(ctx context.Context, l *session.Live) (string, error) {
	a, err := f.Choose(l)
	if err != nil {
		return "", err
	}
	text, err := a.Message(ctx)
	if err != nil {
		return "", explain(err)
	}
	return text, nil
}

// explain returns the fault for an error of the upstream. The client should try again: what failed was a
// call of the server's own.
func explain(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return vim.Unavailable(err)
}

// tries is the upstream as passthrough needs it.
type tries struct{ *upstream.Upstream }

// Try implements passthrough.Upstream.
func (t tries) Try(ctx context.Context, user string, password secret.Text) (passthrough.User, error) {
	a, s, err := t.Upstream.Try(ctx, user, password)
	switch {
	case errors.Is(err, upstream.ErrRejected):
		return passthrough.User{}, fmt.Errorf("%w: %w", passthrough.ErrRefused, err)
	case err != nil:
		return passthrough.User{}, explain(err)
	}
	return passthrough.User{Name: a.Name(), FullName: s.Info().FullName}, nil
}
