// Package httptoken is how a session's token travels in HTTP, the same for all
// bindings: the headers and cookies that bring one in, the answer's header and
// cookie that hand one out, and the requests that may not use one.
package httptoken

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// The names, in the form of http.Header's keys for headers.
const (
	Header       = "Vmware-Api-Session-Id"
	Cookie       = "vmware_soap_session"
	APICookie    = "vmware-api-session-id" // of the Automation API
	TicketCookie = "vmware_cgi_ticket"
)

// Token is what the request brings to authenticate: the header before the
// cookies, in the order given. Empty: nothing, or headers that contradict each other.
func Token(h http.Header, cookies ...string) string {
	if t, ok := headerToken(h); ok {
		return t
	}
	for _, name := range cookies {
		if t := Value(h, name); t != "" {
			return t
		}
	}
	return ""
}

// headerToken is the token in the header, and ok reports whether the header says
// anything. Whoever stands between may have sent it twice, or have joined two of them
// to a list. It is nothing if they differ, since only one of them can be meant.
func headerToken(h http.Header) (token string, ok bool) {
	for _, line := range h[Header] {
		for element := range strings.SplitSeq(line, ",") {
			element = unquote(strings.Trim(element, " \t"))
			switch {
			case element == "":
			case ok && element != token:
				return "", true
			default:
				token, ok = element, true
			}
		}
	}
	return token, ok
}

// unquote takes the quotes off, if it has them.
func unquote(s string) string {
	if n := len(s); n >= 2 && s[0] == '"' && s[n-1] == '"' {
		return s[1 : n-1]
	}
	return s
}

// Value returns a cookie's value without its quotes, or "". Clients send it with
// or without them, and pyVmomi sends the attributes too, which look like cookies
// here. The first of several counts, as the one with the longest path.
func Value(h http.Header, name string) string {
	for _, line := range h["Cookie"] {
		for part := range strings.SplitSeq(line, ";") {
			key, value, ok := strings.Cut(part, "=")
			if !ok || strings.Trim(key, " \t") != name {
				continue
			}
			// Senders put blanks around both, as RFC 6265 §5.2 lets them.
			return unquote(strings.Trim(value, " \t"))
		}
	}
	return ""
}

// SetCookie hands the token out in the cookie that SOAP clients keep. The quotes
// are part of it; Secure stands exactly where the request came over TLS, since
// Go's cookie jar drops such a cookie on plain HTTP.
func SetCookie(h http.Header, token string, tls bool) {
	line := Cookie + `="` + token + `"; Path=/; HttpOnly;`
	if tls {
		line += " Secure;"
	}
	h.Add("Set-Cookie", line)
}

// Foreign reports whether a request is to be refused because a page of another
// origin had a browser send it. Such a request may not use the cookies that the
// browser adds, nor call anything that changes: a login would plant the page's
// own session in the browser. The token's header is one that no page can add
// without this server's consent, which is never given.
func Foreign(r *http.Request) bool {
	if !CrossOrigin(r) {
		return false
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return true
	}
	for _, name := range []string{Cookie, APICookie, TicketCookie} {
		if Value(r.Header, name) != "" {
			return true
		}
	}
	return false
}

// CrossOrigin reports whether a page of another origin had a browser send r, by
// what every browser of today says of where a request comes from, and for older
// ones by the origin's host. A request with the token's header is none of those.
func CrossOrigin(r *http.Request) bool {
	if _, ok := headerToken(r.Header); ok {
		return false
	}
	if r.Header.Get("Sec-Fetch-Site") != "" {
		return slices.ContainsFunc(r.Header["Sec-Fetch-Site"], func(site string) bool { return site != "same-origin" && site != "none" })
	}
	return slices.ContainsFunc(r.Header["Origin"], func(origin string) bool { return origin != "" && !isOrigin(origin, r.Host) })
}

// isOrigin reports whether a page of the origin is the host's own. An origin leaves
// out the port that its scheme has by default; a Host header may name it.
func isOrigin(origin, host string) bool {
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" {
		return false
	}
	return strings.EqualFold(withoutPort(u.Host, u.Scheme), withoutPort(host, u.Scheme))
}

func withoutPort(host, scheme string) string {
	host = strings.TrimSuffix(host, ":")
	switch {
	case strings.EqualFold(scheme, "https"):
		return strings.TrimSuffix(host, ":443")
	case strings.EqualFold(scheme, "http"):
		return strings.TrimSuffix(host, ":80")
	}
	return host
}
