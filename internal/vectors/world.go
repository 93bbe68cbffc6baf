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
	"github.com/vigate/vigate/internal/cluster"
	"github.com/vigate/vigate/internal/domain"
	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/history"
	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/peer"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/property"
	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/session"
	"github.com/vigate/vigate/internal/setting"
	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/store/storetest"
	"github.com/vigate/vigate/internal/testclock"
	"github.com/vigate/vigate/internal/trust"
	"github.com/vigate/vigate/internal/vim"
)

// passwords are the passwords of the users in a World: an administrator, a reader with the role
// ReadOnly, and nobody, who has no role.
var passwords = map[string]string{
	"administrator": "password of the administrator",
	"reader":        "password of the reader",
	"nobody":        "password of nobody",
}

// thumbprint is the thumbprint of the server's certificate.
const thumbprint = "00-11-22-33-44-55-66-77-88-99-AA-BB-CC-DD-EE-FF-00-11-22-33"

// World is a complete API over a store in memory, for tests. Only keys and secrets are random, and
// time passes only when the test moves the clock.
type World struct {
	API *vim.API
	// Peer is the peer of all calls.
	Peer peer.Peer

	t      testing.TB
	store  store.Store
	mirror *store.Mirror
	clock  *testclock.Clock
	// authority is the certificate authority that the server trusts.
	authority *authority
	features  features

	mu           sync.Mutex // guards the fields below
	tokens       map[string]string
	certificates map[string]*x509.Certificate
}

// Pass moves the clock forward.
func (w *World) Pass(d time.Duration) { w.clock.Advance(d) }

// NewWorld makes a World that runs until the test ends.
func NewWorld(t testing.TB) *World {
	t.Helper()
	return NewWorldOver(t, func(s store.Store) store.Store { return s })
}

// NewWorldOver does the same as NewWorld for a test that must observe or influence the store: the
// World uses the store that wrap returns for its store in memory.
func NewWorldOver(t testing.TB, wrap func(store.Store) store.Store) *World {
	t.Helper()
	w := &World{t: t, clock: testclock.New(time.Date(2026, 3, 4, 5, 6, 7, 123456789, time.UTC))}
	memory := storetest.NewMemory(w.clock.Now)
	t.Cleanup(func() { _ = memory.Close() })
	w.store = wrap(memory)
	var err error
	w.authority, err = newAuthority()
	w.must(err)
	a := w.run()
	ctx := context.Background()
	_, err = w.API.Settings.EnsureInstance(ctx)
	w.must(err)
	_, err = a.Accounts.Bootstrap(ctx, []byte(passwords["administrator"]))
	w.must(err)
	for _, name := range []string{"reader", "nobody"} {
		w.must(a.Accounts.Create(ctx, event.By("test"), w.name(name), []byte(passwords[name]), "The "+name))
	}
	w.must(w.API.Access.SetPermissions(ctx, access.Server(event.By("test")), access.Root, []access.Permission{
		{Principal: w.name("reader"), Role: access.ReadOnly, Propagate: true},
	}))
	return w
}

// Beside makes another server of the same cluster. It works on the store s, which is w's store or a
// wrapper of it.
func (w *World) Beside(s store.Store) *World {
	w.t.Helper()
	b := &World{t: w.t, store: s, clock: w.clock, authority: w.authority}
	b.run()
	return b
}

// run starts the server and feeds its views until the test ends.
func (w *World) run() *domain.Domain {
	w.Peer = peer.Peer{Address: "192.0.2.7", UserAgent: "vectors/1", Request: peer.RequestID{Run: "r", Number: 1},
		TLS: true}
	w.tokens, w.certificates = map[string]string{}, map[string]*x509.Certificate{}
	nodes, err := cluster.New(cluster.Options{Name: "vectors", Version: "1", Now: w.clock.Now})
	w.must(err)
	d, o := w.domain(slog.New(slog.DiscardHandler), nodes)
	api, err := vim.New(d, o)
	w.must(err)
	w.must(admin.Serve(api, d))
	w.must(history.Serve(api))
	w.must(property.Serve(api))
	w.must(nodes.Serve(api))
	w.API = api
	storetest.Follow(w.t, w.mirror)
	nodes.Attach(w.mirror)
	w.must(nodes.Report(w.t.Context()))
	return d
}

