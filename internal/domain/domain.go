// Package domain puts the managers of the domain together over one store: what
// depends on what, and which setting is whose rule, is said here once, for the
// server as for tests of a whole API.
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

// Options of a domain. Store, Base and Thumbprint are needed.
type Options struct {
	Store store.Store
	// Base is what the settings are where no client has set them.
	Base setting.Values
	// Thumbprint is the SHA-1 of the server's certificate as AA-BB-…, which
	// clone tickets carry.
	Thumbprint func() string
	// DefaultDomain is that of the local users; "": account.DefaultDomain.
	DefaultDomain string
	// Views are fed from the store beside the domain's own.
	Views []store.View

	// Sources are those of users and groups, beside the local users.
	Sources []directory.Source
	// Exists reports whether there is such a user, or group. Extensions are
	// known here. nil: Directory says it.
	Exists   func(who principal.Name, group bool) bool
	Cost     account.Cost                 // of a password's hash; zero: account's default
	Patience time.Duration                // how long a login waits for its hash; 0: account's default
	Requests func() uint64                // see account.Options; may be nil
	Sweeps   func() (time.Duration, bool) // see session.Options; may be nil
	Now      func() time.Time             // nil: time.Now
	Log      *slog.Logger                 // nil: slog.Default
}

// Domain is the managers over one store, whose views Mirror feeds.
type Domain struct {
	Mirror     *store.Mirror
	Events     *event.Log
	Settings   *setting.Settings
	Sessions   *session.Manager
	Access     *access.Manager
	Accounts   *account.Manager
	Extensions *extension.Manager
	Directory  directory.Directory // who there is, the local users first

	sessions      *session.Table
	defaultDomain string
	now           func() time.Time
	log           *slog.Logger
}

// New puts a domain together. It is empty until Mirror runs and is whole.
func New(o Options) (*Domain, error) {
	o.DefaultDomain = cmp.Or(o.DefaultDomain, account.DefaultDomain)
	o.Log = cmp.Or(o.Log, slog.Default())
	d := &Domain{
		Events:        event.NewLog(event.Options{Now: o.Now, Logger: o.Log}),
		defaultDomain: o.DefaultDomain, now: o.Now, log: o.Log,
	}
	var err error
	d.Settings, err = setting.New(setting.Config{
		Base: o.Base, Events: d.Events, Logger: o.Log,
		CheckLocale: func(name string) error { _, err := locale.Fit(name); return err },
	})
	if err != nil {
		return nil, err
	}
	var authority *access.Table
	extensions := extension.NewTable(func() { authority.Refresh() }, o.Log)
	authority = access.NewTable(declared(extensions), o.Log)
	accounts := account.NewTable(o.DefaultDomain, o.Log)
	d.Directory = append(directory.Directory{directory.LocalUsers(accounts)}, o.Sources...)
	if o.Exists == nil {
		o.Exists = func(who principal.Name, group bool) bool {
			return d.Directory.Has(context.Background(), who, group)
		}
	}
	d.sessions = session.NewTable(o.Log)
	names := &roster.Roster{Names: []roster.Names{accounts, extensions}}
	d.Mirror = store.NewMirror(o.Store, append([]store.View{
		d.Settings.View(), extensions.View(), authority.View(), accounts.View(), names.View(), d.sessions.View(),
		d.Events.View(),
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
		End: d.Sessions.Evict, Now: o.Now, Logger: o.Log,
	})
	d.Accounts, err = account.NewManager(account.Options{
		Mirror: d.Mirror, Table: accounts, Roster: names, Events: d.Events, Authority: d.Access,
		End: d.Sessions.Evict, Cost: o.Cost, Patience: o.Patience, Requests: o.Requests, Now: o.Now, Logger: o.Log,
	})
	return d, err
}

// OnEnd has f called after each end of a session, whoever ended it, so that what
// belongs to the session dies with it. f must be quick. It is called before Mirror
// runs.
func (d *Domain) OnEnd(f func(session.Key)) { d.sessions.OnEnd(f) }

// NewGate makes what every login passes, with the ways in that there are, in the order
// in which they are tried.
func (d *Domain) NewGate(methods ...login.Method) *login.Gate {
	return &login.Gate{
		Methods: methods, Sessions: d.Sessions, Access: d.Access.Table(),
		Throttle: login.NewThrottle(d.Settings.Values, d.known, d.now),
		Reports:  login.NewReports(d.Mirror, d.Events, d.now, d.log),
		Mirror:   d.Mirror, DefaultDomain: d.defaultDomain,
		DefaultLocale: func() string { return d.Settings.Values().DefaultLocale },
	}
}

// known reports whether there is such a local user or extension, at the cost of
// finding one in memory, whatever the answer.
func (d *Domain) known(who principal.Name) bool {
	if who.Domain == "" {
		return d.Extensions.Exists(who.User)
	}
	return d.Accounts.Exists(who)
}

// spares is Options.Spares of the sessions: those who lose their way in are local
// users and extensions.
func (d *Domain) spares(who principal.Name, key string) (store.Change, bool) {
	if who.Domain == "" {
		return d.Extensions.Spares(who, key)
	}
	return d.Accounts.Spares(who, key)
}

// policy is the rules of sessions in force.
func (d *Domain) policy() session.Policy {
	v := d.Settings.Values()
	return session.Policy{
		Idle: v.IdleTimeout, MaxLifetime: v.MaxLifetime, TicketLifetime: v.TicketLifetime,
		MaxSessions: v.MaxSessions, MaxPerPrincipal: d.Settings.PerPrincipal(),
	}
}

// declared are the privileges that registered extensions add to the API's.
func declared(t *extension.Table) func() []access.PrivilegeInfo {
	return func() []access.PrivilegeInfo {
		var all []access.PrivilegeInfo
		for _, p := range t.Declared() {
			all = append(all, access.PrivilegeInfo{ID: access.Privilege(p.ID), Group: p.Group})
		}
		return all
	}
}
