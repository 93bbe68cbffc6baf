package gateway_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vmware/govmomi"
	gosession "github.com/vmware/govmomi/session"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/binding"
	"github.com/vigate/vigate/internal/config"
	"github.com/vigate/vigate/internal/domain"
	"github.com/vigate/vigate/internal/gateway"
	"github.com/vigate/vigate/internal/property"
	"github.com/vigate/vigate/internal/session"
	vigatesoap "github.com/vigate/vigate/internal/soap"
	"github.com/vigate/vigate/internal/upstream"
	"github.com/vigate/vigate/internal/upstream/settings"
	"github.com/vigate/vigate/internal/vim"
	"github.com/vigate/vigate/internal/vim/vimtest"
)

// double is govmomi's simulator behind a proxy that sees each request.
type double struct {
	service *simulator.Service
	server  *httptest.Server
	inner   *url.URL // of the simulator itself
	// refusals is how many connections are refused next.
	refusals atomic.Int64

	mu     sync.Mutex      // guards what follows
	keys   map[string]bool // of all sessions that there ever were
	calls  map[string]int
	latest map[string]*seen // the latest request by method
	// serial makes the calls on one collector wait for each other.
	serial    bool
	busy      map[string]*sync.Mutex
	intercept func(method string, w http.ResponseWriter, r *http.Request) bool
}

// seen is a request as the upstream saw it.
type seen struct {
	header http.Header
	body   string
}

var (
	methodForm = regexp.MustCompile(`<(?:\w+:)?Body[^>]*>\s*<(?:\w+:)?(\w+)`)
	thisForm   = regexp.MustCompile(`<(?:\w+:)?_this[^>]*>([^<]*)<`)
)

func newDouble(t testing.TB, edit ...func(*simulator.Model)) *double {
	t.Helper()
	model := simulator.VPX()
	model.Machine = 3
	for _, e := range edit {
		e(model)
	}
	if err := model.Create(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(model.Remove)
	model.Service.Listen = &url.URL{Host: "127.0.0.1:0", User: url.UserPassword("svc", "right")}
	d := &double{
		service: model.Service, keys: map[string]bool{}, calls: map[string]int{}, latest: map[string]*seen{},
		busy: map[string]*sync.Mutex{},
	}
	inner := model.Service.NewServer()
	d.inner = &url.URL{Scheme: "http", Host: inner.URL.Host}
	// The simulator goes on with waits whose session has ended, so nobody can wait for the end of all calls.
	t.Cleanup(func() { _ = inner.Config.Close() })
	proxy := httputil.NewSingleHostReverseProxy(d.inner)
	proxy.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	proxy.ModifyResponse = func(r *http.Response) error {
		d.mu.Lock()
		defer d.mu.Unlock()
		for _, c := range r.Cookies() {
			d.keys[c.Value] = true
		}
		return nil
	}
	d.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d.serve(proxy, w, r)
	}))
	t.Cleanup(d.server.Close)
	return d
}

func (d *double) serve(proxy http.Handler, w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	method, this := "", ""
	if m := methodForm.FindSubmatch(body); m != nil {
		method = string(m[1])
	}
	if m := thisForm.FindSubmatch(body); m != nil {
		this = string(m[1])
	}
	d.mu.Lock()
	d.calls[method]++
	d.latest[method] = &seen{r.Header.Clone(), string(body)}
	intercept := d.intercept
	var turn *sync.Mutex
	if d.serial && strings.HasPrefix(this, "session[") && strings.HasPrefix(method, "Retrieve") {
		if turn = d.busy[this]; turn == nil {
			turn = new(sync.Mutex)
			d.busy[this] = turn
		}
	}
	d.mu.Unlock()
	if intercept != nil && intercept(method, w, r) {
		return
	}
	if turn != nil {
		turn.Lock()
		defer turn.Unlock()
	}
	proxy.ServeHTTP(w, r)
}

func (d *double) set(f func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f()
}

func (d *double) count(method string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.calls[method]
}

// total returns how many calls there were.
func (d *double) total() (n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range d.calls {
		n += c
	}
	return n
}

func (d *double) last(method string) *seen {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.latest[method]
}

func (d *double) secrets() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var all []string
	for k := range d.keys {
		all = append(all, k)
	}
	return all
}

// endAll ends all sessions, as an administrator of the upstream would.
func (d *double) endAll() {
	manager := d.service.Context.Map.SessionManager().Self
	for _, key := range d.secrets() {
		// An error means that the session has ended before.
		_, _ = methods.TerminateSession(context.Background(), d.service,
			&types.TerminateSession{This: manager, SessionId: []string{key}})
	}
}

// scene is a front before a double, with users of vigate.
type scene struct {
	t      testing.TB
	double *double
	up     *upstream.Upstream
	front  *gateway.Front
	vigate *vimtest.Server
	server *httptest.Server
	log    *logs

	mu  sync.Mutex   // guards got
	got bytes.Buffer // all that clients have received
}

type logs struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

const password = "a long password"

// userName returns the name of a user of the scene, of which there are 20.
func userName(n int) string { return fmt.Sprintf(`VSPHERE.LOCAL\user%d`, n) }

