package server

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/vigate/vigate/internal/httptoken"
)

// AnyHost, among the names that a listener answers to, stands for all of them.
const AnyHost = "*"

// guard keeps web pages from loopback listeners. A page can make a browser on this
// machine send requests to them: under the page's own name, whose address its
// owner changes (DNS rebinding), or across origins.
type guard struct {
	loopback   bool     // the listener is for clients on this machine
	names      []string // that Host may have besides this machine's; see AnyHost
	sameOrigin bool     // refuses what a page of another origin sends; else the handler decides
}

// refuses returns the reason to refuse r for, or nothing.
func (g *guard) refuses(r *http.Request) (reason string) {
	switch {
	case !g.loopback, r.Method == http.MethodConnect: // no page can send CONNECT
		return ""
	case !g.answersTo(r):
		return "this listener does not answer to the name in the Host header"
	case g.sameOrigin && httptoken.CrossOrigin(r):
		return "a page of another origin may not use this listener"
	}
	return ""
}

// answersTo reports whether the listener has the name that r was sent to. HTTP/1.0
// knows no Host; no browser speaks it.
func (g *guard) answersTo(r *http.Request) bool {
	if r.Host == "" && r.ProtoMinor == 0 {
		return true
	}
	name := strings.TrimSuffix(hostName(r.Host), ".") // a whole name of the DNS may end so
	return isLoopback(name) || slices.ContainsFunc(g.names, func(own string) bool {
		return own == AnyHost || strings.EqualFold(own, name)
	})
}

// hostName is a Host header without its port and the brackets of IPv6.
func hostName(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		return name
	}
	if n := len(host); n > 2 && host[0] == '[' && host[n-1] == ']' {
		return host[1 : n-1]
	}
	return host
}

func isLoopback(name string) bool {
	if strings.EqualFold(name, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(name)
	return err == nil && ip.Unmap().IsLoopback()
}
