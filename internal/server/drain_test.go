package server

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestADrainLetsRequestsFinishAndTakesNoMore(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	draining := make(chan struct{})
	r := start(t, Config{OnDrain: func() { close(draining) },
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			entered <- struct{}{}
			<-leave
			if r.Context().Err() != nil {
				http.Error(w, "cancelled", 500)
				return
			}
			io.WriteString(w, "finished")
		})})
	_, answer := r.raw("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
	<-entered
	r.stop()
	<-draining
	if err := r.health.check(); !errors.Is(err, errDraining) {
		t.Errorf("readiness while draining: %v", err)
	}
	for { // the hook is called first, and the listeners close right after it
		c, err := net.Dial("tcp", r.Addr("plain").String())
		if err != nil {
			break
		}
		c.Close()
	}
	select {
	case err := <-r.done:
		t.Fatalf("Run returned %v before the request was done", err)
	default:
	}
	close(leave)
	resp, err := http.ReadResponse(answer, nil)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(resp.Body); err != nil || string(b) != "finished" || !resp.Close {
		t.Errorf("%q, close=%v, %v", b, resp.Close, err)
	}
	if err := <-r.done; err != nil {
		t.Errorf("Run: %v", err)
	}
}

func TestADrainWakesCallsThatWaitOverHTTP2(t *testing.T) {
	entered, wake := make(chan struct{}), make(chan struct{})
	r := start(t, Config{OnDrain: func() { close(wake) },
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			entered <- struct{}{}
			<-wake
			io.WriteString(w, "woken")
		})})
	type outcome struct {
		body string
		err  error
	}
	got := make(chan outcome, 1)
	c, base := r.client("tls")
	go func() {
		resp, err := c.Get(base)
		if err != nil {
			got <- outcome{"", err}
			return
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		got <- outcome{resp.Proto + " " + string(b), err}
	}()
	<-entered
	r.stop()
	if o := <-got; o.err != nil || o.body != "HTTP/2.0 woken" {
		t.Errorf("%q, %v", o.body, o.err)
	}
	if err := <-r.done; err != nil {
		t.Errorf("Run: %v", err)
	}
}

func TestReadinessEndsOnConnectionsThatStayWhileDraining(t *testing.T) {
	s, err := Open(t.Context(), Config{Handler: tellPeer, PlainHTTP: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.health.draining.Store(true)
	go s.sites[0].serve(s.sites[0].listeners[0])
	c, err := net.Dial("tcp", s.Addr("plain").String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for path, want := range map[string]int{"/readyz": 503, "/healthz": 200} {
		io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: localhost\r\n\r\n")
		if code := status(t, bufio.NewReader(c)); code != want {
			t.Errorf("%s: %d", path, code)
		}
	}
	s.sites[0].http.Close()
}

func TestWhatDoesNotFinishIsCutAtTheDrainLimit(t *testing.T) {
	entered, cancelled := make(chan struct{}), make(chan struct{})
	r := start(t, Config{Limits: Limits{Drain: 30 * time.Millisecond},
		Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			entered <- struct{}{}
			<-r.Context().Done()
			close(cancelled)
		})})
	_, answer := r.raw("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
	<-entered
	r.stop()
	if err := <-r.done; !errors.Is(err, context.DeadlineExceeded) ||
		!strings.Contains(err.Error(), "drain plain listener") {
		t.Errorf("Run: %v", err)
	}
	<-cancelled
	if b, err := io.ReadAll(answer); len(b) > 0 {
		t.Errorf("got %q, %v", b, err)
	}
}

func TestAServerStoppedBeforeItServesEndsWell(t *testing.T) {
	s, err := Open(t.Context(), Config{Handler: tellPeer, PlainHTTP: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Run(ctx); err != nil {
		t.Fatal(err)
	}
}

func TestAListenerThatFailsEndsTheServer(t *testing.T) {
	s, err := Open(t.Context(), Config{Handler: tellPeer, PlainHTTP: "127.0.0.1:0", Admin: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	s.sites[0].listeners[0].Close()
	if err := s.Run(t.Context()); !errors.Is(err, net.ErrClosed) ||
		!strings.Contains(err.Error(), "serve plain listener") {
		t.Fatalf("Run: %v", err)
	}
	if c, err := net.Dial("tcp", s.Addr("admin").String()); err == nil {
		c.Close()
		t.Error("the admin listener is still open")
	}
}
