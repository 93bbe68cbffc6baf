package path_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vmware/govmomi"
	gosession "github.com/vmware/govmomi/session"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vapi/rest"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"

	_ "github.com/vmware/govmomi/lookup/simulator"
	_ "github.com/vmware/govmomi/pbm/simulator"
	_ "github.com/vmware/govmomi/vapi/simulator"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/binding"
	"github.com/vigate/vigate/internal/config"
	"github.com/vigate/vigate/internal/domain"
	"github.com/vigate/vigate/internal/gateway"
	"github.com/vigate/vigate/internal/gateway/path"
	"github.com/vigate/vigate/internal/property"
	vigaterest "github.com/vigate/vigate/internal/rest"
	"github.com/vigate/vigate/internal/session"
	vigatesoap "github.com/vigate/vigate/internal/soap"
	"github.com/vigate/vigate/internal/upstream"
	"github.com/vigate/vigate/internal/upstream/settings"
	"github.com/vigate/vigate/internal/vim"
	"github.com/vigate/vigate/internal/vim/vimtest"
)

const (
	userName = `VSPHERE.LOCAL\user`
	password = "a long password"
)

// scene is a front with all its paths before govmomi's simulator.
type scene struct {
	t         *testing.T
	simulator *simulator.Service
	upstream  *simulator.Server
	up        *upstream.Upstream
	front     *httptest.Server

	mu   sync.Mutex // guards the fields below
	got  bytes.Buffer
	keys map[string]bool // of all sessions at the upstream
}

// stage makes a scene. A spy may stand before the simulator.
func stage(t *testing.T, spies ...*spy) *scene {
	t.Helper()
	s := &scene{t: t, keys: map[string]bool{}}
	model := simulator.VPX()
	s.must(model.Create())
	t.Cleanup(model.Remove)
	s.simulator = model.Service
	s.simulator.RegisterEndpoints = true
	s.simulator.Listen = &url.URL{Host: "127.0.0.1:0", User: url.UserPassword("svc", "right")}
	s.upstream = s.simulator.NewServer()
	// The simulator goes on with waits whose session has ended, whatever becomes of their connections.
	t.Cleanup(func() { go s.upstream.Close() })
	for _, spy := range spies {
		s.upstream.URL.Host = spy.watch(t, s.simulator.ServeMux)
	}
	s.open()

	logger := slog.New(slog.DiscardHandler)
	v := vimtest.Open(t, vimtest.Config{
		Logger:  logger,
		Objects: func(a *vim.API, d *domain.Domain) error { return property.Serve(a, d.Sessions) },
	})
	v.Found(vimtest.AdminPassword, vimtest.User{Name: userName, Password: password, Role: access.ReadOnly})
	account, _ := s.up.Account("svc")
	bodies, local := binding.NewBodies(0), http.NewServeMux()
	vigatesoap.Mount(local, v.API, bodies, vigatesoap.Options{Version: "8.0.3.0", Logger: logger})
	sessions := http.NewServeMux()
	vigaterest.Mount(sessions, v.API, bodies, []string{"Basic"})
	other := &path.Handler{
		API: v.API, Sessions: sessions, Bodies: bodies, Draining: v.API.Draining(), Logger: logger,
	}
	front := gateway.New(gateway.Options{
		API: v.API, Upstream: s.up, Local: local, Fault: vigatesoap.Faults(v.API), Bodies: bodies, Links: other,
		Choose: func(*session.Live) (*upstream.Account, error) { return account, nil },
		End: func(ctx context.Context, l *session.Live) error {
			return v.Sessions.End(ctx, l, session.Logout(l.Session()))
		},
		Logger: logger,
	})
	other.Through(front)
	s.front = httptest.NewServer(other)
	t.Cleanup(func() {
		s.front.Close()
		v.Drain()
		s.check()
	})
	return s
}

