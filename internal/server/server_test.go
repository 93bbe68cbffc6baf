package server

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/peer"
)

// logs is the log of a test's server. It may be read while the server runs.
type logs struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

func (l *logs) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func logger(w io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

type running struct {
	*Server
	t    *testing.T
	logs *logs
	stop context.CancelFunc
	done chan error // receives the result of Run
}

// start runs a server with a TLS and a plain listener on loopback, unless the configuration names others.
func start(t *testing.T, cfg Config) *running {
	t.Helper()
	r := &running{t: t, logs: &logs{}, done: make(chan error, 1)}
	cfg.Logger = logger(r.logs)
	if cfg.Listen == "" && cfg.PlainHTTP == "" && cfg.Unix == "" {
		cfg.Listen, cfg.PlainHTTP = "127.0.0.1:0", "127.0.0.1:0"
	}
	if cfg.Listen != "" && cfg.Certificate == nil {
		c, err := OpenCertificate(CertificateConfig{Dir: openRoot(t, t.TempDir()), Logger: cfg.Logger})
		if err != nil {
			t.Fatal(err)
		}
		cfg.Certificate = c
	}
	s, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	r.Server = s
	ctx, stop := context.WithCancel(context.Background())
	r.stop = stop
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		r.done <- s.Run(ctx)
	}()
	t.Cleanup(func() {
		stop()
		<-finished
	})
	return r
}

// client returns a client of the listener with the given name, and its base URL. It accepts any
// certificate.
func (r *running) client(name string, certs ...tls.Certificate) (*http.Client, string) {
	addr := r.Addr(name)
	tr := &http.Transport{
		ForceAttemptHTTP2: true,
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true, Certificates: certs},
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, addr.Network(), addr.String())
		},
	}
	r.t.Cleanup(tr.CloseIdleConnections)
	scheme := "http"
	if name == "tls" {
		scheme = "https"
	}
	host := "localhost"
	return &http.Client{Transport: tr}, scheme + "://" + host
}

func (r *running) get(name, path string, header http.Header) (int, string) {
	r.t.Helper()
	c, base := r.client(name)
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, base+path, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	for k, v := range header {
		req.Header[k] = v
	}
	resp, err := c.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// dial connects to the plain listener, or to the TLS listener for HTTP/1.1.
func (r *running) dial(name string) net.Conn {
	r.t.Helper()
	c, err := net.Dial("tcp", r.Addr(name).String())
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		r.t.Fatal(err)
	}
	if name == "tls" {
		c = tls.Client(c, &tls.Config{InsecureSkipVerify: true})
	}
	return c
}

// raw sends bytes to the plain listener.
func (r *running) raw(request string) (net.Conn, *bufio.Reader) {
	r.t.Helper()
	c := r.dial("plain")
	if _, err := io.WriteString(c, request); err != nil {
		r.t.Fatal(err)
	}
	return c, bufio.NewReader(c)
}

// status reads a response with its body, and returns the status.
func status(t *testing.T, r *bufio.Reader) int {
	t.Helper()
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode
}

// tellPeer answers with the properties of the request's peer.
var tellPeer = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	uid, p := "none", peer.From(r.Context())
	if p.UnixUID != nil {
		uid = fmt.Sprint(*p.UnixUID)
	}
	fmt.Fprintf(w, "%s local=%v tls=%v certs=%d uid=%s agent=%s %s", p.Address, p.Local, p.TLS, len(p.Certificates),
		uid, p.UserAgent, r.Proto)
})

// readBody reads the whole request, as the bindings do.
var readBody = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	b, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	switch {
	case errors.Is(err, context.DeadlineExceeded), isTimeout(err):
		http.Error(w, "too slow", http.StatusRequestTimeout)
	case err != nil:
		http.Error(w, "bad body", http.StatusBadRequest)
	default:
		fmt.Fprintf(w, "%s %d", r.URL.Path, len(b))
	}
})

func isTimeout(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout()
}

func TestTheTLSListenerServesHTTP2AndTellsOfThePeer(t *testing.T) {
	r := start(t, Config{Handler: tellPeer})
	code, body := r.get("tls", "/", http.Header{"User-Agent": {"govc/1"}})
	if want := "127.0.0.1 local=true tls=true certs=0 uid=none agent=govc/1 HTTP/2.0"; code != 200 || body != want {
		t.Fatalf("%d %q, want %q", code, body, want)
	}
}

func TestThePlainListenerServesHTTP1AndIsNotTLS(t *testing.T) {
	r := start(t, Config{Handler: tellPeer})
	code, body := r.get("plain", "/", http.Header{"User-Agent": {"x"}})
	if want := "127.0.0.1 local=true tls=false certs=0 uid=none agent=x HTTP/1.1"; code != 200 || body != want {
		t.Fatalf("%d %q, want %q", code, body, want)
	}
}