// Sync returns when the server has applied all changes that any server of the cluster has
// acknowledged.
func (w *World) Sync() {
	w.t.Helper()
	w.must(w.mirror.Sync(context.Background()))
}

func (w *World) name(user string) principal.Name {
	n, err := principal.Parse(user, account.DefaultDomain)
	w.must(err)
	return n
}

// domain assembles the server's parts in the same way as the real server.
func (w *World) domain(log *slog.Logger, nodes *cluster.Cluster) (*domain.Domain, vim.Options) {
	now := w.clock.Now
	var d *domain.Domain
	var err error
	d, err = domain.New(domain.Options{
		Store: w.store, Base: setting.Defaults(), Thumbprint: func() string { return thumbprint },
		Views: []store.View{nodes.View()},
		// The vectors name users of several sources. Users of other sources than the server's own
		// always exist.
		Exists: func(who principal.Name, group bool) bool {
			return !group && (who.Domain != account.DefaultDomain || d.Accounts.Exists(who))
		},
		Cost: account.Cost{Memory: 8, Time: 1, Lanes: 1}, Now: now, Logger: log,
	})
	w.must(err)
	w.mirror = d.Mirror
	passwords, err := login.NewPasswords(d.Accounts, &w.features)
	w.must(err)
	return d, vim.Options{
		Gate: d.NewGate(login.GateOptions{Methods: []login.Method{
			login.Clone{Sessions: d.Sessions}, login.ByCertificate{Extensions: d.Extensions.Table()},
			login.BySubject{Extensions: d.Extensions.Table(), Trust: w.trust, Now: now}, passwords, &w.features,
		}}),
		Server: server(), Log: log, Now: now,
	}
}

func (w *World) trust() trust.Authorities {
	believed, err := trust.New([]*x509.Certificate{w.authority.cert})
	w.must(err)
	return believed
}

func server() vim.ServerInfo {
	return vim.ServerInfo{
		HostName: "vigate.test",
		About: types.AboutInfo{
			Name: "vigate", FullName: "vigate of the vectors", Vendor: "vigate", Version: "8.0.3", Build: "1",
			OsType:        "linux-x64",
			ProductLineId: "vpx", ApiType: "VirtualCenter", ApiVersion: "8.0.3.0",
		},
		SHA1:      func() string { return "00:11" },
		SHA256:    func() string { return "22:33" },
		PublicKey: func() string { return "the server's key" },
	}
}

// Token returns the token of the user's session. The session starts at the first call.
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

// Login starts one more session of the user.
func (w *World) Login(user string) (vim.Result, *vim.Fault) {
	return w.API.Do(context.Background(), &vim.Call{
		Object: types.ManagedObjectReference{Type: "SessionManager", Value: "SessionManager"}, Name: "Login",
		Args: &types.LoginRequestType{UserName: user, Password: passwords[user]}, Peer: &w.Peer,
		Release: vim.FirstRelease, Binding: "vectors",
	})
}

// Password returns the user's password.
func Password(user string) string { return passwords[user] }

// Tokens returns the tokens of the sessions that Token has started.
func (w *World) Tokens() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []string
	for _, t := range w.tokens {
		all = append(all, t)
	}
	return all
}

// Key returns the public id of the user's session.
func (w *World) Key(user string) (string, error) {
	l, err := w.session(user)
	if err != nil {
		return "", err
	}
	return l.Key().String(), nil
}

func (w *World) session(user string) (*session.Live, error) {
	token, err := w.Token(user)
	if err != nil {
		return nil, err
	}
	l, err := w.API.Sessions.Authenticate(context.Background(), secret.New(token), w.API.Now())
	if err == nil && l == nil {
		err = fmt.Errorf("the session of %s has ended", user)
	}
	return l, err
}

// ID returns the moId of the type's only object, or the type itself if it has none.
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