func (s *scene) open() {
	s.t.Helper()
	file := filepath.Join(s.t.TempDir(), "svc")
	s.must(os.WriteFile(file, []byte("right\n"), 0o600))
	var all []settings.Config
	text := "data: /tmp\nupstreams:\n  - name: lab\n    url: http://" + s.upstream.URL.Host + "/sdk\n" +
		"    plain-http: 127.0.0.1:0\n" +
		"    accounts:\n      - {name: svc, username: svc, password-file: " + file + "}\n"
	_, err := config.Load("vigate.yaml", []byte(text), nil, settings.Section("vigate.yaml", &all))
	s.must(err)
	s.up, err = upstream.Open(all[0], upstream.Options{Logger: slog.New(slog.DiscardHandler)})
	s.must(err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.up.Run(ctx)
	}()
	s.t.Cleanup(func() {
		cancel()
		<-done
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		s.must(s.up.Drain(ctx))
	})
}

// note remembers the secrets that the upstream's sessions have now.
func (s *scene) note() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []string
	for _, text := range s.up.Secrets().All() {
		s.keys[text.Reveal()] = true
		all = append(all, text.Reveal())
	}
	return all
}

// check checks that no client got a secret of the upstream.
func (s *scene) check() {
	s.note()
	s.mu.Lock()
	defer s.mu.Unlock()
	for key := range s.keys {
		if at := bytes.Index(s.got.Bytes(), []byte(key)); key != "" && at >= 0 {
			s.t.Errorf("a client got a secret of the upstream: %s", s.got.Bytes()[max(0, at-200):at+60])
		}
	}
	for _, text := range []string{s.upstream.URL.Host, "right@"} {
		if at := bytes.Index(s.got.Bytes(), []byte(text)); at >= 0 {
			s.t.Errorf("a client got a URL of the upstream: %s", s.got.Bytes()[max(0, at-200):at+60])
		}
	}
}

// endAll ends the sessions at the upstream, as an administrator there would.
func (s *scene) endAll() {
	manager := s.simulator.Context.Map.SessionManager().Self
	for _, key := range s.note() {
		// An error means that it is no key of SOAP, or has ended before.
		_, _ = methods.TerminateSession(context.Background(), s.simulator,
			&types.TerminateSession{This: manager, SessionId: []string{key}})
	}
}

func (s *scene) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// recording is a transport that keeps what clients receive.
type recording struct {
	s    *scene
	next http.RoundTripper
}

func (r recording) RoundTrip(q *http.Request) (*http.Response, error) {
	a, err := r.next.RoundTrip(q)
	if err != nil {
		return nil, err
	}
	r.s.mu.Lock()
	for name, values := range a.Header {
		fmt.Fprintln(&r.s.got, name, values)
	}
	r.s.mu.Unlock()
	a.Body = &recorded{a.Body, r.s}
	return a, nil
}

type recorded struct {
	io.ReadCloser
	s *scene
}

func (r *recorded) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	r.s.mu.Lock()
	r.s.got.Write(p[:n])
	r.s.mu.Unlock()
	return n, err
}

// login returns a client of the front that has logged in.
func (s *scene) login() *govmomi.Client {
	s.t.Helper()
	u, err := url.Parse(s.front.URL + "/sdk")
	s.must(err)
	transport := soap.NewClient(u, true)
	transport.Transport = recording{s, transport.DefaultTransport()}
	c, err := vim25.NewClient(s.t.Context(), transport)
	s.must(err)
	all := &govmomi.Client{Client: c, SessionManager: gosession.NewManager(c)}
	s.must(all.Login(s.t.Context(), url.UserPassword(userName, password)))
	return all
}

// automation returns a client of the Automation API that has logged in.
func (s *scene) automation(c *govmomi.Client) *rest.Client {
	s.t.Helper()
	r := rest.NewClient(c.Client)
	r.Transport = recording{s, r.DefaultTransport()}
	s.must(r.Login(s.t.Context(), url.UserPassword(userName, password)))
	return r
}

// get requests a path with the cookie of a client.
func (s *scene) get(c *govmomi.Client, target string) (int, string) {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.front.URL+target, nil)
	s.must(err)
	for _, cookie := range c.Jar.Cookies(c.URL()) {
		r.AddCookie(cookie)
	}
	res, err := recording{s, http.DefaultTransport}.RoundTrip(r)
	s.must(err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	s.must(err)
	return res.StatusCode, strings.TrimSpace(string(b))
}
