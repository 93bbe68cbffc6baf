package binding

import (
	"net/http"
	"net/url"
	"strings"
)

// OneSlash reduces several slashes at the beginning of a path to one. Some clients append "/sdk" to
// an address that ends in a slash. An http.ServeMux would send a redirect, which most of them don't
// follow. Repeated slashes elsewhere in the path are not changed.
func OneSlash(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, "//") {
			next.ServeHTTP(w, r)
			return
		}
		more := slashes(r.URL.Path) - 1
		if r.URL.RawPath != "" {
			// An escaped slash is part of a name.
			more = slashes(r.URL.RawPath) - 1
		}
		u := *r.URL
		u.Path = u.Path[more:]
		if u.RawPath != "" {
			u.RawPath = u.RawPath[more:]
		}
		next.ServeHTTP(w, withURL(r, &u))
	})
}

// slashes returns the number of slashes at the beginning of a path.
func slashes(path string) int { return len(path) - len(strings.TrimLeft(path, "/")) }

// withURL returns a copy of the request with another URL.
func withURL(r *http.Request, u *url.URL) *http.Request {
	changed := *r
	changed.URL = u
	return &changed
}

// PlainHost reports whether a Host header of a client is safe in text of every kind: it has only the characters of
// names, addresses and ports.
func PlainHost(host string) bool {
	for i := range len(host) {
		c := host[i]
		if c != '.' && c != '-' && c != '_' && c != ':' && c != '[' && c != ']' &&
			(c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
			return false
		}
	}
	return host != ""
}
