package peer

import "context"

// unknown is the peer of a context that carries none. It is only read.
var unknown Peer

type contextKey struct{}

// With returns a context that carries p. p must not change afterwards.
func With(ctx context.Context, p *Peer) context.Context {
	return context.WithValue(ctx, contextKey{}, p)
}

// From returns the peer of the request that ctx belongs to. It is the zero Peer,
// which has no standing anywhere, if ctx carries none. The caller may keep the
// peer, and must not change it.
func From(ctx context.Context) *Peer {
	if p, ok := ctx.Value(contextKey{}).(*Peer); ok {
		return p
	}
	return &unknown
}
