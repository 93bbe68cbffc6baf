package vimtest

import (
	"context"
	"log/slog"
	"os/user"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/account"
	"github.com/vigate/vigate/internal/admin"
	"github.com/vigate/vigate/internal/directory"
	"github.com/vigate/vigate/internal/domain"
	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/setting"
	"github.com/vigate/vigate/internal/store/storetest"
	"github.com/vigate/vigate/internal/vim"
)

// Domain is what the API of a fixture works on.
type Domain struct {
	vim.Domain
	Admin admin.Domain
}

// domain puts the parts together as the server does.
func (f *Fixture) domain(log *slog.Logger) *Domain {
	f.t.Helper()
	s := storetest.NewMemory(f.Now)
	f.t.Cleanup(func() { _ = s.Close() })
	d := &Domain{}
	parts, err := domain.New(domain.Options{
		Store: s, Base: setting.Defaults(), Cost: account.Cost{Memory: 8, Time: 1, Lanes: 1},
		Thumbprint: func() string { return "00-11-22-33-44-55-66-77-88-99-AA-BB-CC-DD-EE-FF-00-11-22-33" },
		Exists: func(who principal.Name, group bool) bool {
			return d.Admin.Directory.Has(context.Background(), who, group)
		},
		Now: f.Now, Log: log,
	})
	f.Must(err)
	f.mirror = parts.Mirror
	d.Admin = admin.Domain{Accounts: parts.Accounts, Directory: directory.Directory{directory.LocalUsers(parts.Accounts.Table()), directory.SystemUsers(systemAccount)}}
	d.Domain = vim.Domain{
		Sessions: parts.Sessions, OnEnd: parts.OnEnd, Access: parts.Access, Extensions: parts.Extensions, Events: parts.Events, Settings: parts.Settings,
		Gate: parts.Gate(
			login.Clone{Sessions: parts.Sessions}, login.ByCertificate{Extensions: parts.Extensions.Table()},
			login.BySubject{Extensions: parts.Extensions.Table(), Now: f.Now}, login.Local{Accounts: parts.Accounts},
		),
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

// systemAccount: the operating system of tests has one account.
func systemAccount(name string) (*user.User, error) {
	if name != "operator" {
		return nil, user.UnknownUserError(name)
	}
	return &user.User{Username: "operator", Name: "The Operator"}, nil
}
