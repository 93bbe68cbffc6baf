package load

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func serve(t *testing.T, h http.HandlerFunc) Target {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return Target{Address: s.Listener.Addr().String()}
}

func dial(t *testing.T, target Target) *Conn {
	t.Helper()
	c, err := Dial(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.Deadline(time.Now().Add(5 * time.Minute)); err != nil {
		t.Fatal(err)
	}
	return c
}

var getRequest = []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n")

func TestResponsesAreReadToTheirEnd(t *testing.T) {
	n := 0
	c := dial(t, serve(t, func(w http.ResponseWriter, _ *http.Request) {
		n++
		w.Header().Set("Vmware-Api-Session-Id", "token")
		w.Header().Set("Retry-After", "3")
		http.SetCookie(w, &http.Cookie{Name: "a", Value: "b c", Quoted: true, HttpOnly: true})
		switch n % 3 {
		case 0:
			fmt.Fprint(w, "short")
		case 1: // chunked
			for range 3 {
				fmt.Fprint(w, strings.Repeat("x", 5000))
				w.(http.Flusher).Flush()
			}
		case 2:
			w.WriteHeader(http.StatusNoContent)
		}
	}))
	c.Keep = true
	for range 3 {
		for _, want := range []struct {
			status int
			body   string
		}{{200, strings.Repeat("x", 15000)}, {204, ""}, {200, "short"}} {
			a, err := c.Do(getRequest)
			if err != nil || a.Status != want.status || string(a.Body) != want.body ||
				a.Length != int64(len(want.body)) {
				t.Fatalf("got %d, %d bytes, %v; want %d, %d bytes", a.Status, a.Length, err, want.status,
					len(want.body))
			}
			if string(a.Token) != "token" || string(a.Cookie) != "b c" || a.RetryAfter != 3*time.Second {
				t.Errorf("got token %q, cookie %q, retry after %v", a.Token, a.Cookie, a.RetryAfter)
			}
		}
	}
}

func TestBodiesThatAreNotKeptAreCounted(t *testing.T) {
	c := dial(t, serve(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(bytes.Repeat([]byte("0123456789"), 100_000))
	}))
	a, err := c.Do(getRequest)
	if err != nil || a.Length != 1_000_000 || a.Body != nil {
		t.Errorf("got %d bytes, body of %d, %v", a.Length, len(a.Body), err)
	}
}

func TestAnInvalidResponseIsAnError(t *testing.T) {
	for _, text := range []string{
		"", "HTTP/1.1", "nonsense\r\n\r\n", "HTTP/1.1 abc OK\r\n\r\n", "HTTP/1.0 200 OK\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
	} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			c, err := l.Accept()
			if err != nil {
				return
			}
			defer c.Close()
			_, _ = c.Read(make([]byte, 1024))
			_, _ = c.Write([]byte(text))
		}()
		if a, err := dial(t, Target{Address: l.Addr().String()}).Do(getRequest); err == nil {
			t.Errorf("%q: got %+v", text, a)
		}
		l.Close()
	}
}

func TestARunCountsTheStepsThatEndWithinItsTime(t *testing.T) {
	var served atomic.Int64
	target := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		served.Add(1)
		fmt.Fprint(w, "hello")
	})
	// On a slow machine, the run must be longer so that some steps end within the time and some
	// don't.
	for d := 500 * time.Millisecond; ; d *= 2 {
		served.Store(0)
		res, err := Run(t.Context(), Config{Target: target, Conns: 3, Warm: d / 10, Duration: d},
			Requests(getRequest, 200))
		if err != nil {
			t.Fatal(err)
		}
		n := served.Load()
		if math.Abs(res.Rate-float64(res.Steps)/d.Seconds()) > 0.001 || res.Latencies.Total() != res.Steps ||
			res.Steps > uint64(n) {
			t.Errorf("%d steps at %.1f/s in %v, %d in the histogram, of %d requests", res.Steps, res.Rate, d,
				res.Latencies.Total(), n)
		}
		if res.Steps > 0 && res.Steps < uint64(n) {
			return
		}
		if d > time.Minute {
			t.Fatalf("%d steps of %d requests in %v: none ended within the time, or none outside of it",
				res.Steps, n, d)
		}
	}
}

func TestARunEndsWithTheFirstError(t *testing.T) {
	var n atomic.Int64
	target := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if n.Add(1) == 20 {
			w.WriteHeader(http.StatusInternalServerError)
		}
		fmt.Fprint(w, "hello")
	})
	_, err := Run(t.Context(), Config{Target: target, Conns: 4, Duration: time.Hour}, Requests(getRequest, 200))
	if err == nil || !strings.Contains(err.Error(), "status 500") {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Run(ctx, Config{Target: target, Conns: 1, Duration: time.Minute},
		Requests(getRequest, 200)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v with a context that has ended", err)
	}
}

func TestQuantilesAreExactToOnePercent(t *testing.T) {
	var h, other Histogram
	for i := range 100_000 {
		to := &h
		if i%2 == 1 {
			to = &other
		}
		to.Add(time.Duration(i+1) * time.Microsecond)
	}
	h.Merge(&other)
	for _, q := range []float64{0, 0.5, 0.9, 0.99, 1} {
		want := time.Duration(1+q*99_999) * time.Microsecond
		got := h.Quantile(q)
		if diff := want - got; diff < 0 || float64(diff) > 0.01*float64(want) {
			t.Errorf("quantile %v: got %v, want %v", q, got, want)
		}
	}
	if new(Histogram).Quantile(0.5) != 0 {
		t.Error("an empty histogram has a median")
	}
	h.Add(-time.Second)
	h.Add(1 << 62)
}
