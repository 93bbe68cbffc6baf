package server

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// ask sends a GET request with the given header, unchanged, and returns the status.
func (r *running) ask(listener, path, header string) int {
	r.t.Helper()
	c, err := net.Dial(r.Addr(listener).Network(), r.Addr(listener).String())
	if err != nil {
		r.t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "GET "+path+" HTTP/1.1\r\n"+header+"\r\n"); err != nil {
		r.t.Fatal(err)
	}
	return status(r.t, bufio.NewReader(c))
}

var loopbackPaths = map[string][]string{
	"plain": {"/", "/healthz", "/readyz"},
	"admin": {"/metrics", "/debug/pprof/", "/debug/pprof/goroutine?debug=1", "/debug/pprof/cmdline", "/healthz",
		"/readyz"},
}

func startLoopback(t *testing.T, hosts ...string) *running {
	t.Helper()
	metrics := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "vigate_up 1\n") })
	return start(t, Config{Handler: tellPeer, Listen: "127.0.0.1:0", PlainHTTP: "127.0.0.1:0", Admin: "127.0.0.1:0",
		Unix:    t.TempDir() + "/s",
		Metrics: metrics, PlainHosts: hosts})
}

func TestLoopbackListenersAnswerToLoopbackNamesOnly(t *testing.T) {
	r := startLoopback(t)
	for listener, paths := range loopbackPaths {
		for _, path := range paths {
			for _, host := range []string{
				"localhost", "LocalHost:80", "localhost.", "LOCALHOST.:80", "localhost:", "127.0.0.1", "127.0.0.1:8989",
				"127.8.9.1", "[::1]", "[::1]:80", "::1", "[::ffff:127.0.0.1]:1",
			} {
				if got := r.ask(listener, path, "Host: "+host+"\r\n"); got != 200 {
					t.Errorf("%s %s to %s: %d", listener, path, host, got)
				}
			}
			for _, host := range []string{
				"evil.example", "evil.example:8989", "localhost.evil.example", "evil.localhost",
				"127.0.0.1.evil.example", "127.0.0.1.nip.io", "0.0.0.0", "0.0.0.0:80",
				"[::]", "2130706433", "0x7f000001", "127.1", "192.0.2.1", "[2001:db8::1]:80", "sdkTunnel:8089",
				"localhost:80:80", "",
			} {
				if got := r.ask(listener, path, "Host: "+host+"\r\n"); got != 403 {
					t.Errorf("%s %s to %q: %d", listener, path, host, got)
				}
			}
		}
	}
	// Health checks over HTTP/1.0 send no Host.
	_, answer := r.raw("GET /healthz HTTP/1.0\r\n\r\n")
	if got := status(t, answer); got != 200 {
		t.Errorf("HTTP/1.0 without a Host: %d", got)
	}
	_, answer = r.raw("GET /healthz HTTP/1.0\r\nHost: evil.example\r\n\r\n")
	if got := status(t, answer); got != 403 {
		t.Errorf("HTTP/1.0 to another name: %d", got)
	}
	// The other listeners have names of their own.
	if got := r.ask("unix", "/", "Host: anything.example\r\n"); got != 200 {
		t.Errorf("the Unix socket: %d", got)
	}
	c, base := r.client("tls")
	req := request(t, base)
	req.Host = "vigate.example"
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 200 {
		t.Errorf("TLS: %d", resp.StatusCode)
	}
}

func TestThePlainListenerAnswersToTheNamesThatItIsGiven(t *testing.T) {
	r := startLoopback(t, "vigate.example", "192.0.2.7")
	for host, want := range map[string]int{
		"vigate.example": 200, "VIGATE.example:8080": 200, "192.0.2.7": 200, "localhost": 200, "evil.example": 403,
		"x.vigate.example": 403, "vigate.example.evil": 403,
	} {
		if got := r.ask("plain", "/", "Host: "+host+"\r\n"); got != want {
			t.Errorf("plain to %s: %d, want %d", host, got, want)
		}
		if got := r.ask("admin", "/metrics", "Host: "+host+"\r\n"); (got == 200) != (host == "localhost") {
			t.Errorf("admin to %s: %d", host, got)
		}
	}
	r = startLoopback(t, AnyHost)
	for _, host := range []string{"vigate.example", "evil.example:1", "0.0.0.0"} {
		if got := r.ask("plain", "/", "Host: "+host+"\r\n"); got != 200 {
			t.Errorf("plain, which answers to all names, to %s: %d", host, got)
		}
	}
}

func TestTheAdminListenerRefusesPagesOfOtherOrigins(t *testing.T) {
	r := startLoopback(t)
	for _, listener := range []string{"plain", "admin"} {
		own := r.Addr(listener).String()
		for _, path := range loopbackPaths[listener] {
			for header, want := range map[string]int{
				"":                                 200,
				"Sec-Fetch-Site: none\r\n":         200, // the user typed the address
				"Sec-Fetch-Site: same-origin\r\n":  200,
				"Origin: http://" + own + "\r\n":   200,
				"Sec-Fetch-Site: cross-site\r\n":   403,
				"Sec-Fetch-Site: same-site\r\n":    403, // another port of this machine
				"Origin: https://evil.example\r\n": 403,
				"Origin: null\r\n":                 403,
				"Origin: http://localhost:1\r\n":   403,
				"Sec-Fetch-Site: cross-site\r\nOrigin: http://" + own + "\r\n":        403,
				"Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\n":          403,
				"User-Agent: Prometheus/3.5.0\r\nAccept: application/openmetrics\r\n": 200,
			} {
				if listener == "plain" {
					want = 200 // the bindings decide, and write an audit line
				}
				if got := r.ask(listener, path, "Host: "+own+"\r\n"+header); got != want {
					t.Errorf("%s %s with %q: %d, want %d", listener, path, header, got, want)
				}
			}
		}
	}
}

func TestARefusalByTheGuardReachesNoHandler(t *testing.T) {
	var seen []string
	r := start(t, Config{PlainHTTP: "127.0.0.1:0",
		Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen = append(seen, r.Host) })})
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"} {
		_, answer := r.raw(fmt.Sprintf("%s /sdk HTTP/1.1\r\nHost: evil.example\r\nOrigin: http://evil.example\r\n"+
			"Content-Length: 4\r\n\r\nbody", method))
		resp, err := http.ReadResponse(answer, &http.Request{Method: method})
		if err != nil || resp.StatusCode != 403 {
			t.Errorf("%s: %v, %v", method, resp, err)
		}
	}
	r.stop()
	<-r.done
	if len(seen) > 0 {
		t.Errorf("the handler saw requests to %s", strings.Join(seen, ", "))
	}
	if l := r.logs.String(); strings.Count(l, "requests refused that a web page may have sent") != 1 ||
		!strings.Contains(l, "host=evil.example origin=http://evil.example path=/sdk count=1") {
		t.Errorf("the log has\n%s", l)
	}
}

func TestANameOfAHostIsTheOneThatPackageNetFinds(t *testing.T) {
	for _, host := range []string{
		"localhost", "localhost:80", "127.0.0.1:8080", "127.0.0.1:", ":80", "", ":", "a:b:c", "::1", "[::1]",
		"[::1]:80", "[localhost]:80", "[a:80", "a]:80", "a[b:80", "[]:80", "[]", "a..:80", "a:80]",
	} {
		want := host
		if name, _, err := net.SplitHostPort(host); err == nil {
			want = name
		} else if strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]") && len(host) > 2 {
			want = host[1 : len(host)-1]
		}
		if got := hostName(host); got != want {
			t.Errorf("%q has the name %q, want %q", host, got, want)
		}
	}
}
