package upstream

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
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vmware/govmomi/simulator"
	_ "github.com/vmware/govmomi/vapi/simulator" // the Automation API
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/config"
	"github.com/vigate/vigate/internal/upstream/note"
	"github.com/vigate/vigate/internal/upstream/settings"
)

// double is govmomi's simulator behind a handler that sees every call. It can refuse and hold calls,
// counts logins, and fails the test if there are ever more sessions than allowed.
type double struct {
	t       testing.TB
	server  *httptest.Server
	service *simulator.Service
	handler http.Handler
	// intercept is called before a call is done. If it returns true, it has answered.
	intercept func(method string, w http.ResponseWriter, r *http.Request) bool

	mu        sync.Mutex // guards the fields below
	passwords map[string]string
	live      map[string]bool // keys
	rest      map[string]bool // tokens
	limit     int             // 0: none
	most      int
	calls     map[string]int
	refused   int    // logins
	prefix    string // put before the values of cookies
}

var methodForm = regexp.MustCompile(`<(?:\w+:)?Body[^>]*>\s*<(?:\w+:)?(\w+)`)

// newDouble returns a running simulator with the users ann and bob, whose password is "right".
func newDouble(t testing.TB, edit ...func(*simulator.Model)) *double {
	t.Helper()
	model := simulator.VPX()
	model.Datacenter, model.Cluster, model.Host, model.Machine, model.Datastore = 1, 0, 1, 1, 1
	for _, e := range edit {
		e(model)
	}
	if err := model.Create(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(model.Remove)
	d := &double{
		t: t, service: model.Service, passwords: map[string]string{"ann": "right", "bob": "right"},
		live: map[string]bool{}, rest: map[string]bool{}, calls: map[string]int{},
	}
	model.Service.Listen = &url.URL{Host: "127.0.0.1:0", User: url.UserPassword("nobody", "x")}
	model.Service.RegisterEndpoints = true
	model.Service.Context.Map.SessionManager().ValidLogin = func(l *types.Login) bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		ok := l.Password != "" && d.passwords[l.UserName] == l.Password
		if !ok {
			d.refused++
		}
		return ok
	}
	inner := model.Service.NewServer()
	t.Cleanup(inner.Close)
	d.handler = model.Service.ServeMux
	d.server = httptest.NewServer(d)
	t.Cleanup(d.server.Close)
	return d
}

func (d *double) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	method := r.Method + " " + r.URL.Path
	if found := methodForm.FindSubmatch(body); found != nil {
		method = string(found[1])
	}
	d.mu.Lock()
	d.calls[method]++
	intercept := d.intercept
	d.mu.Unlock()
	if intercept != nil && intercept(method, w, r) {
		return
	}
	if method == "Login" && d.full() {
		http.Error(w, "too many sessions", http.StatusServiceUnavailable)
		return
	}
	answer := httptest.NewRecorder()
	d.handler.ServeHTTP(answer, r)
	d.follow(method, r, body, answer)
	for k, v := range answer.Header() {
		if k == "Set-Cookie" {
			d.mu.Lock()
			v[0] = strings.Replace(v[0], "=", "="+d.prefix, 1)
			d.mu.Unlock()
		}
		w.Header()[k] = v
	}
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes())
}

// full reports whether a login would exceed the limit, and fails the test if so.
func (d *double) full() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.limit > 0 && len(d.live)+len(d.rest) >= d.limit {
		d.t.Errorf("a login above the limit of %d sessions", d.limit)
		return true
	}
	return false
}

// follow keeps account of the sessions.
func (d *double) follow(method string, r *http.Request, body []byte, answer *httptest.ResponseRecorder) {
	d.mu.Lock()
	defer d.mu.Unlock()
	ok := answer.Code < 300
	switch {
	case method == "Login" && ok:
		for _, c := range answer.Result().Cookies() {
			d.live[c.Value] = true
		}
	case method == "Logout" && ok:
		if c, err := r.Cookie("vmware_soap_session"); err == nil {
			delete(d.live, c.Value)
		}
	case method == "TerminateSession" && ok:
		for key := range d.live {
			if strings.Contains(string(body), key) {
				delete(d.live, key)
			}
		}
	case strings.HasSuffix(method, "/com/vmware/cis/session") || strings.HasSuffix(method, "/api/session"):
		token := strings.Trim(answer.Body.String(), "\" \n")
		if _, rest, found := strings.Cut(token, `"value":"`); found {
			token, _, _ = strings.Cut(rest, `"`)
		}
		if r.Method == http.MethodPost && ok && r.URL.RawQuery == "" {
			d.rest[token] = true
		}
		if r.Method == http.MethodDelete && ok {
			delete(d.rest, r.Header.Get("vmware-api-session-id"))
		}
	}
	d.most = max(d.most, len(d.live)+len(d.rest))
}

