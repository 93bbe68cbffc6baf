package server

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/vigate/vigate/internal/httptoken"
)

// AnyHost, as one of the names of a listener, allows every name.
const AnyHost = "*"

// guard protects loopback listeners from web pages. A page can make a browser on this machine send
// requests to them: under the page's own name, if its owner changes the name's address (DNS
// rebinding), or across origins.
type guard struct {
	loopback   bool     // the listener is for clients on this machine
	names      []string // names that Host may contain besides those of this machine; see AnyHost
	sameOrigin bool     // refuse requests of a page of another origin; otherwise the handler decides
}

// refuses returns the reason to refuse r, or an empty text.
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

// answersTo reports whether the name in the request's Host header is one of the listener's. An
// HTTP/1.0 request may have no Host; no browser sends one.
func (g *guard) answersTo(r *http.Request) bool {
	if r.Host == "" && r.ProtoMinor == 0 {
		return true
	}
	name := strings.TrimSuffix(hostName(r.Host), ".") // a fully qualified name may end with a dot
	return isLoopback(name) || slices.ContainsFunc(g.names, func(own string) bool {
		return own == AnyHost || strings.EqualFold(own, name)
	})
}

// hostName returns a Host header without the port and the brackets of IPv6.
func hostName(host string) string {
	if strings.Count(host, ":") == 1 && !strings.ContainsAny(host, "[]") { // as nearly all are
		name, _, _ := strings.Cut(host, ":")
		return name
	}
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