// stage makes a scene. extra are more keys of the configuration.
func stage(t testing.TB, d *double, extra string, edit ...func(*gateway.Options)) *scene {
	t.Helper()
	s := &scene{t: t, double: d, log: &logs{}}
	logger := slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	s.openUpstream(extra, logger)
	s.vigate = vimtest.Open(t, vimtest.Config{
		Logger:  logger,
		Objects: func(a *vim.API, d *domain.Domain) error { return property.Serve(a, d.Sessions) },
	})
	var users []vimtest.User
	for n := range 20 {
		users = append(users, vimtest.User{Name: userName(n), Password: password, Role: access.ReadOnly})
	}
	s.vigate.Found(vimtest.AdminPassword, users...)
	account, _ := s.up.Account("svc")
	bodies, local := binding.NewBodies(0), http.NewServeMux()
	vigatesoap.Mount(local, s.vigate.API, bodies, vigatesoap.Options{Version: "8.0.3.0", Logger: logger})
	o := gateway.Options{
		API: s.vigate.API, Upstream: s.up, Local: local, Fault: vigatesoap.Faults(s.vigate.API), Bodies: bodies,
		Choose: func(*session.Live) (*upstream.Account, error) { return account, nil },
		End: func(ctx context.Context, l *session.Live) error {
			return s.vigate.Sessions.End(ctx, l, session.Logout(l.Session()))
		},
		Logger: logger,
	}
	for _, e := range edit {
		e(&o)
	}
	s.front = gateway.New(o)
	s.server = httptest.NewServer(s.front)
	t.Cleanup(s.close)
	return s
}

func (s *scene) openUpstream(extra string, logger *slog.Logger) {
	s.t.Helper()
	dir := s.t.TempDir()
	file := filepath.Join(dir, "svc")
	s.must(os.WriteFile(file, []byte("right\n"), 0o600))
	var all []settings.Config
	text := "data: /tmp\nupstreams:\n  - name: lab\n    url: " + s.double.server.URL + "/sdk\n" +
		"    plain-http: 127.0.0.1:0\n" +
		"    accounts:\n      - name: svc\n        username: svc\n        password-file: " + file + "\n" + extra
	_, err := config.Load("vigate.yaml", []byte(text), nil, settings.Section("vigate.yaml", &all))
	s.must(err)
	s.up, err = upstream.Open(all[0], upstream.Options{Dial: s.double.dial, Logger: logger})
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
		_ = s.up.Drain(ctx) // a test may have ended the double
	})
}

// close checks that no client got a key of the upstream.
func (s *scene) close() {
	s.server.Close()
	s.vigate.Drain()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, key := range s.double.secrets() {
		if bytes.Contains(s.got.Bytes(), []byte(key)) {
			at := bytes.Index(s.got.Bytes(), []byte(key))
			s.t.Errorf("a client got the key of an upstream session: %s", s.got.Bytes()[max(0, at-200):at+60])
		}
		if strings.Contains(s.log.String(), key) {
			s.t.Error("the log has the key of an upstream session")
		}
	}
}

func (s *scene) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *scene) ctx() context.Context {
	ctx, cancel := context.WithTimeout(s.t.Context(), 2*time.Minute)
	s.t.Cleanup(cancel)
	return ctx
}

// recording is a transport that keeps what comes back.
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

// client is a client of the front that has logged in.
type client struct {
	*govmomi.Client
	s   *scene
	key string
}

// login logs a user in.
func (s *scene) login(n int) *client {
	s.t.Helper()
	c, err := s.tryLogin(n)
	s.must(err)
	return c
}

func (s *scene) tryLogin(n int) (*client, error) {
	u, err := url.Parse(s.server.URL + "/sdk")
	if err != nil {
		return nil, err
	}
	transport := soap.NewClient(u, true)
	inner := transport.DefaultTransport()
	inner.MaxIdleConnsPerHost = 64
	transport.Transport = recording{s, inner}
	c, err := vim25.NewClient(s.t.Context(), transport)
	if err != nil {
		return nil, err
	}
	all := &govmomi.Client{Client: c, SessionManager: gosession.NewManager(c)}
	if err := all.Login(s.t.Context(), url.UserPassword(userName(n), password)); err != nil {
		return nil, err
	}
	me, err := all.SessionManager.UserSession(s.t.Context())
	if err != nil {
		return nil, err
	}
	return &client{all, s, me.Key}, nil
}

// post sends an envelope, and returns the answer.
func (c *client) post(envelope string) (int, string) {
	c.s.t.Helper()
	return c.postBy(recording{c.s, http.DefaultTransport}, envelope)
}

func (c *client) postBy(transport http.RoundTripper, envelope string) (int, string) {
	c.s.t.Helper()
	status, answer, err := c.try(transport, envelope)
	c.s.must(err)
	return status, answer
}

func (c *client) try(transport http.RoundTripper, envelope string) (int, string, error) {
	r, err := http.NewRequestWithContext(c.s.t.Context(), http.MethodPost, c.s.server.URL+"/sdk",
		strings.NewReader(envelope))
	if err != nil {
		return 0, "", err
	}
	r.Header.Set("Content-Type", "text/xml; charset=utf-8")
	r.Header.Set("SOAPAction", "urn:vim25/8.0.3.0")
	for _, cookie := range c.Jar.Cookies(r.URL) {
		r.AddCookie(cookie)
	}
	a, err := transport.RoundTrip(r)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = a.Body.Close() }()
	b, err := io.ReadAll(a.Body)
	return a.StatusCode, string(b), err
}

// eventually waits until something is true.
func (s *scene) eventually(what string, is func() bool) {
	s.t.Helper()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for range 6000 {
		if is() {
			return
		}
		<-again.C
	}
	s.t.Fatalf("never: %s", what)
}

// owned returns how many objects clients own.
func (s *scene) owned() int {
	objects, _ := s.front.Owned()
	return objects
}

// isFault reports whether the error is the fault T.
func isFault[T any](err error) bool {
	if !soap.IsSoapFault(err) {
		return false
	}
	_, is := soap.ToSoapFault(err).VimFault().(T)
	return is
}

func mustURL(s string) *url.URL {
	u, err := url.Parse(s)
	if err != nil {
		panic(err)
	}
	return u
}
