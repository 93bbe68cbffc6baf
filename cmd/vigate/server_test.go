package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vmware/govmomi/session"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/config"
	"github.com/vigate/vigate/internal/serve"
	"github.com/vigate/vigate/internal/serve/logging"
	"github.com/vigate/vigate/internal/store/bolt"
)

// jsonClient is govmomi's own client in its JSON mode.
func jsonClient(t *testing.T, base string) *vim25.Client {
	t.Helper()
	u, err := url.Parse(base + "/sdk")
	if err != nil {
		t.Fatal(err)
	}
	s := soap.NewClient(u, true)
	s.UseJSON(true)
	c, err := vim25.NewClient(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestGovmomiInJSONModeCanUseItsWholeSessionManager(t *testing.T) {
	r := start(t, t.TempDir(), nil)
	ctx := t.Context()
	c := jsonClient(t, r.tls)
	m := session.NewManager(c)
	if err := m.Login(ctx, url.UserPassword(adminUser, adminPassword)); err != nil {
		t.Fatal(err)
	}
	if _, err := methods.GetCurrentTime(ctx, c); err != nil {
		t.Errorf("CurrentTime: %v", err)
	}
	ticket, err := m.AcquireCloneTicket(ctx)
	if err != nil {
		t.Fatal(err)
	}
	second := session.NewManager(jsonClient(t, r.tls))
	if err := second.CloneSession(ctx, ticket); err != nil {
		t.Fatal(err)
	}
	var cloned types.UserSession
	for l := range r.Sessions.All() {
		if s := l.Session(); s.Method == "clone" {
			cloned.Key, cloned.UserName = s.Key.String(), s.Identity.Name.String()
		}
	}
	active := func() bool {
		t.Helper()
		res, err := methods.SessionIsActive(ctx, c, &types.SessionIsActive{
			This: *c.ServiceContent.SessionManager, SessionID: cloned.Key, UserName: cloned.UserName,
		})
		if err != nil {
			t.Fatal(err)
		}
		return res.Returnval
	}
	if !active() {
		t.Error("the clone is not active")
	}
	if err := m.TerminateSession(ctx, []string{cloned.Key}); err != nil {
		t.Fatal(err)
	}
	if active() {
		t.Error("the clone is active after it was terminated")
	}
	if err := m.Logout(ctx); err != nil {
		t.Fatal(err)
	}
	if r.Sessions.Size() != 0 {
		t.Errorf("%d sessions left", r.Sessions.Size())
	}
}

func TestOneOfAHundredClonesWithOneTicketWins(t *testing.T) {
	r := start(t, t.TempDir(), nil)
	c := httpClient(t)
	token, _ := r.login(t, c)
	ticket := vi(t, c, r.plain, token, sm+"AcquireCloneTicket", "").text()
	var won, lost atomic.Int32
	var wg sync.WaitGroup
	// A hundred concurrent uses must have one winner. The number exceeds the failures that lock an
	// address, because each loser counts as a failed login.
	for range 100 {
		wg.Go(func() {
			switch a := vi(t, c, r.plain, "", sm+"CloneSession", `{"cloneTicket":"`+ticket+`"}`); {
			case a.status == 200:
				won.Add(1)
			case a.status == 500 && a.member("_typeName") == "InvalidLogin":
				lost.Add(1)
			default:
				t.Errorf("got %d %s", a.status, a.body)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 || lost.Load() != 99 {
		t.Errorf("%d won, %d lost", won.Load(), lost.Load())
	}
}

func TestNoRequestSucceedsAfterItsSessionWasTerminated(t *testing.T) {
	r := start(t, t.TempDir(), nil)
	c := httpClient(t)
	admin, _ := r.login(t, c)
	for range 10 {
		token, key := r.login(t, c)
		var ended atomic.Bool
		var wg sync.WaitGroup
		stop := make(chan struct{})
		for range 4 {
			wg.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					after := ended.Load()
					if a := vi(t, c, r.plain, token, sm+"message", "GET"); a.status == 200 && after {
						t.Error("a success after the 204")
					}
				}
			})
		}
		if a := vi(t, c, r.plain, admin, sm+"TerminateSession", `{"sessionId":["`+key+`"]}`); a.status != 204 {
			t.Errorf("terminate: %d %s", a.status, a.body)
		}
		ended.Store(true)
		for range 20 {
			if a := vi(t, c, r.plain, token, sm+"message", "GET"); a.member("_typeName") != "NotAuthenticated" {
				t.Errorf("after the 204: %d %s", a.status, a.body)
			}
		}
		close(stop)
		wg.Wait()
	}
}

func TestACallThatWaitsEndsWhenItsClientGoes(t *testing.T) {
	r := start(t, t.TempDir(), nil)
	token, _ := r.login(t, httpClient(t))
	inFlight := func(want int64) {
		t.Helper()
		eventually(t, fmt.Sprintf("%d requests in flight", want), func() bool { return r.Load().InFlight == want })
	}
	const collector = "PropertyCollector/propertyCollector/"
	for _, base := range []string{r.plain, r.tls} {
		for path, body := range map[string]string{
			"/sdk/vim25/8.0.1.0/" + collector + "WaitForUpdatesEx": `{}`,
			"/sdk": `<Envelope xmlns="http://schemas.xmlsoap.org/soap/envelope/"><Body><WaitForUpdatesEx ` +
				`xmlns="urn:vim25">` +
				`<_this type="PropertyCollector">propertyCollector</_this></WaitForUpdatesEx></Body></Envelope>`,
		} {
			inFlight(0)
			ctx, leave := context.WithCancel(t.Context())
			req, err := http.NewRequestWithContext(ctx, "POST", base+path, strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("vmware-api-session-id", token)
			ended := make(chan error, 1)
			go func() {
				resp, err := httpClient(t).Do(req)
				if err == nil {
					err = errors.Join(fmt.Errorf("%s: %s", path, resp.Status), resp.Body.Close())
				}
				ended <- err
			}()
			inFlight(1)
			// gives the call time to start waiting; the test also passes if it has not
			<-time.After(10 * time.Millisecond)
			leave()
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
			inFlight(0)
		}
	}
}

func TestSessionsUsersAndTicketsOutliveARestart(t *testing.T) {
	dir := t.TempDir()
	r := start(t, dir, nil)
	c := httpClient(t)
	token, key := r.login(t, c)
	ended, _ := r.login(t, c)
	unspent := vi(t, c, r.plain, token, sm+"AcquireCloneTicket", "").text()
	spent := vi(t, c, r.plain, token, sm+"AcquireCloneTicket", "").text()
	if a := vi(t, c, r.plain, "", sm+"CloneSession", `{"cloneTicket":"`+spent+`"}`); a.status != 200 {
		t.Fatalf("clone: %s", a.body)
	}
	if a := vi(t, c, r.plain, ended, sm+"Logout", ""); a.status != 204 {
		t.Fatalf("logout: %s", a.body)
	}
	uuid := vi(t, c, r.plain, "", "ServiceInstance/ServiceInstance/content", "GET").body
	r.stop()

	again := start(t, dir, nil)
	if a := vi(t, c, again.plain, token, sm+"currentSession", "GET"); a.member("key") != key {
		t.Errorf("session lost: %d %s", a.status, a.body)
	}
	if a := vi(t, c, again.plain, ended, sm+"message", "GET"); a.status == 200 {
		t.Error("a session that was logged out is back")
	}
	if a := vi(t, c, again.plain, "", sm+"CloneSession", `{"cloneTicket":"`+spent+`"}`); a.status != 500 {
		t.Errorf("spent ticket: %d", a.status)
	}
	if a := vi(t, c, again.plain, "", sm+"CloneSession", `{"cloneTicket":"`+unspent+`"}`); a.status != 200 {
		t.Errorf("unspent ticket: %s", a.body)
	}
	if got := vi(t, c, again.plain, "", "ServiceInstance/ServiceInstance/content", "GET").body; got != uuid {
		t.Errorf("the service's content changed:\n%s\n%s", uuid, got)
	}
}

func TestASecondInstanceOnTheSameDirectoryIsRefused(t *testing.T) {
	dir := t.TempDir()
	start(t, dir, nil)
	cfg := config.Default()
	cfg.Data = dir
	n, err := serve.Open(t.Context(), cfg, serve.Options{Logger: logging.New(cfg, io.Discard)})
	if err == nil {
		_ = n.Close()
		t.Fatal("two servers on one directory")
	}
	if !errors.Is(err, bolt.ErrLocked) || !strings.Contains(err.Error(), dir) {
		t.Errorf("got %v", err)
	}
}

func TestPlainHTTPIsForLoopbackOnly(t *testing.T) {
	cfg := config.Default()
	cfg.Data, cfg.Listen, cfg.PlainHTTP = t.TempDir(), "127.0.0.1:0", "0.0.0.0:0"
	n, err := serve.Open(t.Context(), cfg, serve.Options{Logger: logging.New(cfg, io.Discard)})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Listen(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "loopback") {
		t.Errorf("got %v", err)
	}
	if err := n.Close(); err != nil {
		t.Error(err)
	}
}

func TestServeEndsWithoutErrorAfterASignal(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cfg := config.Default()
	cfg.Dev, cfg.Listen = true, "127.0.0.1:0"
	var out, log output
	ended := make(chan error, 1)
	ready := make(chan struct{})
	go func() {
		ended <- serve.Run(ctx, cfg, serve.Terminal{
			Out: writeOnce{&out, ready}, Err: &log, Getenv: func(string) string { return "" },
			IsTerminal: func(io.Writer) bool { return false },
		}, serve.Options{})
	}()
	<-ready
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	text := out.String()
	if !strings.Contains(text, "export GOVC_URL=https://127.0.0.1:") || strings.Contains(log.String(), "password") {
		t.Errorf("shown:\n%s\nlogged:\n%s", text, log.String())
	}
}

// writeOnce closes ready when the server's first line has been written.
type writeOnce struct {
	*output
	ready chan struct{}
}

func (w writeOnce) Write(p []byte) (int, error) {
	n, err := w.output.Write(p)
	if strings.Contains(string(p), "GOVC_URL") {
		close(w.ready)
	}
	return n, err
}

func TestHealthIsServedOnBothListeners(t *testing.T) {
	r := start(t, t.TempDir(), nil)
	c := httpClient(t)
	for _, base := range []string{r.tls, r.plain} {
		for _, path := range []string{"/readyz", "/healthz"} {
			resp, err := c.Get(base + path)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				t.Errorf("%s%s: %d", base, path, resp.StatusCode)
			}
		}
	}
}

func TestASessionLimitReturns503AndNamesTheLimit(t *testing.T) {
	r := start(t, t.TempDir(), func(c *config.Config) { c.MaxSessionsPerUser = 2 })
	c := httpClient(t)
	r.login(t, c)
	r.login(t, c)
	a := vi(t, c, r.plain, "", sm+"Login", fmt.Sprintf(`{"userName":%q,"password":%q}`, adminUser, adminPassword))
	const reason = "The user has reached the limit of sessions: 2 of at most 2 are live"
	if a.status != 503 || a.header.Get("Retry-After") == "" || !strings.Contains(a.body, reason) {
		t.Errorf("got %d %v %s", a.status, a.header, a.body)
	}
	// The command line shows it as well.
	t.Setenv("VIGATE_PASSWORD", adminPassword)
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	if out, code := vigate(t, "login", "--url", r.tls, "-k", "--username", adminUser); code != 6 ||
		!strings.Contains(out, reason) || !strings.Contains(out, "try again in 30s") {
		t.Errorf("exit code %d: %s", code, out)
	}
}

func TestALoginOnALiveSessionIsToldSo(t *testing.T) {
	r := start(t, t.TempDir(), nil)
	c := httpClient(t)
	token, _ := r.login(t, c)
	for _, password := range []string{adminPassword, "wrong"} {
		a := vi(t, c, r.plain, token, sm+"Login", fmt.Sprintf(`{"userName":%q,"password":%q}`, adminUser, password))
		if !strings.Contains(a.body, `"InvalidLogin"`) || !strings.Contains(a.body, "the request has a live session") {
			t.Errorf("got %d %s", a.status, a.body)
		}
	}
}
