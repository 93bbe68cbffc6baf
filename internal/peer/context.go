package peer

import "context"

// unknown is the peer of a context that has none. It is never changed.
var unknown Peer

type contextKey struct{}

// With returns a context that carries p. The caller must not change p afterwards.
func With(ctx context.Context, p *Peer) context.Context {
	return context.WithValue(ctx, contextKey{}, p)
}

// From returns the peer of the request that ctx belongs to. If ctx carries no peer, it returns the
// zero Peer, to which no right is granted. The caller may keep the peer but must not change it.
func From(ctx context.Context) *Peer {
	if p, ok := ctx.Value(contextKey{}).(*Peer); ok {
		return p
	}
	return &unknown
}
