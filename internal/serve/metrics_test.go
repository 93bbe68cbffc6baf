package serve

import (
	"testing"

	"github.com/vigate/vigate/internal/config"
)

func TestWithoutAnAdminListenerNoCallIsMeasured(t *testing.T) {
	n := &Node{}
	if h := n.measure(config.Config{}); h.call != nil || h.started != nil || h.group != nil || n.metrics != nil {
		t.Error("calls are measured although there is no admin listener")
	}
	if h := n.measure(config.Config{AdminListen: "127.0.0.1:0"}); h.call == nil || n.metrics == nil {
		t.Error("calls are not measured although there is an admin listener")
	}
}
