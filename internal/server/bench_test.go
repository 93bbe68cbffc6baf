package server

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
)

// BenchmarkFront measures what the server adds to each request, without the network.
func BenchmarkFront(b *testing.B) {
	f := &front{
		next:     http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}),
		ids:      &requestIDs{run: "01234567"},
		requests: newQuota(10),
		health:   &health{},
		logger:   slog.New(slog.DiscardHandler),
	}
	r := httptest.NewRequest(http.MethodGet, "/sdk/vim25/8.0.3.0/SessionManager/SessionManager/currentSession", nil)
	r = r.WithContext(context.WithValue(r.Context(), originKey{}, origin{address: "192.0.2.1"}))
	w := httptest.NewRecorder()
	b.ReportAllocs()
	for b.Loop() {
		f.ServeHTTP(w, r)
	}
}
