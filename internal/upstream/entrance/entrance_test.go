package entrance_test

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vmware/govmomi/simulator"

	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/testclock"
	"github.com/vigate/vigate/internal/upstream/entrance"
	"github.com/vigate/vigate/internal/upstream/note"
	"github.com/vigate/vigate/internal/upstream/password"
	"github.com/vigate/vigate/internal/upstream/wire"
)

// door is an entrance to a simulator whose user svc has the password "right".
type door struct {
	*entrance.Entrance
	t     *testing.T
	clock *testclock.Clock
	sent  int
	// fails, if not nil, answers logins in place of the simulator.
	fails atomic.Pointer[http.HandlerFunc]
}

func newDoor(t *testing.T) *door {
	t.Helper()
	model := simulator.ESX()
	must(t, model.Create())
	t.Cleanup(model.Remove)
	model.Service.Listen = &url.URL{Host: "127.0.0.1:0", User: url.UserPassword("svc", "right")}
	inner := model.Service.NewServer()
	t.Cleanup(inner.Close)
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: inner.URL.Host})
	d := &door{t: t, clock: testclock.New(time.Now())}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		if f := d.fails.Load(); f != nil && bytes.Contains(body, []byte("<Login ")) {
			(*f)(w, r)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	u, err := url.Parse(s.URL + "/sdk")
	must(t, err)
	quiet := slog.New(slog.DiscardHandler)
	server, err := wire.Open(u, wire.Trust{}, wire.ServerOptions{UserAgent: "test", Now: d.clock.Now, Logger: quiet})
	must(t, err)
	t.Cleanup(server.Close)
	refusals, err := password.NewRefusals(d.clock.Now)
	must(t, err)
	d.Entrance = &entrance.Entrance{
		Name: "lab", Server: server, Refusals: refusals, Now: d.clock.Now, Sent: func() { d.sent++ },
		Book:    note.New(note.Options{Now: d.clock.Now, Logger: quiet}),
		Expires: func() time.Time { return d.clock.Now().Add(time.Hour) },
	}
	return d
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// login tries a password.
func (d *door) login(word string) (*entrance.Session, error) {
	text := secret.New(word)
	return d.Login(d.t.Context(), entrance.Credentials{
		User: "svc", Password: text, Digest: d.Refusals.Digest("svc", text),
	})
}

func TestALoginIsNotedWithItsKey(t *testing.T) {
	d := newDoor(t)
	s, err := d.login("right")
	must(t, err)
	if s.Key.IsZero() || s.Cookie.Value.IsZero() || s.Info.UserName != "svc" {
		t.Errorf("the session is %+v", s.Info)
	}
	n := s.Note
	if n.Upstream != "lab" || n.Account != "svc" || n.Key.Reveal() != s.Key.Reveal() || d.Book.Count("lab") != 1 {
		t.Errorf("the note is %+v, one of %d", n, d.Book.Count("lab"))
	}
}

func TestAWrongPasswordIsSentAsOftenAsIsSafe(t *testing.T) {
	d := newDoor(t)
	for range 5 {
		if _, err := d.login("wrong"); !errors.Is(err, entrance.ErrRejected) || errors.Is(err, entrance.ErrOutcome) {
			t.Errorf("got %v", err)
		}
	}
	if d.sent != password.Tries {
		t.Errorf("it was sent %d times", d.sent)
	}
	// Others are sent as long as the user has failures left.
	untried := 0
	for _, word := range []string{"a", "b", "c", "d", "e", "f"} {
		_, err := d.login(word)
		if errors.Is(err, entrance.ErrUntried) {
			untried++
		} else if !errors.Is(err, entrance.ErrRejected) {
			t.Errorf("got %v", err)
		}
	}
	if d.sent > note.MaxRefused || d.sent+untried != password.Tries+6 {
		t.Errorf("%d passwords were sent, %d not tried", d.sent, untried)
	}
	if _, err := d.login("right"); !errors.Is(err, entrance.ErrUntried) {
		t.Errorf("above the budget: %v", err)
	}
	d.clock.Advance(note.Window)
	_, err := d.login("right")
	must(t, err)
}

func TestTheErrorOfALoginSaysWhetherThereMayBeASession(t *testing.T) {
	d := newDoor(t)
	for name, c := range map[string]struct {
		answer  http.HandlerFunc
		unknown bool
	}{
		"a proxy that can't reach it": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(502) }, false},
		"a connection that ends":      {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, true},
	} {
		d.fails.Store(&c.answer)
		_, err := d.login("right")
		if !errors.Is(err, wire.ErrUnreachable) || errors.Is(err, entrance.ErrOutcome) != c.unknown ||
			errors.Is(err, entrance.ErrRejected) {
			t.Errorf("%s: %v", name, err)
		}
	}
	d.fails.Store(nil)
	_, err := d.login("right")
	must(t, err)
}