func (d *double) set(f func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f()
}

// on sets what happens before a call.
func (d *double) on(f func(method string, w http.ResponseWriter, r *http.Request) bool) {
	d.set(func() { d.intercept = f })
}

func (d *double) count(method string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.calls[method]
}

func (d *double) sessions() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.live) + len(d.rest)
}

// endAll ends all sessions, as an administrator of the upstream would.
func (d *double) endAll() {
	d.mu.Lock()
	var keys []string
	for key := range d.live {
		keys = append(keys, key)
	}
	clear(d.live)
	d.mu.Unlock()
	for _, key := range keys {
		manager := *d.service.Context.Map.SessionManager()
		_, err := methods.TerminateSession(context.Background(), d.service,
			&types.TerminateSession{This: manager.Self, SessionId: []string{key}})
		if err != nil {
			continue // it was logged out at the same time
		}
	}
}

// clock is a clock that a test moves.
type clock struct {
	mu  sync.Mutex // guards now
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// scene is an upstream in front of a double.
type scene struct {
	*Upstream
	t      testing.TB
	double *double
	clock  *clock
	files  map[string]string // password files by account
	cfg    Config
	log    *logs
}

// logs keeps what was logged.
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

// load reads a configuration as a server does. The text is the keys of the one upstream.
func load(t testing.TB, text string) Config {
	t.Helper()
	var all []Config
	text = "data: /tmp\nupstreams:\n  - " + strings.ReplaceAll(text, "\n", "\n    ") + "\n"
	_, err := config.Load("vigate.yaml", []byte(text), nil, settings.Section("vigate.yaml", &all))
	if err != nil {
		t.Fatal(err)
	}
	return all[0]
}

// stage returns an upstream with the accounts ann and bob. extra are more keys of the configuration.
func stage(t testing.TB, d *double, extra string, edit ...func(*Options)) *scene {
	t.Helper()
	s := &scene{
		t: t, double: d, clock: &clock{now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}, log: &logs{},
		files: map[string]string{},
	}
	dir := t.TempDir()
	text := "name: lab\nurl: " + d.server.URL + "/sdk\nplain-http: 127.0.0.1:0\n" + extra
	if !strings.Contains(extra, "pass-through") {
		text += "\naccounts:"
		for _, name := range []string{"ann", "bob"} {
			s.files[name] = filepath.Join(dir, name)
			s.write(name, "right\n")
			text += fmt.Sprintf("\n  - {name: %s, username: %s, password-file: %s}", name, name, s.files[name])
		}
	}
	s.cfg = load(t, text)
	o := Options{
		Version: "1.2", Now: s.clock.Now,
		Logger: slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, e := range edit {
		e(&o)
	}
	u, err := Open(s.cfg, o)
	if err != nil {
		t.Fatal(err)
	}
	s.Upstream = u
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		_ = u.Drain(ctx)
		for _, secret := range []string{"right"} {
			if strings.Contains(s.log.String(), secret) {
				t.Errorf("the log shows a password: %s", s.log)
			}
		}
	})
	return s
}

func (s *scene) write(account, password string) {
	s.t.Helper()
	if err := os.WriteFile(s.files[account], []byte(password), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func (s *scene) pool(account string) *Pool {
	s.t.Helper()
	a, ok := s.Account(account)
	if !ok {
		s.t.Fatalf("no account %s", account)
	}
	return s.Pool(a, "")
}

// use acquires a session of the account.
func (s *scene) use(account string) *Use {
	s.t.Helper()
	x, err := s.pool(account).Acquire(s.ctx())
	if err != nil {
		s.t.Fatal(err)
	}
	return x
}

func (s *scene) ctx() context.Context {
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	s.t.Cleanup(cancel)
	return ctx
}

// eventually waits until the condition holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for range 6000 {
		if holds() {
			return
		}
		<-again.C
	}
	t.Fatalf("it never happened that %s", what)
}

// waiting returns the number of callers in the queue.
func (s *scene) waiting() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.queue.Len()
}

// idle makes all unused sessions old enough to be logged out.
func (s *scene) pass(d time.Duration) {
	s.clock.advance(d)
	s.look(s.clock.Now())
	s.ask(s.ctx(), s.clock.Now())
}

// book returns the notes of a process on a store.
func book(now func() time.Time, node string) *note.Book {
	return note.New(note.Options{Now: now, Node: node, Logger: slog.New(slog.DiscardHandler)})
}

func keysOf(all []note.Key) []string {
	var ids []string
	for _, k := range all {
		ids = append(ids, k.Account)
	}
	slices.Sort(ids)
	return ids
}
