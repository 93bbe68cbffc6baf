package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/config"
	"github.com/vigate/vigate/internal/serve"
	"github.com/vigate/vigate/internal/serve/logging"
)

const (
	adminUser     = "administrator@vsphere.local"
	adminPassword = "correct horse battery staple 7"
)

// patience is how long a test waits for a condition. It is long enough for the slowest machine.
const patience = 5 * time.Minute

// output is a log that can be written and read concurrently.
type output struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// running is a whole server in the test's process, on its own ports.
type running struct {
	*serve.Node
	tls, plain string // base URLs
	log        *output
	stop       func() // stops the server and waits for its end; may be called twice
}

// start runs a server with the data directory dir. If change is not nil, it changes the
// configuration. Answers to failed passwords are not delayed.
func start(t testing.TB, dir string, change func(*config.Config)) *running {
	t.Helper()
	// On a slow machine, a login may wait for its hash for a long time.
	return startWith(t, dir, serve.Options{Patience: patience}, change)
}

// startWith does the same as start with other options. The test's log replaces the logger.
func startWith(t testing.TB, dir string, o serve.Options, change func(*config.Config)) *running {
	t.Helper()
	cfg := config.Default()
	cfg.Data, cfg.Listen, cfg.PlainHTTP, cfg.LogLevel = dir, "127.0.0.1:0", "127.0.0.1:0", slog.LevelDebug
	if change != nil {
		change(&cfg)
	}
	r := &running{log: &output{}}
	ctx, cancel := context.WithCancel(context.Background())
	o.Logger, o.PasswordGrid = logging.New(cfg, r.log), cmp.Or(o.PasswordGrid, -1)
	n, err := serve.Open(ctx, cfg, o)
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	env := func(name string) string {
		if name == serve.PasswordVariable {
			return adminPassword
		}
		return ""
	}
	if _, err = n.Bootstrap(ctx, cfg, serve.Terminal{Out: io.Discard, Err: io.Discard, Getenv: env,
		IsTerminal: func(io.Writer) bool { return false }}); err == nil {
		err = n.Listen(ctx, cfg)
	}
	if err != nil {
		cancel()
		_ = n.Close()
		t.Fatal(err)
	}
	r.Node, r.tls, r.plain = n, "https://"+n.Addr("tls").String(), "http://"+n.Addr("plain").String()
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run: %v", err)
		}
		if err := n.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	t.Cleanup(r.stop)
	return r
}

// httpClient returns a client that trusts the test's server.
func httpClient(t testing.TB) *http.Client {
	tr := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, MaxIdleConnsPerHost: 200,
		ForceAttemptHTTP2: true}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

// response is an HTTP response with its whole body.
type response struct {
	status int
	header http.Header
	body   string
}

func (a response) member(name string) string {
	var m map[string]any
	if json.Unmarshal([]byte(a.body), &m) != nil {
		return ""
	}
	s, _ := m[name].(string)
	return s
}

func (a response) text() string {
	var s string
	_ = json.Unmarshal([]byte(a.body), &s)
	return s
}

// vi sends one VI JSON request: a GET if body is "GET", and otherwise a POST.
func vi(t testing.TB, c *http.Client, base, token, path, body string) response {
	t.Helper()
	method, rd := "POST", io.Reader(strings.NewReader(body))
	if body == "GET" {
		method, rd = "GET", nil
	}
	req, err := http.NewRequest(method, base+"/sdk/vim25/8.0.1.0/"+path, rd)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("vmware-api-session-id", token)
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Error(err)
		return response{}
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Error(err)
	}
	return response{resp.StatusCode, resp.Header, string(b)}
}

const sm = "SessionManager/SessionManager/"

func (r *running) login(t testing.TB, c *http.Client) (token, key string) {
	t.Helper()
	a := vi(t, c, r.plain, "", sm+"Login", `{"userName":"`+adminUser+`","password":"`+adminPassword+`"}`)
	if a.status != 200 {
		t.Fatalf("login: %d %s", a.status, a.body)
	}
	return a.header.Get("vmware-api-session-id"), a.member("key")
}
