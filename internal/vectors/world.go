package vectors

import (
	"context"
	"crypto/x509"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/account"
	"github.com/vigate/vigate/internal/admin"
	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/extension"
	"github.com/vigate/vigate/internal/history"
	"github.com/vigate/vigate/internal/locale"
	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/peer"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/property"
	"github.com/vigate/vigate/internal/session"
	"github.com/vigate/vigate/internal/setting"
	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/store/storetest"
	"github.com/vigate/vigate/internal/vim"
)

// passwords of the users that a world has: an administrator, a reader with the
// role ReadOnly, and nobody, who has no role.
var passwords = map[string]string{
	"administrator": "password of the administrator",
	"reader":        "password of the reader",
	"nobody":        "password of nobody",
}

// thumbprint is that of the certificate that the server says it has.
const thumbprint = "00-11-22-33-44-55-66-77-88-99-AA-BB-CC-DD-EE-FF-00-11-22-33"

// World is a whole API over a store in memory, where nothing is random but keys
// and secrets, and time passes only when told to.
type World struct {
	API *vim.API
	// Peer is where its callers are.
	Peer peer.Peer

	t      testing.TB
	mirror *store.Mirror
	clock  clock
	// authority is the one whose certificates the server believes.
	authority *authority

	mu           sync.Mutex // guards what follows
	tokens       map[string]string
	certificates map[string]*x509.Certificate
}

type clock struct {
	mu sync.Mutex // guards at
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

// Pass lets time go on.
func (w *World) Pass(d time.Duration) {
	w.clock.mu.Lock()
	defer w.clock.mu.Unlock()
	w.clock.at = w.clock.at.Add(d)
}

// NewWorld makes one, running until the test ends.
func NewWorld(t testing.TB) *World {
	t.Helper()
	w := &World{
		t: t, Peer: peer.Peer{Address: "192.0.2.7", UserAgent: "vectors/1", RequestID: "r", TLS: true},
		tokens: map[string]string{}, certificates: map[string]*x509.Certificate{},
	}
	w.clock.at = time.Date(2026, 3, 4, 5, 6, 7, 8000, time.UTC)
	var err error
	w.authority, err = newAuthority()
	w.must(err)
	d, a := w.domain(slog.New(slog.DiscardHandler))
	api, err := vim.New(d)
	w.must(err)
	w.must(admin.Serve(api, a))
	w.must(history.Serve(api))
	w.must(property.Serve(api))
	w.API = api
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = w.mirror.Run(ctx) }()
	t.Cleanup(func() { stop(); <-done })
	w.must(w.mirror.Wait(ctx, 0))
	_, err = d.Settings.EnsureInstance(ctx)
	w.must(err)
	_, err = a.Accounts.Bootstrap(ctx, []byte(passwords["administrator"]))
	w.must(err)
	for _, name := range []string{"reader", "nobody"} {
		w.must(a.Accounts.Create(ctx, "test", w.name(name), []byte(passwords[name]), "The "+name))
	}
	w.must(d.Access.SetPermissions(ctx, "test", access.Root, []access.Permission{
		{Principal: w.name("reader"), Role: access.ReadOnly, Propagate: true},
	}))
	return w
}

