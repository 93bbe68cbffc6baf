package server

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
)

// TestWaitsThatClientsLeftTakeNoMorePlacesThanTheirAddressHas has clients that disconnect so that net/http
// does not notice it while the call waits: they send one more byte behind the request, and then close.
func TestWaitsThatClientsLeftTakeNoMorePlacesThanTheirAddressHas(t *testing.T) {
	const places, share = 8, 3
	entered, end := make(chan struct{}), make(chan struct{})
	r := start(t, Config{PlainHTTP: "127.0.0.1:0", Unix: t.TempDir() + "/s",
		Limits: Limits{Connections: places, AddressConnections: share},
		Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/wait" {
				entered <- struct{}{}
				<-end // the wait times out, or its session ends
			}
		})})
	for range share {
		c, _ := r.raw("GET /wait HTTP/1.1\r\nHost: localhost\r\n\r\n")
		<-entered
		io.WriteString(c, "G")
		c.Close()
	}
	for range 2 * places {
		_, answer := r.raw("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
		if b, err := io.ReadAll(answer); len(b) > 0 {
			t.Fatalf("past the share of its address a connection got %q, %v", b, err)
		}
	}
	if code, _ := r.get("unix", "/", nil); code != 200 {
		t.Errorf("a client from elsewhere: %d", code)
	}
	if l := r.Load(); l.RefusedConnections < 2*places || l.Connections["plain"] != share {
		t.Errorf("%+v", l)
	}
	if n := strings.Count(r.logs.String(), "one address has its share"); n != 1 {
		t.Errorf("%d lines in the log", n)
	}
	close(end)
	for range 10_000 { // the places become free when the calls end
		c, answer := r.raw("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
		resp, err := http.ReadResponse(answer, nil)
		c.Close()
		if err == nil {
			if resp.StatusCode != 200 {
				t.Error(resp.Status)
			}
			return
		}
	}
	t.Fatal("the places never come back")
}

func TestConnectionsCountForWhomTheyComeFrom(t *testing.T) {
	uid := uint32(1000)
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	tcp := func(s string) origin {
		return originOf(&from{addr: net.TCPAddrFromAddrPort(netip.MustParseAddrPort(s))}, proxies)
	}
	for name, tt := range map[string]struct {
		from origin
		want string
	}{
		"IPv4":                           {tcp("192.0.2.1:5"), "192.0.2.1"},
		"IPv4 in IPv6":                   {tcp("[::ffff:192.0.2.1]:5"), "192.0.2.1"},
		"IPv6":                           {tcp("[2001:db8:1:2:3:4:5:6]:5"), "2001:db8:1:2::/64"},
		"another of its site":            {tcp("[2001:db8:1:2::1]:5"), "2001:db8:1:2::/64"},
		"loopback":                       {tcp("127.0.0.1:5"), "127.0.0.1"},
		"a trusted proxy":                {tcp("10.1.1.1:5"), ""},
		"the Unix socket":                {origin{address: "127.0.0.1", local: true, uid: &uid}, "uid 1000"},
		"nobody knows":                   {origin{}, "unknown"},
		"the Unix socket, by whom never": {origin{address: "127.0.0.1", local: true}, "127.0.0.1"},
	} {
		if got := tt.from.owner(); got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}

// from is a connection from a given address.
type from struct {
	net.Conn
	addr net.Addr
}

func (f *from) RemoteAddr() net.Addr { return f.addr }

func TestAnAddressGetsItsPlacesBackAndTrustedProxiesHaveNoShare(t *testing.T) {
	logs := &logs{}
	s, err := Open(t.Context(), Config{Handler: tellPeer, PlainHTTP: "127.0.0.1:0", Logger: logger(logs),
		Limits: Limits{Connections: 100, AddressConnections: 2}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	l := s.sites[0].listeners[0].(*listener)
	one, two, proxy := origin{address: "192.0.2.1"}, origin{address: "192.0.2.2"},
		origin{address: "10.1.1.1", proxy: true}
	var releases []func()
	take := func(from origin, want bool) {
		t.Helper()
		release, ok := l.admit(from)
		if ok != want {
			t.Fatalf("%+v: admitted %v, want %v", from, ok, want)
		}
		if ok {
			releases = append(releases, release)
		}
	}
	for range 50 {
		take(proxy, true)
	}
	take(one, true)
	take(one, true)
	take(one, false)
	take(two, true)
	releases[50]()
	releases[50]() // only the first call counts
	take(one, true)
	take(one, false)
	for _, release := range releases {
		release()
	}
	if n, all := len(s.each.live), s.total.live.Load(); n != 0 || all != 0 {
		t.Errorf("%d addresses and %d connections are left", n, all)
	}
}

func TestAFullServerTakesNoPlaceOfAnAddress(t *testing.T) {
	s, err := Open(t.Context(), Config{Handler: tellPeer, PlainHTTP: "127.0.0.1:0", Logger: logger(io.Discard),
		Limits: Limits{Connections: 1, AddressConnections: 5}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	l := s.sites[0].listeners[0].(*listener)
	if _, ok := l.admit(origin{address: "192.0.2.1"}); !ok {
		t.Fatal("the first is refused")
	}
	for i := range 10 {
		if _, ok := l.admit(origin{address: fmt.Sprintf("192.0.2.%d", i+1)}); ok {
			t.Fatal("past the limit of all")
		}
	}
	if n := len(s.each.live); n != 1 {
		t.Errorf("%d addresses hold places", n)
	}
}

func TestTheShareOfAnAddressIsAQuarterUnlessItIsSet(t *testing.T) {
	for limits, want := range map[Limits]int{
		{}: 5_000, {Connections: 100}: 25, {Connections: 2}: 1, {Connections: 100, AddressConnections: 99}: 99,
	} {
		if got := limits.withDefaults().AddressConnections; got != want {
			t.Errorf("%+v: %d, want %d", limits, got, want)
		}
	}
}
