package server

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// early answers without waiting for the body. The path selects the way in which it does so.
var early = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/status":
		w.WriteHeader(http.StatusMethodNotAllowed)
	case "/text":
		http.Error(w, "too large", http.StatusRequestEntityTooLarge)
	case "/part":
		io.CopyN(io.Discard, r.Body, 1<<20)
		w.Header().Set("Connection", "close")
		http.Error(w, "too large", http.StatusRequestEntityTooLarge)
	case "/limit":
		if _, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20)); err != nil {
			http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
		}
	case "/long":
		w.Header().Set("Content-Length", strconv.Itoa(5*maxHeld))
		w.Write(bytes.Repeat([]byte("long "), maxHeld))
	case "/stream":
		io.WriteString(w, "some")
		http.NewResponseController(w).Flush()
		w.Write(make([]byte, 2*maxHeld))
	case "/nothing":
	case "/panic":
		panic("the reason")
	case "/smuggled":
		panic("a body was read as a request")
	}
})

// earlyStatus maps the paths of early to their status.
var earlyStatus = map[string]int{
	"/status": 405, "/text": 413, "/part": 413, "/limit": 413, "/long": 200, "/stream": 200, "/nothing": 200,
	"/panic": 500, "/healthz": 405,
}

// wholeBody reads a response to its end.
func wholeBody(t *testing.T, what string, answers *bufio.Reader) (status int, body string) {
	t.Helper()
	resp, err := http.ReadResponse(answers, nil)
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return 0, ""
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Errorf("%s: after %d bytes of the answer: %v", what, len(b), err)
	}
	return resp.StatusCode, string(b)
}

// sendLate sends the header of a request, and its large body after the server has answered.
func sendLate(t *testing.T, c net.Conn, path string, chunked bool) (*bufio.Reader, error) {
	t.Helper()
	const size = 12 << 20 // more than sockets can buffer
	header := "Content-Length: " + strconv.Itoa(size)
	if chunked {
		header = "Transfer-Encoding: chunked"
	}
	if _, err := fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n\r\n", path, header); err != nil {
		t.Fatal(err)
	}
	answers := bufio.NewReader(c)
	piece := []byte(strings.Repeat("GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n", 3000))[:64<<10]
	for sent := 0; sent < size; sent += len(piece) {
		if sent == 2<<20 { // the bytes that /part and /limit read have been sent
			if _, err := answers.Peek(1); err != nil {
				return nil, fmt.Errorf("no answer: %w", err)
			}
		}
		frame := piece
		if chunked {
			frame = fmt.Appendf(nil, "%x\r\n%s\r\n", len(piece), piece)
		}
		if _, err := c.Write(frame); err != nil {
			return nil, fmt.Errorf("after %d bytes: %w", sent, err)
		}
	}
	if chunked {
		if _, err := io.WriteString(c, "0\r\n\r\n"); err != nil {
			return nil, err
		}
	}
	return answers, nil
}

func TestAnAnswerGivenBeforeTheBodyWasReadReachesAClientThatSendsOn(t *testing.T) {
	r := start(t, Config{Handler: early})
	for _, listener := range []string{"plain", "tls"} {
		for path, want := range earlyStatus {
			if path == "/stream" {
				continue // net/http handles this itself
			}
			for _, chunked := range []bool{false, true} {
				what := fmt.Sprintf("%s %s, chunked %v", listener, path, chunked)
				c := r.dial(listener)
				answers, err := sendLate(t, c, path, chunked)
				if err != nil {
					t.Errorf("%s: %v", what, err)
					continue
				}
				if got, _ := wholeBody(t, what, answers); got != want {
					t.Errorf("%s: %d, want %d", what, got, want)
				}
				if rest, err := io.ReadAll(answers); len(rest) > 0 || err != nil {
					t.Errorf("%s: and then %.100q, %v", what, rest, err)
				}
				c.Close()
			}
		}
	}
	if l := r.logs.String(); strings.Contains(l, "smuggled") {
		t.Error("a body was read as a request")
	}
}

