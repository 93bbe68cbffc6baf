//go:build linux

package proof_test

import (
	"testing"
	"time"
)

// TestLimitsHoldAcrossNodes checks I4: the load reaches the limits on all nodes.
func TestLimitsHoldAcrossNodes(t *testing.T) {
	t.Parallel()
	c := loaded(t, bin.vigate)
	c.rules.MaxSessions, c.rules.MaxPerUser = maxSessions, maxPerUser
	eventually(t, "the load reaches each limit", c.load.Stats.Pressed)
	c.work(2*time.Second, 10*acknowledged, 10)
	c.prove()
}
