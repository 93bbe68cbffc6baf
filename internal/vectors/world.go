package vectors

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/account"
	"github.com/vigate/vigate/internal/cluster"
	"github.com/vigate/vigate/internal/domain"
	"github.com/vigate/vigate/internal/peer"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/property"
	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/session"
	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/store/storetest"
	"github.com/vigate/vigate/internal/sts/manager"
	"github.com/vigate/vigate/internal/sts/signing"
	"github.com/vigate/vigate/internal/testclock"
	"github.com/vigate/vigate/internal/trust"
	"github.com/vigate/vigate/internal/vim"
	"github.com/vigate/vigate/internal/vim/vimtest"
)

// passwords are the passwords of the users in a World: an administrator, a reader with the role
// ReadOnly, and nobody, who has no role.
var passwords = map[string]string{
	"administrator": "password of the administrator",
	"reader":        "password of the reader",
	"nobody":        "password of nobody",
}

// World is a complete API over a store in memory, for tests. Only keys and secrets are random, and
// time passes only when the test moves the clock.
type World struct {
	*vimtest.Server
	// Peer is the peer of all calls.
	Peer peer.Peer

	t        testing.TB
	features []string
	clock    *testclock.Clock
	// authority is the certificate authority that the server trusts.
	authority *authority

	mu           sync.Mutex // guards the fields below
	tokens       map[string]string
	certificates map[string]*x509.Certificate
}

// Pass moves the clock forward.
func (w *World) Pass(d time.Duration) { w.clock.Advance(d) }

// NewWorld makes a World that runs until the test ends. features are what its server has besides the
// usual: "kerberos", "issuer USER" or "local-tickets", as in a vector.
func NewWorld(t testing.TB, features ...string) *World {
	t.Helper()
	return NewWorldOver(t, func(s store.Store) store.Store { return s }, features...)
}

// NewWorldOver does the same as NewWorld for a test that must observe or influence the store: the
// World uses the store that wrap returns for its store in memory.
func NewWorldOver(t testing.TB, wrap func(store.Store) store.Store, features ...string) *World {
	t.Helper()
	w := &World{t: t, features: features}
	w.clock = testclock.New(time.Date(2026, 3, 4, 5, 6, 7, 123456789, time.UTC))
	memory := storetest.NewMemory(w.clock.Now)
	t.Cleanup(func() { _ = memory.Close() })
	var err error
	if w.authority, err = newAuthority(); err != nil {
		t.Fatal(err)
	}
	w.run(wrap(memory))
	w.Found(passwords["administrator"],
		vimtest.User{Name: "reader", Password: passwords["reader"], FullName: "The reader", Role: access.ReadOnly},
		vimtest.User{Name: "nobody", Password: passwords["nobody"], FullName: "The nobody"})
	return w
}

// Beside makes another server of the same cluster. It works on the store s, which is w's store or a
// wrapper of it.
func (w *World) Beside(s store.Store) *World {
	w.t.Helper()
	b := &World{t: w.t, features: w.features, clock: w.clock, authority: w.authority}
	b.run(s)
	return b
}

// run starts the server, which runs until the test ends.
func (w *World) run(s store.Store) {
	w.t.Helper()
	w.Peer = peer.Peer{
		Address: "192.0.2.7", UserAgent: "vectors/1", Request: peer.RequestID{Run: "r", Number: 1}, TLS: true,
	}
	w.tokens, w.certificates = map[string]string{}, map[string]*x509.Certificate{}
	nodes, err := cluster.New(cluster.Options{Name: "vectors", Version: "1", Now: w.clock.Now})
	if err != nil {
		w.t.Fatal(err)
	}
	keys := signing.New(signing.Options{Now: w.clock.Now, Logger: slog.New(slog.DiscardHandler)})
	w.Server = vimtest.Open(w.t, vimtest.Config{
		Store: s, Views: []store.View{nodes.View(), keys.View()}, Now: w.clock.Now,
		// The vectors name users of several sources. Users of other sources than the server's own
		// always exist.
		Exists: func(d *domain.Domain, who principal.Name, group bool) bool {
			return !group && (who.Domain != account.DefaultDomain || d.Accounts.Exists(who))
		},
		Edit: []func(*vimtest.Parts){w.equip},
		Objects: func(api *vim.API, d *domain.Domain) error {
			keys.Attach(d.Mirror)
			return errors.Join(property.Serve(api, d.Sessions), nodes.Serve(api), manager.Serve(api, keys, d.Events))
		},
	})
	nodes.Attach(w.Mirror)
	w.Must(nodes.Report(w.t.Context()))
}

// Sync returns when the server has applied all changes that any server of the cluster has
// acknowledged.
func (w *World) Sync() {
	w.t.Helper()
	w.Must(w.Mirror.Sync(context.Background()))
}

func (w *World) trust() trust.Authorities {
	believed, err := trust.New([]*x509.Certificate{w.authority.cert})
	w.Must(err)
	return believed
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
	l, err := w.Sessions.Authenticate(context.Background(), secret.New(token), w.Now())
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