func TestAClientOfNetHTTPReadsAnAnswerThatDidNotWaitForItsBody(t *testing.T) {
	r := start(t, Config{Handler: early})
	for _, way := range []struct {
		listener string
		h2       bool
	}{{"plain", false}, {"tls", false}, {"tls", true}} {
		for path, want := range earlyStatus {
			c, base := r.client(way.listener)
			c.Transport.(*http.Transport).ForceAttemptHTTP2 = way.h2
			resp, err := c.Post(base+path, "text/plain", bytes.NewReader(make([]byte, 12<<20)))
			if err != nil {
				t.Errorf("%v %s: %v", way, path, err)
				continue
			}
			if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != want ||
				(resp.ProtoMajor == 2) != way.h2 {
				t.Errorf("%v %s: %s %d, %v", way, path, resp.Proto, resp.StatusCode, err)
			}
			resp.Body.Close()
		}
	}
}

func TestAnAnswerGivenBeforeTheBodyWasReadIsWholeForAClientThatStops(t *testing.T) {
	r := start(t, Config{Handler: early, PlainHTTP: "127.0.0.1:0", Limits: Limits{Request: time.Hour}})
	for path, want := range earlyStatus {
		if path == "/part" || path == "/limit" {
			continue // the server waits for the body
		}
		for _, header := range []string{"Content-Length: 9000000\r\n\r\nbody",
			"Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n"} {
			c, answers := r.raw("POST " + path + " HTTP/1.1\r\nHost: localhost\r\n" + header)
			got, body := wholeBody(t, path, answers)
			if got != want || path == "/stream" && len(body) != 4+2*maxHeld || path == "/long" &&
				len(body) != 5*maxHeld {
				t.Errorf("%s: %d with %d bytes", path, got, len(body))
			}
			c.Close()
		}
	}
}

func TestABodyIsReadOnForABoundedTimeAndSize(t *testing.T) {
	longEnough(t, func(limit time.Duration) error {
		r := start(t, Config{Handler: early, PlainHTTP: "127.0.0.1:0", Limits: Limits{Request: limit}})
		_, answers := r.raw("POST /text HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000000\r\n\r\nbody")
		if _, err := answers.Peek(1); err != nil {
			return fmt.Errorf("a client that stops: %w", err)
		}
		if got, _ := wholeBody(t, "a client that stops", answers); got != 413 {
			t.Errorf("a client that stops: %d", got)
		}
		if _, err := answers.ReadByte(); err == nil || isTimeout(err) {
			t.Errorf("the connection of a client that stops: %v", err)
		}
		return nil
	})

	r := start(t, Config{Handler: early, PlainHTTP: "127.0.0.1:0", Limits: Limits{Request: time.Hour}})
	c, _ := r.raw("POST /text HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000000000\r\n\r\n")
	const most = 1 << 30 // far more than the server reads, and than sockets can buffer
	piece := make([]byte, 1<<20)
	for sent := 0; ; sent += len(piece) {
		if _, err := c.Write(piece); err != nil {
			if isTimeout(err) {
				t.Error(err)
			}
			return
		}
		if sent > most {
			t.Fatal("the body is read without a bound")
		}
	}
}

func TestABodyThatWaitsToBeAskedForIsNotAskedForByAnEarlyAnswer(t *testing.T) {
	r := start(t, Config{Handler: early, PlainHTTP: "127.0.0.1:0", Limits: Limits{Request: time.Hour}})
	for _, header := range []string{"Content-Length: 9000000", "Transfer-Encoding: chunked"} {
		_, answers := r.raw("POST /text HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n" + header + "\r\n\r\n")
		if got, _ := wholeBody(t, header, answers); got != 413 {
			t.Errorf("%s: %d", header, got)
		}
	}
}

