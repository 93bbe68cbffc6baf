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
	c.wait(4 * time.Second)
	c.prove()
	if c.load.Stats.Full.Load() == 0 {
		t.Error("the load never reached a limit")
	}
}
