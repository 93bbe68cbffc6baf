package vimtest

import (
	"context"
	"log/slog"
	"os/user"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/account"
	"github.com/vigate/vigate/internal/admin"
	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/extension"
	"github.com/vigate/vigate/internal/locale"
	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/session"
	"github.com/vigate/vigate/internal/setting"
	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/store/storetest"
	"github.com/vigate/vigate/internal/vim"
)

// Domain is what the API of a fixture works on.
type Domain struct {
	vim.Domain
	Admin admin.Domain
}

// tables are the views of the store that the managers share.
type tables struct {
	settings   *setting.Settings
	events     *event.Log
	extensions *extension.Table
	authority  *access.Table
	accounts   *account.Table
	sessions   *session.Table
}

func (f *Fixture) tables(log *slog.Logger) tables {
	f.t.Helper()
	s := storetest.NewMemory(f.Now)
	f.t.Cleanup(func() { _ = s.Close() })
	events := event.NewLog(event.Options{Now: f.Now, Logger: log})
	settings, err := setting.New(setting.Config{
		Base: setting.Defaults(), Events: events, Logger: log,
		CheckLocale: func(name string) error { _, err := locale.Fit(name); return err },
	})
	f.Must(err)
	var authority *access.Table
	extensions := extension.NewTable(func() { authority.Refresh() }, log)
	authority = access.NewTable(func() []access.Privilege {
		var all []access.Privilege
		for _, p := range extensions.Declared() {
			all = append(all, access.Privilege{ID: p.ID, Group: p.Group})
		}
		return all
	}, log)
	t := tables{settings, events, extensions, authority, account.NewTable("", log), session.NewTable(log)}
	f.mirror = store.NewMirror(s, settings, extensions, authority, t.accounts, t.sessions, events)
	settings.Attach(f.mirror)
	return t
}

// domain puts the parts together as the server does.
func (f *Fixture) domain(log *slog.Logger) *Domain {
	f.t.Helper()
	t := f.tables(log)
	d := &Domain{}
	sessions := session.NewManager(session.Options{
		Mirror: f.mirror, Table: t.sessions, Events: t.events, Policy: func() session.Policy { return policyOf(t.settings) },
		Thumbprint: func() string { return "00-11-22-33-44-55-66-77-88-99-AA-BB-CC-DD-EE-FF-00-11-22-33" }, Now: f.Now,
	})
	manager := access.NewManager(access.Options{
		Mirror: f.mirror, Table: t.authority, Events: t.events, Enabled: t.accounts.Enabled,
		Exists: func(who principal.Name, group bool) bool {
			return who.Domain == "" && !group && t.extensions.Exists(who.User) || d.Admin.Directory.Has(context.Background(), who, group)
		},
	})
	accounts, err := account.NewManager(account.Options{
		Mirror: f.mirror, Table: t.accounts, Events: t.events, Authority: manager,
		End: sessions.Evict, Cost: account.Cost{Memory: 8, Time: 1, Lanes: 1}, Now: f.Now, Log: log,
	})
	f.Must(err)
	d.Admin = admin.Domain{Accounts: accounts, Directory: admin.Directory{admin.LocalUsers(t.accounts), admin.SystemUsers(systemAccount)}}
	d.Domain = vim.Domain{
		Sessions: sessions, Access: manager, Events: t.events, Settings: t.settings,
		Extensions: extension.NewManager(extension.Options{
			Mirror: f.mirror, Table: t.extensions, Events: t.events, Authority: manager, End: sessions.Evict, Now: f.Now, Log: log,
		}),
		Gate: &login.Gate{
			Methods: []login.Method{
				login.Clone{Sessions: sessions}, login.ByCertificate{Extensions: t.extensions},
				login.BySubject{Extensions: t.extensions, Now: f.Now}, login.Local{Accounts: accounts},
			},
			Sessions: sessions, Access: t.authority, Throttle: login.NewThrottle(t.settings.Values, f.Now), Mirror: f.mirror, Events: t.events,
			DefaultLocale: func() string { return t.settings.Values().DefaultLocale }, DefaultDomain: account.DefaultDomain, Log: log,
		},
		Server: server(), Log: log, Now: f.Now,
	}
	return d
}

func server() vim.ServerInfo {
	return vim.ServerInfo{
		HostName: "vigate.test",
		About: types.AboutInfo{
			Name: "vigate", FullName: "vigate test", Vendor: "vigate", Version: "8.0.3", Build: "1", OsType: "linux-x64",
			ProductLineId: "vpx", ApiType: "VirtualCenter", ApiVersion: "8.0.3.0",
		},
		SHA1: func() string { return "00:11" }, SHA256: func() string { return "22:33" }, PublicKey: func() string { return "server's key" },
	}
}

func policyOf(s *setting.Settings) session.Policy {
	v := s.Values()
	return session.Policy{Idle: v.IdleTimeout, MaxLifetime: v.MaxLifetime, TicketLifetime: v.TicketLifetime,
		MaxSessions: v.MaxSessions, MaxPerPrincipal: v.MaxPerPrincipal}
}

// systemAccount: the operating system of tests has one account.
func systemAccount(name string) (*user.User, error) {
	if name != "operator" {
		return nil, user.UnknownUserError(name)
	}
	return &user.User{Username: "operator", Name: "The Operator"}, nil
}
