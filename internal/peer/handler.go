package peer

import (
	"context"
	"net/http"
)

// Handler serves requests whose other end is known. It is an [http.Handler] but
// for that: the peer is an argument, so that no handler forgets where it comes
// from, and none pays for a copy of the request to carry it.
type Handler interface {
	// Serve answers r. ctx ends with the request or when its client goes; the
	// request's own may not hear of the latter. from is only read, and may be kept.
	Serve(ctx context.Context, w http.ResponseWriter, r *http.Request, from *Peer)
}

// HandlerFunc is a Handler made of a function.
type HandlerFunc func(ctx context.Context, w http.ResponseWriter, r *http.Request, from *Peer)

// Serve calls f.
func (f HandlerFunc) Serve(ctx context.Context, w http.ResponseWriter, r *http.Request, from *Peer) {
	f(ctx, w, r, from)
}

// Whoever makes a Handler of one that does not ask who is there.
func Whoever(h http.Handler) Handler {
	return HandlerFunc(func(ctx context.Context, w http.ResponseWriter, r *http.Request, _ *Peer) {
		h.ServeHTTP(w, r.WithContext(ctx))
	})
}
