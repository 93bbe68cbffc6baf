package vimtest

import (
	"cmp"
	"log/slog"
	"testing"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/account"
	"github.com/vigate/vigate/internal/admin"
	"github.com/vigate/vigate/internal/directory"
	"github.com/vigate/vigate/internal/domain"
	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/history"
	"github.com/vigate/vigate/internal/inventory"
	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/login/local"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/sessionmanager"
	"github.com/vigate/vigate/internal/setting"
	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/store/storetest"
	"github.com/vigate/vigate/internal/trust"
	"github.com/vigate/vigate/internal/vim"
)

// PublicKey is the public key that a Server reports.
const PublicKey = "the server's key"

// Config describes a Server. All fields are optional.
type Config struct {
	Store store.Store      // if nil, a new store in memory
	Base  *setting.Values  // settings that no client has changed; if nil, the defaults
	Views []store.View     // additional views that the mirror updates
	Now   func() time.Time // if nil, time.Now

	// Sources and Exists are those of domain.Options.
	Sources []directory.Source
	Exists  func(d *domain.Domain, who principal.Name, group bool) bool
	Logger  *slog.Logger // if nil, nothing is logged

	// Edit is called before the parts are assembled, and may change them.
	Edit []func(*Parts)
	// Objects adds managed objects besides those of package vimtest.
	Objects func(*vim.API, *domain.Domain) error
}

// Parts are the parts of a Server before they are assembled.
type Parts struct {
	*domain.Domain
	vim.Options
	// Methods are the login methods that the gate tries before those of the server.
	Methods []login.Method
	// Passwords are the sources of passwords besides the local users.
	Passwords []login.PasswordSource
	// Trust returns the authorities of the certificates of extensions. If nil, none is trusted.
	Trust func() trust.Authorities
	// LocalTickets issues local tickets. If nil, they are not supported.
	LocalTickets *local.Tickets

	passwords *login.Passwords
}

// Server is the API with the objects of the packages inventory, sessionmanager, admin and history, over a
// domain. It is assembled like the real server.
type Server struct {
	*vim.API
	*domain.Domain
	Gate *login.Gate

	t     testing.TB
	parts *Parts
}

// Open makes a Server that runs until the test ends. It has no users until Found is called.
func Open(t testing.TB, c Config) *Server {
	t.Helper()
	s := &Server{t: t}
	if c.Store == nil {
		memory := storetest.NewMemory(c.Now)
		t.Cleanup(func() { _ = memory.Close() })
		c.Store = memory
	}
	if c.Base == nil {
		c.Base = new(setting.Defaults())
	}
	c.Logger = cmp.Or(c.Logger, slog.New(slog.DiscardHandler))
	s.parts = s.makeParts(c)
	s.assemble(c, s.parts)
	storetest.Follow(t, s.Mirror)
	return s
}

// makeParts makes the parts of the server, and calls the functions that edit them.
func (s *Server) makeParts(c Config) *Parts {
	s.t.Helper()
	o := domain.Options{
		Store: c.Store, Base: *c.Base, Cost: account.Cost{Memory: 8, Time: 1, Lanes: 1},
		Thumbprint: func() string { return "00-11-22-33-44-55-66-77-88-99-AA-BB-CC-DD-EE-FF-00-11-22-33" },
		Views:      c.Views, Sources: c.Sources, Now: c.Now, Logger: c.Logger,
	}
	var d *domain.Domain
	if c.Exists != nil {
		o.Exists = func(who principal.Name, group bool) bool { return c.Exists(d, who, group) }
	}
	d, err := domain.New(o)
	s.Must(err)
	p := &Parts{Domain: d, Options: vim.Options{Logger: c.Logger, Now: c.Now}}
	for _, edit := range c.Edit {
		edit(p)
	}
	return p
}

func (s *Server) assemble(c Config, p *Parts) {
	s.t.Helper()
	s.Domain, s.API = p.Domain, vim.New(p.Domain, p.Options)
	var err error
	p.passwords, err = login.NewPasswords(p.Accounts, p.Passwords...)
	s.Must(err)
	s.Gate = p.NewGate(login.GateOptions{Methods: methods(p.Domain, p)})
	s.Must(inventory.Serve(s.API, p.Domain, inventory.Options{About: about}))
	s.Must(sessionmanager.Serve(s.API, p.Domain, manager(s.Gate, p, "", nil)))
	s.Must(admin.Serve(s.API, p.Domain, admin.Options{
		Locked: s.Gate.Locked, Unlock: s.Gate.Unlock, PublicKey: func() string { return PublicKey },
	}))
	s.Must(history.Serve(s.API, p.Events, p.DefaultDomain()))
	if c.Objects != nil {
		s.Must(c.Objects(s.API, p.Domain))
	}
}

var about = types.AboutInfo{
	Name: "vigate", FullName: "vigate of the vectors", Vendor: "vigate", Version: "8.0.3", Build: "1",
	OsType: "linux-x64", ProductLineId: "vpx", ApiType: "VirtualCenter", ApiVersion: APIVersion,
}

// APIVersion is the version of the API that a Server implements.
const APIVersion = "8.0.3.0"

// User is a user that Found makes.
type User struct {
	Name, Password, FullName string
	Role                     int32 // on the root folder; 0: none
}

// Found makes the administrator with the password, and the other users.
func (s *Server) Found(password string, users ...User) {
	s.t.Helper()
	ctx, by := s.t.Context(), event.By("test")
	_, err := s.Settings.EnsureInstance(ctx)
	s.Must(err)
	_, err = s.Accounts.Bootstrap(ctx, []byte(password))
	s.Must(err)
	for _, u := range users {
		name, err := principal.Parse(u.Name, s.DefaultDomain())
		s.Must(err)
		s.Must(s.Accounts.Create(ctx, by, name, []byte(u.Password), u.FullName))
		if u.Role != 0 {
			p := access.Permission{Principal: name, Role: u.Role, Propagate: true}
			s.Must(s.Access.SetPermissions(ctx, access.Server(by), access.Root, []access.Permission{p}))
		}
	}
}

// Must ends the test if there is an error.
func (s *Server) Must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}
