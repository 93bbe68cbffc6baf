package vigate_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/vigate/vigate/internal/binding"
	"github.com/vigate/vigate/internal/console"
	"github.com/vigate/vigate/internal/front"
	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/login/passthrough"
	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/upstream"
	"github.com/vigate/vigate/internal/vim"
)

// noUser is an upstream without users.
type noUser struct{}

func (noUser) Try(context.Context, string, secret.Text) (passthrough.User, error) {
	return passthrough.User{}, passthrough.ErrRefused
}

func newConsole(t *testing.T) {
	c := console.New(console.Options{API: vim.New(newWorld(t), vim.Options{}), Bodies: binding.NewBodies(0)})
	w := httptest.NewRecorder()
	c.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/ui/login", nil))
	if w.Code != http.StatusOK {
		t.Errorf("status %d", w.Code)
	}
}

func newPassthrough(t *testing.T) {
	m := passthrough.New(passthrough.Options{Front: "lab", Upstream: noUser{}, Digest: newWorld(t).Accounts.Digest})
	p := login.Password{User: "x", Secret: secret.New("y")}
	_, err := m.Authenticate(t.Context(), login.Attempt{Credential: p})
	if !errors.Is(err, login.ErrRejected) {
		t.Error(err)
	}
}

func newFront(t *testing.T) {
	cfg := upstream.Config{Name: "lab", URL: "http://127.0.0.1:1/sdk", Listen: "127.0.0.1:0", PassThrough: true}
	check(t, errors.Join(cfg.Check()...))
	u, err := upstream.Open(cfg, upstream.Options{})
	check(t, err)
	w := newWorld(t)
	f := front.New(front.Options{Domain: w, Upstream: u, Config: cfg, Gate: w.NewGate(login.GateOptions{})})
	p := login.Password{User: "x", Secret: secret.New("y")}
	if _, _, err := f.Gate().Login(t.Context(), login.Attempt{Credential: p}, nil); err == nil {
		t.Error("a login without an upstream")
	}
}
