package serve

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/vigate/vigate/internal/config"
	"github.com/vigate/vigate/internal/upstream"
)

func TestWithoutAnAdminListenerNoCallIsMeasured(t *testing.T) {
	n := &Node{}
	h := n.measure(config.Config{})
	if h.call != nil || h.started != nil || h.group != nil || h.queued != nil || n.metrics != nil {
		t.Error("calls are measured although there is no admin listener")
	}
	h = n.measure(config.Config{AdminListen: "127.0.0.1:0"})
	if h.call == nil || h.queued == nil || n.metrics == nil {
		t.Error("calls are not measured although there is an admin listener")
	}
}

func TestTheMetricsShowTheUpstreams(t *testing.T) {
	cfg := config.Default()
	cfg.Data, cfg.AdminListen = t.TempDir(), "127.0.0.1:0"
	lab := upstream.Config{
		Name: "lab", URL: "http://127.0.0.1:1/sdk", PassThrough: true, MaxSessions: 1, MaxRequests: 1,
		Listen: "127.0.0.1:0",
	}
	n, err := Open(t.Context(), cfg, Options{
		Logger: slog.New(slog.DiscardHandler), Upstreams: []upstream.Config{lab},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	}()
	end := float64(n.certificate.Leaf().NotAfter.Unix())
	w := httptest.NewRecorder()
	n.metricsHandler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	for _, want := range []string{
		`vigate_upstream_up{upstream="lab"} 0`, `vigate_upstream_places{upstream="lab"} 0`,
		`vigate_upstream_queue_seconds_count{upstream="lab",what="wait"} 0`,
		fmt.Sprintf(`vigate_certificate_end_seconds{front=""} %v`, end),
		fmt.Sprintf(`vigate_certificate_end_seconds{front="lab"} %v`, end),
	} {
		if !strings.Contains(w.Body.String(), want+"\n") {
			t.Errorf("there is no %s", want)
		}
	}
}