func TestAClientCertificateIsPassedOnAndNotJudged(t *testing.T) {
	dir := t.TempDir()
	makePair(t, dir+"/c.pem", dir+"/k.pem", time.Now().Add(-20*generatedLife))
	cert, err := tls.LoadX509KeyPair(dir+"/c.pem", dir+"/k.pem") // no authority signed it, and it has expired
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan []*x509.Certificate, 1)
	r := start(t, Config{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		got <- peer.From(r.Context()).Certificates
	})})
	c, base := r.client("tls", cert)
	resp, err := c.Get(base)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if chain := <-got; len(chain) != 1 || !chain[0].Equal(cert.Leaf) {
		t.Fatalf("chain %v", chain)
	}
}

func TestTLS11AndCBCSuitesAreRefused(t *testing.T) {
	r := start(t, Config{Handler: tellPeer})
	for name, cfg := range map[string]*tls.Config{
		"TLS 1.1": {MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11},
		"CBC":     {MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}},
	} {
		cfg.InsecureSkipVerify = true
		if c, err := tls.Dial("tcp", r.Addr("tls").String(), cfg); err == nil {
			c.Close()
			t.Errorf("%s: the handshake went well", name)
		}
	}
	c, err := tls.Dial("tcp", r.Addr("tls").String(),
		&tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12})
	if err != nil {
		t.Fatalf("TLS 1.2: %v", err)
	}
	c.Close()
}

func TestListenersWithoutTLSAreForLoopbackOnly(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:0", ":0", "[::]:0", "192.0.2.1:0", "example.org:80", "127.0.0.1", ""} {
		for name, cfg := range map[string]Config{
			"plain": {Handler: tellPeer, PlainHTTP: addr},
			"admin": {Handler: tellPeer, PlainHTTP: "127.0.0.1:0", Admin: addr},
		} {
			if addr == "" && name == "admin" {
				continue // the admin listener is optional
			}
			s, err := Open(t.Context(), cfg)
			if err == nil {
				s.Close()
				t.Errorf("%s listener opened at %q", name, addr)
			}
		}
	}
	for _, addr := range []string{"127.0.0.1:0", "localhost:0", "127.8.9.1:0"} {
		s, err := Open(t.Context(), Config{Handler: tellPeer, PlainHTTP: addr})
		if err != nil {
			t.Errorf("%q: %v", addr, err)
			continue
		}
		s.Close()
	}
}

func TestNoListenerStaysOpenWhenOneFails(t *testing.T) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := free.Addr().String()
	free.Close()
	_, err = Open(t.Context(), Config{Handler: tellPeer, PlainHTTP: addr, Unix: t.TempDir() + "/none/sock"})
	if err == nil {
		t.Fatal("opened a socket in a directory that is not there")
	}
	again, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatalf("the plain listener is still open: %v", err)
	}
	again.Close()
}

func TestHealthIsAnsweredOnEveryListener(t *testing.T) {
	var reason error
	r := start(t, Config{
		Handler: tellPeer, Listen: "127.0.0.1:0", PlainHTTP: "127.0.0.1:0", Admin: "127.0.0.1:0",
		Unix:  t.TempDir() + "/s",
		Ready: func() error { return reason },
	})
	for _, name := range []string{"tls", "plain", "unix", "admin"} {
		for _, path := range []string{"/healthz", "/readyz"} {
			if code, body := r.get(name, path, nil); code != 200 || body != "ok\n" {
				t.Errorf("%s %s: %d %q", name, path, code, body)
			}
		}
	}
	reason = errors.New("the store is not open yet")
	if code, body := r.get("plain", "/readyz", nil); code != 503 || body != "the store is not open yet\n" {
		t.Errorf("readyz: %d %q", code, body)
	}
	if code, _ := r.get("plain", "/healthz", nil); code != 200 {
		t.Errorf("healthz: %d", code)
	}
	_, answer := r.raw("POST /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")
	if code := status(t, answer); code != 405 {
		t.Errorf("POST healthz: %d", code)
	}
}

func TestTheAdminListenerServesProfilesAndMetricsToThisMachineOnly(t *testing.T) {
	metrics := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "vigate_up 1\n") })
	r := start(t, Config{Handler: tellPeer, PlainHTTP: "127.0.0.1:0", Admin: "127.0.0.1:0", Metrics: metrics})
	if code, body := r.get("admin", "/metrics", nil); code != 200 || body != "vigate_up 1\n" {
		t.Errorf("metrics: %d %q", code, body)
	}
	if code, body := r.get("admin", "/debug/pprof/goroutine?debug=1", nil); code != 200 ||
		!strings.Contains(body, "goroutine profile") {
		t.Errorf("pprof: %d", code)
	}
	for _, path := range []string{"/metrics", "/debug/pprof/"} {
		if _, body := r.get("plain", path, nil); !strings.Contains(body, "local=true") {
			t.Errorf("the plain listener did not pass %s to the application: %q", path, body)
		}
	}
	c, err := net.Dial("tcp", r.Addr("admin").String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "GET /metrics HTTP/1.1\r\nHost: rebound.example:80\r\n\r\n")
	if code := status(t, bufio.NewReader(c)); code != 403 {
		t.Errorf("a rebound name got %d", code)
	}
}

