package vimtest

import (
	"log/slog"
	"os/user"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/account"
	"github.com/vigate/vigate/internal/directory"
	"github.com/vigate/vigate/internal/domain"
	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/setting"
	"github.com/vigate/vigate/internal/store/storetest"
	"github.com/vigate/vigate/internal/trust"
	"github.com/vigate/vigate/internal/vim"
)

// Domain is what the API of a fixture works on.
type Domain struct {
	*domain.Domain
	vim.Options
	// Methods are the login methods that are asked before those of the server.
	Methods []login.Method
	// Sources are the sources of passwords besides the local users.
	Sources []login.PasswordSource
	// Trust returns the authorities of extensions that log in by subject name; nil: there are none.
	Trust func() trust.Authorities
}

// domain puts the parts together as the server does.
func (f *Fixture) domain(log *slog.Logger) *Domain {
	f.t.Helper()
	s := storetest.NewMemory(f.Now)
	f.t.Cleanup(func() { _ = s.Close() })
	d, err := domain.New(domain.Options{
		Store: s, Base: setting.Defaults(), Cost: account.Cost{Memory: 8, Time: 1, Lanes: 1},
		Thumbprint: func() string { return "00-11-22-33-44-55-66-77-88-99-AA-BB-CC-DD-EE-FF-00-11-22-33" },
		Sources:    []directory.Source{directory.SystemUsers(systemAccount)}, Now: f.Now, Logger: log,
	})
	f.Must(err)
	f.mirror = d.Mirror
	return &Domain{Domain: d, Options: vim.Options{Server: server(), Log: log, Now: f.Now}}
}

// gate returns the gate with the methods of the server.
func (d *Domain) gate(f *Fixture) *login.Gate {
	f.t.Helper()
	passwords, err := login.NewPasswords(d.Accounts, d.Sources...)
	f.Must(err)
	return d.NewGate(login.GateOptions{Methods: append(d.Methods,
		login.Clone{Sessions: d.Sessions}, login.ByCertificate{Extensions: d.Extensions.Table()},
		login.BySubject{Extensions: d.Extensions.Table(), Trust: d.Trust, Now: f.Now}, passwords,
	)})
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