func (w *World) name(user string) principal.Name {
	n, err := principal.Parse(user, account.DefaultDomain)
	w.must(err)
	return n
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

func (w *World) tables(log *slog.Logger) tables {
	now := w.clock.now
	s := storetest.NewMemory(now)
	w.t.Cleanup(func() { _ = s.Close() })
	events := event.NewLog(event.Options{Now: now, Logger: log})
	settings, err := setting.New(setting.Config{
		Base: setting.Defaults(), Events: events, Logger: log,
		CheckLocale: func(name string) error { _, err := locale.Fit(name); return err },
	})
	w.must(err)
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
	w.mirror = store.NewMirror(s, settings, extensions, authority, t.accounts, t.sessions, events)
	settings.Attach(w.mirror)
	return t
}

// domain puts the parts together as the server does.
func (w *World) domain(log *slog.Logger) (vim.Domain, admin.Domain) {
	now, t := w.clock.now, w.tables(log)
	sessions := session.NewManager(session.Options{
		Mirror: w.mirror, Table: t.sessions, Events: t.events, Policy: func() session.Policy { return policyOf(t.settings) },
		Thumbprint: func() string { return thumbprint }, Now: now,
	})
	manager := access.NewManager(access.Options{
		Mirror: w.mirror, Table: t.authority, Events: t.events, Enabled: t.accounts.Enabled,
		Exists: func(who principal.Name, group bool) bool { return !group },
	})
	accounts, err := account.NewManager(account.Options{
		Mirror: w.mirror, Table: t.accounts, Events: t.events, Authority: manager, End: sessions.Evict,
		Cost: account.Cost{Memory: 8, Time: 1, Lanes: 1}, Now: now, Log: log,
	})
	w.must(err)
	return vim.Domain{
		Sessions: sessions, Access: manager, Events: t.events, Settings: t.settings,
		Extensions: extension.NewManager(extension.Options{
			Mirror: w.mirror, Table: t.extensions, Events: t.events, Authority: manager, End: sessions.Evict, Now: now, Log: log,
		}),
		Gate: &login.Gate{
			Methods: []login.Method{
				login.Clone{Sessions: sessions}, login.ByCertificate{Extensions: t.extensions},
				login.BySubject{Extensions: t.extensions, Trust: w.trust(), Now: now}, login.Local{Accounts: accounts},
			},
			Sessions: sessions, Access: t.authority, Throttle: login.NewThrottle(t.settings.Values, now), Mirror: w.mirror, Events: t.events,
			DefaultLocale: func() string { return t.settings.Values().DefaultLocale }, DefaultDomain: account.DefaultDomain, Log: log,
		},
		Server: server(), Log: log, Now: now,
	}, admin.Domain{Accounts: accounts, Directory: admin.Directory{admin.LocalUsers(t.accounts)}}
}

func (w *World) trust() extension.Trust {
	roots := x509.NewCertPool()
	roots.AddCert(w.authority.cert)
	return extension.Trust{Roots: roots}
}

func server() vim.ServerInfo {
	return vim.ServerInfo{
		HostName: "vigate.test",
		About: types.AboutInfo{
			Name: "vigate", FullName: "vigate of the vectors", Vendor: "vigate", Version: "8.0.3", Build: "1", OsType: "linux-x64",
			ProductLineId: "vpx", ApiType: "VirtualCenter", ApiVersion: "8.0.3.0",
		},
		SHA1:      func() string { return "00:11" },
		SHA256:    func() string { return "22:33" },
		PublicKey: func() string { return "the server's key" },
	}
}

func policyOf(s *setting.Settings) session.Policy {
	v := s.Values()
	return session.Policy{
		Idle: v.IdleTimeout, MaxLifetime: v.MaxLifetime, TicketLifetime: v.TicketLifetime,
		MaxSessions: v.MaxSessions, MaxPerPrincipal: v.MaxPerPrincipal,
	}
}

// Token is the token of the user's session, which begins when it is first asked
// for.
func (w *World) Token(user string) (string, error) {
	w.mu.Lock()
	token, ok := w.tokens[user]
	w.mu.Unlock()
	if ok {
		return token, nil
	}
	if _, ok := passwords[user]; !ok {
		return "", fmt.Errorf("there is no %s", user)
	}
	r, fault := w.Login(user)
	if fault != nil {
		return "", fmt.Errorf("log in as %s: %w", user, fault)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tokens[user] = r.Token.Reveal()
	return w.tokens[user], nil
}

// Login begins one more session of the user.
func (w *World) Login(user string) (vim.Result, *vim.Fault) {
	return w.API.Do(context.Background(), &vim.Call{
		Object: types.ManagedObjectReference{Type: "SessionManager", Value: "SessionManager"}, Name: "Login",
		Args: &types.LoginRequestType{UserName: user, Password: passwords[user]}, Peer: w.Peer, Release: vim.FirstRelease, Binding: "vectors",
	})
}

// Tokens are those of the sessions that Token made.
func (w *World) Tokens() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []string
	for _, t := range w.tokens {
		all = append(all, t)
	}
	return all
}

// Key is the public id of the user's session.
func (w *World) Key(user string) (string, error) {
	token, err := w.Token(user)
	if err != nil {
		return "", err
	}
	l, err := w.API.Sessions.Authenticate(context.Background(), token)
	if err != nil {
		return "", err
	}
	if l == nil {
		return "", fmt.Errorf("the session of %s is over", user)
	}
	return l.Key().String(), nil
}

// ID is the moId of a type's one object; the type itself where it has none.
func (w *World) ID(typ string) string {
	if o := w.API.Object(typ); o != nil && o.ID != "" {
		return o.ID
	}
	return typ
}

func (w *World) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}
