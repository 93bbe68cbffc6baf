// Package httptoken defines how HTTP carries a session's token, in the same way for all bindings:
// the header and the cookies of a request, and the header and the cookie of a response to a login.
//
// [Token] reads the token of a request, and [SetCookie] sets the cookie of a response. [Foreign]
// and [CrossOrigin] recognise requests that a web page of another origin made a browser send; such
// requests must not use a session. The package does not check whether a token is valid.
package httptoken

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Names of headers, in the canonical form of http.Header, and of cookies.
const (
	Header       = "Vmware-Api-Session-Id"
	Cookie       = "vmware_soap_session"
	APICookie    = "vmware-api-session-id" // cookie of the Automation API
	TicketCookie = "vmware_cgi_ticket"
)

// Token returns the token that the request carries. The header counts before the cookies, and the
// cookies in the given order. The result is empty if there is no token, or if there are several
// token headers, or several cookies of the name that counts, with different values.
func Token(h http.Header, cookies ...string) string {
	if t, ok := headerToken(h); ok {
		return t
	}
	for _, name := range cookies {
		if t, ok := cookie(h, name); ok {
			return t
		}
	}
	return ""
}

// headerToken returns the token in the header; ok is false if there is no such header. A proxy may
// have sent the header twice, or joined two headers to a list. If the values differ, the token is
// "", because only one of them can be right.
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

// unquote removes the quotes around s, if there are any.
func unquote(s string) string {
	if n := len(s); n >= 2 && s[0] == '"' && s[n-1] == '"' {
		return s[1 : n-1]
	}
	return s
}

// Value returns a cookie's value without quotes, or "". Clients send the value with or without
// quotes. pyVmomi also sends the cookie's attributes, which look like cookies here.
//
// If there are several cookies of that name with different values, the result is "", as with the
// header. This server sets a cookie for one path and its own host only. So another one comes from a
// page of a neighbouring host, which wants the user to work in the page's session, or from a proxy.
// The order of the cookies does not say which is which.
func Value(h http.Header, name string) string {
	value, _ := cookie(h, name)
	return value
}

// cookie is Value, and reports whether there is such a cookie, except an empty one.
func cookie(h http.Header, name string) (found string, ok bool) {
	for _, line := range h["Cookie"] {
		for part := range strings.SplitSeq(line, ";") {
			key, value, valid := strings.Cut(part, "=")
			if !valid || strings.Trim(key, " \t") != name {
				continue
			}
			// RFC 6265 §5.2 allows blanks around name and value.
			switch value = unquote(strings.Trim(value, " \t")); {
			case value == "":
			case ok && value != found:
				return "", true
			default:
				found, ok = value, true
			}
		}
	}
	return found, ok
}

// SetCookie sets the cookie that SOAP clients keep. The quotes are part of the value. The attribute
// Secure is set only if the request came over TLS, because Go's cookie jar ignores such a cookie on
// plain HTTP.
func SetCookie(h http.Header, token string, tls bool) {
	line := Cookie + `="` + token + `"; Path=/; HttpOnly;`
	if tls {
		line += " Secure;"
	}
	h.Add("Set-Cookie", line)
}

// Foreign reports whether a request must be refused because a page of another origin made a browser
// send it. Such a request may not use the cookies that the browser adds, and it may not call an
// operation that changes something: a login, for example, would put the attacker's session into the
// browser. A request with the token's header is not foreign, because a page can add that header
// only with this server's consent, which it never gives.
func Foreign(r *http.Request) bool {
	if !CrossOrigin(r) {
		return false
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return true
	}
	for _, name := range []string{Cookie, APICookie, TicketCookie} {
		if _, ok := cookie(r.Header, name); ok {
			return true
		}
	}
	return false
}

// CrossOrigin reports whether a page of another origin made a browser send r. It uses the header
// Sec-Fetch-Site, which all current browsers send, and the origin's host for older browsers. A
// request with the token's header is never cross-origin.
func CrossOrigin(r *http.Request) bool {
	if _, ok := headerToken(r.Header); ok {
		return false
	}
	if r.Header.Get("Sec-Fetch-Site") != "" {
		return slices.ContainsFunc(r.Header["Sec-Fetch-Site"], func(site string) bool {
			return site != "same-origin" && site != "none"
		})
	}
	return slices.ContainsFunc(r.Header["Origin"], func(origin string) bool {
		return origin != "" && !isOrigin(origin, r.Host)
	})
}

// isOrigin reports whether the origin belongs to the host. An origin omits the default port of its
// scheme, but a Host header may contain it.
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