func TestASmallBodyThatNobodyReadCostsNoConnection(t *testing.T) {
	r := start(t, Config{Handler: early, PlainHTTP: "127.0.0.1:0"})
	c, answers := r.raw("")
	for range 3 {
		io.WriteString(c, "POST /text HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nbody")
		if got, _ := wholeBody(t, "one of three", answers); got != 413 {
			t.Fatal(got)
		}
	}
}

func TestAnAbortedAnswerThatWasHeldIsNotSent(t *testing.T) {
	r := start(t, Config{PlainHTTP: "127.0.0.1:0",
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, "half")
			panic(http.ErrAbortHandler)
		})})
	_, answers := r.raw("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000000\r\n\r\nbody")
	if b, err := io.ReadAll(answers); len(b) > 0 {
		t.Errorf("%q, %v", b, err)
	}
}

// answersOf returns, by name, one response of each kind that the server makes itself or lets a ServeMux
// make.
func answersOf(t *testing.T) map[string]*http.Response {
	t.Helper()
	entered, leave := make(chan struct{}), make(chan struct{})
	mux := http.NewServeMux()
	mux.HandleFunc("GET /get/", func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "<html>a guess would be wrong")
	})
	mux.HandleFunc("/none", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	mux.HandleFunc("/panic", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		panic("the reason")
	})
	mux.HandleFunc("/wait", func(http.ResponseWriter, *http.Request) { entered <- struct{}{}; <-leave })
	metrics := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "vigate_up 1\n") })
	r := start(t, Config{Handler: mux, Listen: "127.0.0.1:0", PlainHTTP: "127.0.0.1:0", Admin: "127.0.0.1:0",
		Metrics: metrics,
		Limits:  Limits{Requests: 1}, Ready: func() error { return errors.New("<html> not yet") }})
	all := map[string]*http.Response{}
	ask := func(listener, line, header string) {
		t.Helper()
		name := listener + " " + line + " " + strings.TrimSpace(header)
		host := "Host: localhost\r\n"
		if strings.Contains(header, "Host:") {
			host = ""
		}
		c, err := net.Dial("tcp", r.Addr(strings.TrimSuffix(listener, "2")).String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		if listener == "tls" {
			c = tls.Client(c, &tls.Config{InsecureSkipVerify: true})
		}
		fmt.Fprintf(c, "%s HTTP/1.1\r\n%s%s\r\n", line, host, header)
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		all[name] = resp
	}
	for _, listener := range []string{"plain", "tls"} {
		for _, line := range []string{
			"GET /get/x", "HEAD /get/x", "GET //get/x", "GET /get/../get/", "GET /get", "POST //get/x", "POST /get/x",
			"GET /", "GET /%2e%2e/etc", "GET /panic", "HEAD /panic", "GET /none",
			"GET /healthz", "POST /healthz", "GET /readyz", "HEAD /readyz", "DELETE /readyz", "OPTIONS *",
			"CONNECT example.org:80",
		} {
			ask(listener, line, "")
		}
		ask(listener, "CONNECT sdkTunnel:8089", "Host: sdkTunnel:8089\r\nContent-Length: 3\r\n")
		ask(listener, "POST /none", "Content-Length: 9000000\r\n")
		ask(listener, "POST /none", "Transfer-Encoding: chunked\r\n")
	}
	ask("plain", "GET /get/x", "Host: rebound.example\r\n")
	for _, line := range []string{
		"GET /metrics", "POST /metrics", "GET /", "GET /debug/pprof/", "GET /debug/pprof", "GET //debug/pprof/",
		"GET /debug/pprof/goroutine?debug=1", "GET /debug/pprof/goroutine?debug=2",
		"GET /debug/pprof/heap", "GET /debug/pprof/none", "GET /debug/pprof/cmdline", "GET /debug/pprof/symbol",
		"POST /debug/pprof/symbol", "GET /debug/pprof/profile?seconds=x",
		"GET /debug/pprof/trace?seconds=0.01", "GET /debug/pprof/heap?seconds=x", "GET /healthz", "GET /readyz",
		"OPTIONS *",
	} {
		ask("admin", line, "")
	}
	ask("admin", "GET /metrics", "Host: rebound.example\r\n")
	ask("admin", "GET /metrics", "Sec-Fetch-Site: cross-site\r\n")
	_, preface := r.raw("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	refused, err := http.ReadResponse(preface, nil)
	if err != nil {
		t.Fatal(err)
	}
	all["the preface of HTTP/2"] = refused
	c, base := r.client("tls")
	for _, path := range []string{"/get/x", "//get/x", "/none", "/panic", "/healthz", "/nowhere"} {
		resp, err := c.Transport.RoundTrip(request(t, base+path))
		if err != nil || resp.ProtoMajor != 2 {
			t.Fatal(path, err)
		}
		resp.Body.Close()
		all["h2 "+path] = resp
	}
	_, first := r.raw("GET /wait HTTP/1.1\r\nHost: localhost\r\n\r\n")
	<-entered
	ask("plain", "GET /none", "X: beyond the limit of requests\r\n")
	close(leave)
	status(t, first)
	return all
}

func request(t *testing.T, url string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestEveryAnswerHasItsHeadersAndNoneIsHTML(t *testing.T) {
	seen := map[int]bool{}
	for what, resp := range answersOf(t) {
		seen[resp.StatusCode] = true
		h := resp.Header
		if h.Get("Cache-Control") != "no-store" || h.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %d has Cache-Control %q and X-Content-Type-Options %q", what, resp.StatusCode,
				h.Values("Cache-Control"), h.Values("X-Content-Type-Options"))
		}
		if strings.Contains(strings.ToLower(h.Get("Content-Type")), "html") {
			t.Errorf("%s: %d is %s", what, resp.StatusCode, h.Get("Content-Type"))
		}
	}
	for _, want := range []int{200, 204, 307, 400, 403, 404, 405, 500, 503, 505} {
		if !seen[want] {
			t.Errorf("no answer was a %d", want)
		}
	}
}

