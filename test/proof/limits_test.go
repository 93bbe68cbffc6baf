//go:build linux

package proof_test

import (
	"testing"
	"time"
)

// TestLimitsHoldAcrossNodes is I4: the load presses on the limits on all nodes.
func TestLimitsHoldAcrossNodes(t *testing.T) {
	t.Parallel()
	c := loaded(t, bin.vigate)
	c.rules.MaxSessions, c.rules.MaxPerUser = maxSessions, maxPerUser
	c.until("the load reaches a limit", func() bool { return c.load.Stats.Full.Load() > 0 })
	c.wait(2 * time.Second)
	c.prove()
}
