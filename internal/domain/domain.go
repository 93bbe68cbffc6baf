// Package domain creates the managers of sessions, users, permissions, extensions, settings and
// events over one store, and connects them. It defines how they depend on each other and which
// setting controls which of them. The server uses it, and so do tests of a whole API.
//
// [New] creates a [Domain] from [Options]. [Domain.NewGate] creates the gate for logins. The
// package has no network code and no wire formats.
package domain

import (
	"cmp"
	"context"
	"log/slog"
	"time"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/account"
	"github.com/vigate/vigate/internal/directory"
	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/extension"
	"github.com/vigate/vigate/internal/locale"
	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/roster"
	"github.com/vigate/vigate/internal/session"
	"github.com/vigate/vigate/internal/setting"
	"github.com/vigate/vigate/internal/store"
)

// Options configures a domain. Store, Base and Thumbprint are required.
type Options struct {
	Store store.Store
	// Base holds the values of settings that no client has changed.
	Base setting.Values
	// Thumbprint returns the SHA-1 thumbprint of the server's certificate in the form AA-BB-….
	// Clone tickets contain it.
	Thumbprint func() string
	// DefaultDomain is the domain of the local users. If empty, account.DefaultDomain is used.
	DefaultDomain string
	// Views are additional views that the mirror updates.
	Views []store.View

	// Sources are the identity sources besides the local users.
	Sources []directory.Source
	// Exists reports whether a user or group exists. It is not called for extensions. If nil, the
	// domain's directory is used.
	Exists   func(who principal.Name, group bool) bool
	Cost     account.Cost  // cost of a password's hash; if zero, account's default
	Patience time.Duration // how long a login waits for its hash; if 0, account's default
	// Policy changes the rules for sessions that follow from the settings. If nil, they are not changed.
	Policy   func(session.Policy) session.Policy
	Requests func() uint64                // see account.Options; may be nil
	Sweeps   func() (time.Duration, bool) // see session.Options; may be nil
	Now      func() time.Time             // if nil, time.Now
	Logger   *slog.Logger                 // if nil, slog.Default
}

// Domain holds the managers over one store. Mirror updates their views.
type Domain struct {
	Mirror     *store.Mirror
	Events     *event.Log
	Settings   *setting.Settings
	Sessions   *session.Manager
	Access     *access.Manager
	Accounts   *account.Manager
	Extensions *extension.Manager
	Directory  directory.Directory // users and groups; the local users are the first source
	Spent      *login.Spent        // proofs that were used and must not be used again

	sessions      *session.Table
	change        func(session.Policy) session.Policy // nil: the rules are not changed
	defaultDomain string
	now           func() time.Time
	logger        *slog.Logger
}

// New creates a domain. The domain is empty until Mirror runs and has read the whole store.
func New(o Options) (*Domain, error) {
	o.DefaultDomain = cmp.Or(o.DefaultDomain, account.DefaultDomain)
	o.Logger = cmp.Or(o.Logger, slog.Default())
	d := &Domain{
		Events: event.NewLog(event.Options{Now: o.Now, Logger: o.Logger}),
		Spent:  &login.Spent{}, change: o.Policy, defaultDomain: o.DefaultDomain, now: o.Now, logger: o.Logger,
	}
	var err error
	d.Settings, err = setting.New(setting.Config{
		Base: o.Base, Events: d.Events, Logger: o.Logger,
		CheckLocale: func(name string) error { _, err := locale.Fit(name); return err },
	})
	if err != nil {
		return nil, err
	}
	var authority *access.Table
	extensions := extension.NewTable(func() { authority.Refresh() }, o.Logger)
	authority = access.NewTable(declared(extensions), o.Logger)
	accounts := account.NewTable(o.DefaultDomain, o.Logger)
	d.Directory = append(directory.Directory{directory.LocalUsers(accounts)}, o.Sources...)
	if o.Exists == nil {
		o.Exists = func(who principal.Name, group bool) bool {
			return d.Directory.Has(context.Background(), who, group)
		}
	}
	d.sessions = session.NewTable(o.Logger)
	names := &roster.Roster{Names: []roster.Names{accounts, extensions}}
	d.Mirror = store.NewMirror(o.Store, append([]store.View{
		d.Settings.View(), extensions.View(), authority.View(), accounts.View(), names.View(), d.sessions.View(),
		d.Events.View(), d.Spent.View(),
	}, o.Views...)...)
	names.Mirror = d.Mirror
	d.Settings.Attach(d.Mirror)

	d.Sessions = session.NewManager(session.Options{
		Mirror: d.Mirror, Table: d.sessions, Events: d.Events, Policy: d.policy, Thumbprint: o.Thumbprint,
		Sweeps: o.Sweeps, Spares: d.spares, Now: o.Now,
	})
	d.Access = access.NewManager(access.Options{
		Mirror: d.Mirror, Table: authority, Events: d.Events,
		Exists: func(who principal.Name, group bool) bool {
			if who.Domain == "" {
				return !group && extensions.Exists(who.User)
			}
			return o.Exists(who, group)
		},
		Enabled: accounts.Enabled,
	})
	d.Extensions = extension.NewManager(extension.Options{
		Mirror: d.Mirror, Table: extensions, Roster: names, Events: d.Events, Authority: d.Access,
		End: d.Sessions.Evict, Now: o.Now, Logger: o.Logger,
	})
	d.Accounts, err = account.NewManager(account.Options{
		Mirror: d.Mirror, Table: accounts, Roster: names, Events: d.Events, Authority: d.Access,
		End: d.Sessions.Evict, Cost: o.Cost, Patience: o.Patience, Requests: o.Requests, Now: o.Now, Logger: o.Logger,
	})
	return d, err
}