// TestAnswersThatNetHTTPGivesByItselfAreNotHTML lists the responses to requests that net/http can't parse.
// net/http writes them itself, without the server's headers, and closes the connection. (There is one
// exception: net/http answers a header that is too long in HTTP/2 with status 431 and a line of HTML. It
// contains nothing that the client sent.)
func TestAnswersThatNetHTTPGivesByItselfAreNotHTML(t *testing.T) {
	r := start(t, Config{Handler: tellPeer, Limits: Limits{HeaderBytes: 4096}})
	for request, want := range map[string]int{
		"GET / HTTP/1.1\r\n\r\n": 400, "GET / HTTP/1.1\r\nHost: a b\r\n\r\n": 400, "nonsense\r\n\r\n": 400,
		"GET / HTTP/3.0\r\nHost: localhost\r\n\r\n":                                                     505,
		"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + strings.Repeat("a", 16<<10) + "\r\n\r\n":           431,
		"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: other\r\n\r\n":                        501,
		"POST / HTTP/1.1\r\nHost: localhost\r\nExpect: something else\r\nContent-Length: 4\r\n\r\nbody": 417,
	} {
		_, answer := r.raw(request)
		resp, err := http.ReadResponse(answer, nil)
		if err != nil {
			t.Fatalf("%.60q: %v", request, err)
		}
		if typ := resp.Header.Get("Content-Type"); resp.StatusCode != want || !resp.Close ||
			typ != "" && typ != "text/plain; charset=utf-8" {
			t.Errorf("%.60q: %d %q, close %v", request, resp.StatusCode, typ, resp.Close)
		}
	}
	c, err := net.Dial("tcp", r.Addr("tls").String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(resp.Body); resp.StatusCode != 400 || len(resp.Header) > 0 ||
		strings.Contains(string(b), "<") || err != nil {
		t.Errorf("without TLS: %d %v %q, %v", resp.StatusCode, resp.Header, b, err)
	}
}
