package peer_test

import (
	"testing"

	"github.com/vigate/vigate/internal/peer"
)

func TestAContextCarriesThePeerItWasGiven(t *testing.T) {
	uid := uint32(7)
	ctx := peer.WithContext(t.Context(), peer.Peer{Address: "192.0.2.1", Local: true, UnixUID: &uid})
	got := peer.FromContext(ctx)
	if got.Address != "192.0.2.1" || !got.Local || got.UnixUID == nil || *got.UnixUID != 7 {
		t.Fatalf("got %+v", got)
	}
}

func TestAContextWithoutAPeerGivesOneWithoutAnyStanding(t *testing.T) {
	got := peer.FromContext(t.Context())
	if got.Local || got.TLS || got.UnixUID != nil || got.Address != "" || got.Certificates != nil {
		t.Fatalf("got %+v", got)
	}
}
