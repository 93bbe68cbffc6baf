package binding

import (
	"net/http"
	"net/url"
	"strings"
)

// OneSlash serves a path that begins with several slashes as if it began with one.
// Clients put "/sdk" behind an address that ends in a slash itself, and an
// http.ServeMux would answer with a redirect, which most of them don't follow.
// A path with more slashes elsewhere is left as it is.
func OneSlash(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, "//") {
			next.ServeHTTP(w, r)
			return
		}
		more := slashes(r.URL.Path) - 1
		if r.URL.RawPath != "" {
			// A slash that is escaped belongs to a name.
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

// slashes returns how many slashes a path begins with.
func slashes(path string) int { return len(path) - len(strings.TrimLeft(path, "/")) }

// withURL returns a copy of the request with another URL.
func withURL(r *http.Request, u *url.URL) *http.Request {
	changed := *r
	changed.URL = u
	return &changed
}
