package server

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"
)

// waiter is a handler that waits until the test lets it answer, or until its client disconnects.
type waiter struct {
	entered, answer chan struct{}
	gone            chan error
}

func newWaiter() *waiter {
	return &waiter{make(chan struct{}), make(chan struct{}), make(chan error, 1)}
}

func (h *waiter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, "bad body", http.StatusBadRequest)
		return
	}
	if r.URL.Path == "/brief" {
		fmt.Fprintf(w, "brief %s\n", b)
		return
	}
	ctx := r.Context()
	if r.URL.Path == "/child" { // most calls that wait use a child context
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Hour)
		defer cancel()
	}
	h.entered <- struct{}{}
	select {
	case <-ctx.Done():
		h.gone <- ctx.Err()
	case <-h.answer:
		fmt.Fprintf(w, "long %s\n", b)
	}
}

// wantGone waits until the handler has noticed that its client disconnected.
func (h *waiter) wantGone(t *testing.T, what string) {
	t.Helper()
	select {
	case err := <-h.gone:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", what, err)
		}
	case <-time.After(patience):
		t.Fatalf("%s: the request's context did not end", what)
	}
}

// leave makes a client send a request, and disconnect while the handler waits.
func (h *waiter) leave(t *testing.T, c *http.Client, url, body string) {
	t.Helper()
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	req, err := http.NewRequestWithContext(ctx, "POST", url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	left := make(chan error)
	go func() {
		resp, err := c.Do(req)
		if err == nil {
			resp.Body.Close()
		}
		left <- err
	}()
	<-h.entered
	leave()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}

func TestARequestEndsWhenItsClientGoes(t *testing.T) {
	h := newWaiter()
	r := start(t, Config{Handler: h, Listen: "127.0.0.1:0", PlainHTTP: "127.0.0.1:0", Unix: t.TempDir() + "/s"})
	for _, way := range []struct {
		listener string
		h2       bool
	}{{"plain", false}, {"tls", false}, {"tls", true}, {"unix", false}} {
		for _, path := range []string{"/", "/child"} {
			for _, body := range []string{"", "some"} {
				c, base := r.client(way.listener)
				c.Transport.(*http.Transport).ForceAttemptHTTP2 = way.h2
				h.leave(t, c, base+path, body)
				h.wantGone(t, fmt.Sprintf("%v %s with %q", way, path, body))
			}
		}
	}
}

// TestAProxiedRequestEndsWhenItsClientGoes has a reverse proxy as the handler. The proxy passes the context
// of the request to the server behind it.
func TestAProxiedRequestEndsWhenItsClientGoes(t *testing.T) {
	h := newWaiter()
	behind := start(t, Config{Handler: h})
	to, err := url.Parse("http://" + behind.Addr("plain").String())
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	mux := http.NewServeMux()
	mux.Handle("/behind/", &httputil.ReverseProxy{
		Transport: transport, Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to) },
		ErrorLog: log.New(io.Discard, "", 0),
	})
	front := start(t, Config{Handler: mux, Listen: "127.0.0.1:0", PlainHTTP: "127.0.0.1:0", Unix: t.TempDir() + "/s"})
	for _, way := range []struct {
		listener string
		h2       bool
	}{{"plain", false}, {"tls", false}, {"tls", true}, {"unix", false}} {
		for _, body := range []string{"", "some"} {
			c, base := front.client(way.listener)
			c.Transport.(*http.Transport).ForceAttemptHTTP2 = way.h2
			h.leave(t, c, base+"/behind/", body)
			h.wantGone(t, fmt.Sprintf("%v with %q", way, body))
		}
	}
	// The proxy also passes responses through.
	c, base := front.client("tls")
	go func() {
		<-h.entered
		h.answer <- struct{}{}
	}()
	resp, err := c.Post(base+"/behind/", "text/plain", strings.NewReader("body"))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, err := io.ReadAll(resp.Body); string(b) != "long body\n" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
}

