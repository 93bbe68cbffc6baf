package peer_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/vigate/vigate/internal/peer"
)

func TestAHandlerThatDoesNotAskIsServedAllTheSame(t *testing.T) {
	asked := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.Error(w, r.URL.Path, http.StatusTeapot) })
	w := httptest.NewRecorder()
	peer.Whoever(asked).Serve(t.Context(), w, httptest.NewRequest("GET", "/path", nil), &peer.Peer{})
	if w.Code != http.StatusTeapot || w.Body.String() != "/path\n" {
		t.Errorf("%d %q", w.Code, w.Body)
	}
}