func TestAPanicEndsOneRequestAndIsLogged(t *testing.T) {
	r := start(t, Config{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Set-Cookie", "left=over")
		if r.URL.Path == "/late" {
			io.WriteString(w, "half an ans")
			http.NewResponseController(w).Flush()
		}
		panic("the reason")
	})})
	code, body := r.get("plain", "/early", nil)
	if code != 500 || !strings.HasPrefix(body, "internal error, request ") || strings.Contains(body, "reason") {
		t.Errorf("%d %q", code, body)
	}
	id := strings.TrimSpace(strings.TrimPrefix(body, "internal error, request "))
	if !strings.Contains(r.logs.String(), id) {
		t.Errorf("the log lacks request %s:\n%s", id, r.logs)
	}
	if l := r.logs.String(); !strings.Contains(l, "the reason") || !strings.Contains(l, "server_test.go") ||
		!strings.Contains(l, "status=500") {
		t.Errorf("the log lacks the reason, its stack or the access line:\n%s", l)
	}
	_, answer := r.raw("GET /late HTTP/1.1\r\nHost: localhost\r\n\r\n")
	resp, err := http.ReadResponse(answer, nil)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(resp.Body); err == nil {
		t.Errorf("half an answer looks whole: %q", b)
	}
}

func TestNeitherHeadersNorQueriesAreLogged(t *testing.T) {
	r := start(t, Config{Handler: tellPeer})
	r.get("plain", "/sdk/x?token=s3cret-query", http.Header{
		"Vmware-Api-Session-Id": {"s3cret-header"}, "Authorization": {"Basic s3cret-basic"},
		"Cookie": {"a=s3cret-cookie"},
	})
	r.stop()
	<-r.done
	if l := r.logs.String(); !strings.Contains(l, "path=/sdk/x ") || strings.Contains(l, "s3cret") {
		t.Fatalf("log:\n%s", l)
	}
}

func TestRequestIDsAreTheServersOwnAndDiffer(t *testing.T) {
	r := start(t, Config{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, peer.From(r.Context()).Request.String())
	})})
	_, first := r.get("plain", "/", http.Header{"X-Request-Id": {"mine"}})
	_, second := r.get("tls", "/", nil)
	if first == "" || first == "mine" || first == second {
		t.Fatalf("ids %q and %q", first, second)
	}
}

func TestRequestsPastTheLimitAreToldToComeBack(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	r := start(t, Config{Limits: Limits{Requests: 1},
		Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			entered <- struct{}{}
			<-leave
		})})
	first, answer := r.raw("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
	<-entered
	if code, _ := r.get("plain", "/", nil); code != 503 {
		t.Errorf("the second got %d", code)
	}
	if code, _ := r.get("plain", "/healthz", nil); code != 200 {
		t.Errorf("health got %d", code)
	}
	close(leave)
	if code := status(t, answer); code != 200 {
		t.Errorf("the first got %d", code)
	}
	first.Close()
}

func TestConnectionsPastTheLimitAreClosedAndLoggedOnce(t *testing.T) {
	r := start(t, Config{Handler: tellPeer, Limits: Limits{ListenerConnections: 1}})
	first, answer := r.raw("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
	if code := status(t, answer); code != 200 {
		t.Fatal(code)
	}
	for range 3 {
		_, refused := r.raw("")
		if b, err := io.ReadAll(refused); len(b) > 0 {
			t.Fatalf("got %q, %v", b, err)
		}
	}
	if n := strings.Count(r.logs.String(), "connections refused"); n != 1 {
		t.Errorf("%d lines in the log", n)
	}
	// The other listener has a share of its own.
	if code, _ := r.get("tls", "/", nil); code != 200 {
		t.Errorf("tls: %d", code)
	}
	// The place of a closed connection becomes free.
	io.WriteString(first, "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
	io.Copy(io.Discard, answer)
	first.Close()
	for deadline := time.Now().Add(patience); ; {
		c, again := r.raw("")
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
		if resp, err := http.ReadResponse(again, nil); err == nil {
			resp.Body.Close()
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the place is never free again")
		}
	}
}

func TestTheConnectionsOfAllListenersCountTogether(t *testing.T) {
	r := start(t, Config{Handler: tellPeer, Admin: "127.0.0.1:0", Listen: "127.0.0.1:0", PlainHTTP: "127.0.0.1:0",
		Limits: Limits{Connections: 1}})
	_, answer := r.raw("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
	if code := status(t, answer); code != 200 {
		t.Fatal(code)
	}
	if c, err := tls.Dial("tcp", r.Addr("tls").String(), &tls.Config{InsecureSkipVerify: true}); err == nil {
		c.Close()
		t.Error("the TLS listener took a second connection")
	}
	if code, _ := r.get("admin", "/healthz", nil); code != 200 {
		t.Errorf("admin: %d", code)
	}
}