// On returns the domain as a front sees it: its Sessions are those of the front, see
// session.Manager.On. Gates and APIs of the returned domain are those of the front. All else is shared.
func (d *Domain) On(front string) *Domain {
	on := *d
	on.Sessions = d.Sessions.On(front)
	return &on
}

// OnEnd registers f, which is called after each end of a session of any front, so that the resources of
// the session can be released. f must return quickly. Sessions that ended before OnEnd are not reported.
func (d *Domain) OnEnd(f func(session.Key)) { d.sessions.OnEnd(f) }

// NewGate returns a gate, which every login passes. It sets the options that are parts of the domain. The
// caller sets Methods, Started, Entered, Admits, Upstream, Beside, Grid and Wait.
func (d *Domain) NewGate(o login.GateOptions) *login.Gate {
	o.Sessions, o.Access, o.Mirror, o.DefaultDomain = d.Sessions, d.Access.Table(), d.Mirror, d.defaultDomain
	o.Throttle = login.NewThrottle(d.Settings.Values, d.known, d.now)
	o.Reports = login.NewReports(d.Mirror, d.Events, d.now, d.logger)
	o.Locale, o.Now, o.Logger = d.Locale, d.now, d.logger
	return login.NewGate(o)
}

// DefaultDomain returns the domain of names that are given without one.
func (d *Domain) DefaultDomain() string { return d.defaultDomain }

// Locale returns the supported locale for the requested name, or the default locale if the name is
// empty. The only error is locale.ErrInvalid.
func (d *Domain) Locale(requested string) (locale.Choice, error) {
	return locale.Fit(cmp.Or(requested, d.Settings.Values().DefaultLocale))
}

// known reports whether a local user or extension exists. It looks only in memory, and takes the
// same time in both cases.
func (d *Domain) known(who principal.Name) bool {
	if who.Domain == "" {
		return d.Extensions.Exists(who.User)
	}
	return d.Accounts.Exists(who)
}

// spares is session.Options.Spares. Only local users and extensions can lose their access.
func (d *Domain) spares(who principal.Name, key string) (store.Change, bool) {
	if who.Domain == "" {
		return d.Extensions.Spares(who, key)
	}
	return d.Accounts.Spares(who, key)
}

// policy returns the current rules for sessions.
func (d *Domain) policy() session.Policy {
	v := d.Settings.Values()
	p := session.Policy{
		Idle: v.IdleTimeout, MaxLifetime: v.MaxLifetime, TicketLifetime: v.TicketLifetime,
		MaxSessions: v.MaxSessions, MaxPerPrincipal: d.Settings.PerPrincipal(),
	}
	if d.change != nil {
		p = d.change(p)
	}
	return p
}

// declared returns a function that lists the privileges that registered extensions declare.
func declared(t *extension.Table) func() []access.PrivilegeInfo {
	return func() []access.PrivilegeInfo {
		var all []access.PrivilegeInfo
		for _, p := range t.Declared() {
			all = append(all, access.PrivilegeInfo{ID: access.Privilege(p.ID), Group: p.Group})
		}
		return all
	}
}
