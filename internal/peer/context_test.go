package peer_test

import (
	"context"
	"testing"

	"github.com/vigate/vigate/internal/peer"
)

func TestAContextReturnsItsPeerOrTheZeroPeer(t *testing.T) {
	p := &peer.Peer{Address: "192.0.2.1", TLS: true}
	ctx, cancel := context.WithCancel(peer.With(t.Context(), p))
	defer cancel()
	if got := peer.From(ctx); got != p {
		t.Errorf("the context of the request carries %+v", got)
	}
	if got := peer.From(t.Context()); got == nil || got.Address != "" || got.Local || got.TLS {
		t.Errorf("a context without a peer gives %+v", got)
	}
}