// TestARequestOverHTTP2EndsWhenItsClientIsDead has a client that sends a request and then nothing more. It
// neither closes its connection nor answers pings.
func TestARequestOverHTTP2EndsWhenItsClientIsDead(t *testing.T) {
	longEnough(t, func(limit time.Duration) error {
		h := newWaiter()
		r := start(t, Config{Handler: h, Listen: "127.0.0.1:0", Limits: Limits{Stall: limit, Header: 60 * limit}})
		c, err := tls.Dial("tcp", r.Addr("tls").String(),
			&tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
		if err != nil {
			return err
		}
		defer c.Close()
		// The preface, SETTINGS, and HEADERS with GET, https, / and the authority.
		io.WriteString(c, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"+
			"\x00\x00\x0e\x01\x05\x00\x00\x00\x01\x82\x87\x84\x41\x09localhost")
		closed := make(chan struct{})
		go func() {
			defer close(closed)
			io.Copy(io.Discard, c) // sends nothing more
		}()
		select {
		case <-h.entered:
		case <-closed:
			return errors.New("the server closed the connection before it had the request")
		}
		h.wantGone(t, "a request of a dead client")
		return nil
	})
}

func TestRequestsThatComeDuringAWaitAreServedAfterIt(t *testing.T) {
	h := newWaiter()
	r := start(t, Config{Handler: h})
	for _, listener := range []string{"plain", "tls"} {
		c := r.dial(listener)
		pipeline(t, h, c, bufio.NewReader(c))
	}
}

// pipeline sends requests one after the other: alone and together, before a wait and during one.
func pipeline(t *testing.T, h *waiter, c net.Conn, answers *bufio.Reader) {
	t.Helper()
	post := func(path, body string) string {
		return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s", path, len(body), body)
	}
	want := func(want string) {
		t.Helper()
		resp, err := http.ReadResponse(answers, nil)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(resp.Body); string(b) != want || err != nil {
			t.Fatalf("%q, %v, want %q", b, err, want)
		}
	}
	send := func(text string) {
		t.Helper()
		if _, err := io.WriteString(c, text); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 3 {
		send(post("/", "one"))
		<-h.entered
		if i > 0 {
			send(post("/brief", "two")) // arrives during the wait
		}
		h.answer <- struct{}{}
		want("long one\n")
		if i > 0 {
			want("brief two\n")
		}
		send(post("/brief", "three") + post("/", "four") + post("/brief", "five"))
		want("brief three\n")
		<-h.entered
		h.answer <- struct{}{}
		want("long four\n")
		want("brief five\n")
	}
	// The client disconnects while its second request waits behind the first.
	send(post("/brief", "six") + post("/", "seven"))
	want("brief six\n")
	<-h.entered
	c.Close()
	h.wantGone(t, "a request that came with another")
}

// TestAPlainRequestToTheTLSPortIsAnswered checks the answer of net/http, which clients of HTTP understand.
func TestAPlainRequestToTheTLSPortIsAnswered(t *testing.T) {
	r := start(t, Config{Handler: tellPeer, Listen: "127.0.0.1:0"})
	for _, method := range []string{"GET", "POST", "PUT", "OPTIONS"} {
		c, err := net.Dial("tcp", r.Addr("tls").String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := io.WriteString(c, method+" /sdk HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if code := status(t, bufio.NewReader(c)); code != 400 {
			t.Errorf("%s: %d", method, code)
		}
	}
}

func TestNobodyWaitsForTheHandshakesOfOthers(t *testing.T) {
	r := start(t, Config{Handler: tellPeer, Listen: "127.0.0.1:0", Limits: Limits{ListenerConnections: 5}})
	silent := make([]net.Conn, 4)
	for i := range silent {
		c, err := net.Dial("tcp", r.Addr("tls").String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		silent[i] = c
	}
	if code, _ := r.get("tls", "/", nil); code != 200 {
		t.Errorf("beside silent ones: %d", code)
	}
}
