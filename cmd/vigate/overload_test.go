package main

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/config"
	"github.com/vigate/vigate/internal/serve"
)

// loginFrom logs in as a client with the given address, which a trusted proxy reports.
func (r *running) loginFrom(t testing.TB, c *http.Client, address, password string) response {
	t.Helper()
	req, err := http.NewRequest("POST", r.plain+"/sdk/vim25/8.0.1.0/"+sm+"Login",
		strings.NewReader(`{"userName":"`+adminUser+`","password":"`+password+`"}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Forwarded-For", address)
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

func behindProxy(c *config.Config) {
	c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
}

func TestMoreLoginsThanCanBeHashedAreQueuedThenRefusedWhileReadsGoOn(t *testing.T) {
	r := start(t, t.TempDir(), nil)
	c := httpClient(t)
	token, _ := r.login(t, c)
	queue := r.Accounts.Load().Queue
	var in, refused, reads atomic.Int64
	// The storm goes on until some logins succeeded, some were refused, and some reads were served.
	enough := func() bool { return in.Load() > 0 && refused.Load() > 0 && reads.Load() >= 10 }
	late := time.Now().Add(patience)
	var storm sync.WaitGroup
	for range 3 * queue {
		storm.Go(func() {
			for first := true; (first || !enough()) && time.Now().Before(late) && !t.Failed(); first = false {
				switch a := vi(t, c, r.plain, "", sm+"Login", `{"userName":"`+adminUser+`","password":"`+adminPassword+
					`"}`); {
				case a.status == http.StatusOK:
					in.Add(1)
				case a.status == http.StatusServiceUnavailable && a.header.Get("Retry-After") != "":
					refused.Add(1)
				default:
					t.Errorf("%d %v %s", a.status, a.header, a.body)
				}
			}
		})
	}
	over := make(chan struct{})
	go func() { storm.Wait(); close(over) }()
	slowest := time.Duration(0)
	for going := true; going; {
		select {
		case <-over:
			going = false
		default:
		}
		began := time.Now()
		if a := vi(t, c, r.plain, token, sm+"currentSession", "GET"); a.status != http.StatusOK {
			t.Errorf("a read in the storm: %d %s", a.status, a.body)
			break
		}
		slowest = max(slowest, time.Since(began))
		reads.Add(1)
	}
	<-over
	t.Logf("%d logged in, %d refused; %d reads meanwhile, the slowest took %v", in.Load(), refused.Load(), reads.Load(),
		slowest)
	if !enough() {
		t.Errorf("%d logged in, %d refused, %d reads", in.Load(), refused.Load(), reads.Load())
	}
	if l := r.Accounts.Load(); l.Waiting != 0 {
		t.Errorf("after the storm: %+v", l)
	}
}

// loginWaits is how long a login waits for its hash before it is refused.
const loginWaits = 2 * time.Second

// loginDuring checks that a login succeeds during a flood. The login has a place in the queue, and
// its turn comes next. Only if hashing takes seconds, the server may refuse it, and only after the
// longest time that a login may wait.
func loginDuring(t *testing.T, flood string, login func() (in, busy bool, what string)) {
	t.Helper()
	for late := time.Now().Add(patience); ; {
		began := time.Now()
		in, busy, what := login()
		if in {
			return
		}
		if waited := time.Since(began); !busy || waited < loginWaits || time.Now().After(late) {
			t.Errorf("beside %s: %s after %v", flood, what, waited)
			return
		}
	}
}

func TestAFloodOfLoginsForOneNameDoesNotBlockOtherLogins(t *testing.T) {
	r := startWith(t, t.TempDir(), serve.Options{}, behindProxy)
	c := httpClient(t)
	stop := make(chan struct{})
	var flood sync.WaitGroup
	full := make(chan struct{})
	var refused, guessed atomic.Int64
	for range 2 * r.Accounts.Load().Queue {
		flood.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				switch a := r.loginFrom(t, c, "198.51.100.66", "wrong"); {
				case a.status == http.StatusServiceUnavailable && refused.Add(1) == 1:
					close(full)
				case a.status == http.StatusInternalServerError:
					guessed.Add(1)
				}
			}
		})
	}
	<-full
	// The user with the flooded name can log in from another address.
	for range 3 {
		loginDuring(t, "the flood", func() (bool, bool, string) {
			a := r.loginFrom(t, c, "192.0.2.7", adminPassword)
			busy := a.status == http.StatusServiceUnavailable && a.header.Get("Retry-After") != ""
			return a.status == http.StatusOK, busy, fmt.Sprint(a.status, a.body)
		})
	}
	eventually(t, "the flood has guessed often enough to be locked", func() bool { return guessed.Load() >= 10 })
	close(stop)
	flood.Wait()
	if a := r.loginFrom(t, c, "198.51.100.66", adminPassword); a.status == http.StatusOK {
		t.Error("the flooding address is not locked")
	}
}

// memory returns the bytes that the process has in use after a garbage collection.
func memory() uint64 {
	runtime.GC()
	runtime.GC() // frees what the first collection released through finalizers
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}

func TestIdleConnectionsCostBoundedMemory(t *testing.T) {
	r := start(t, t.TempDir(), nil)
	for _, tt := range []struct {
		name        string
		connections int
		dial        func() (net.Conn, error)
		most        int64 // bytes per connection, including the client's end
	}{
		{"plain", 2000, func() (net.Conn, error) { return net.Dial("tcp", r.Addr("plain").String()) }, 24 << 10},
		{"tls", 500, func() (net.Conn, error) {
			return tls.Dial("tcp", r.Addr("tls").String(), &tls.Config{InsecureSkipVerify: true})
		}, 96 << 10},
	} {
		before := memory()
		open := make([]net.Conn, tt.connections)
		for i := range open {
			conn, err := tt.dial()
			if err != nil {
				t.Fatal(err)
			}
			open[i] = conn
			if _, err := io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil || resp.StatusCode != http.StatusOK {
				t.Fatal(resp, err)
			}
			resp.Body.Close()
		}
		if got := r.Load().Connections[tt.name]; got != int64(tt.connections) {
			t.Errorf("%s: %d connections open", tt.name, got)
		}
		// Memory of earlier tests may be released meanwhile, so the difference may be negative.
		each := (int64(memory()) - int64(before)) / int64(tt.connections)
		t.Logf("%s: %d bytes a connection", tt.name, each)
		if each > tt.most {
			t.Errorf("%s: an idle connection costs %d bytes", tt.name, each)
		}
		for _, conn := range open {
			conn.Close()
		}
		for r.Load().Connections[tt.name] > 0 { // until the server notices
			runtime.Gosched()
		}
	}
}
