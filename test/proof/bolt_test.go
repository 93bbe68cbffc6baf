//go:build linux

package proof_test

import (
	"testing"
	"time"
)

// acknowledged is the least number of operations that a node acknowledges between two kills.
const acknowledged = 50

// TestNothingIsLostNorComesBackWhenANodeIsKilled checks I1 to I5 on one node with the embedded
// store. The node is killed, paused and restarted under load.
func TestNothingIsLostNorComesBackWhenANodeIsKilled(t *testing.T) {
	t.Parallel()
	x := newTrial(t, bin.vigate, own(t, "node"))
	// When a node is killed, there must be about as many sessions as the limits allow.
	eventually(t, "the load reaches each limit", x.load.Stats.Pressed)
	var away, longest time.Duration
	done := 0
	for i := 0; i < *kills || x.load.Stats.NoAnswer.Load() == 0; i++ {
		if i > 20**kills {
			t.Fatalf("%d kills have interrupted no call: they prove nothing", i)
		}
		x.work(100*time.Millisecond, 500*time.Millisecond, acknowledged)
		switch {
		case i%5 == 2:
			x.pause()
		case i%10 == 4:
			x.restart()
			x.work(100*time.Millisecond, 300*time.Millisecond, acknowledged)
		}
		d := x.crash()
		away, longest, done = away+d, max(longest, d), i+1
		x.must(x.load.Audit(t.Context()))
		total, most, err := x.load.Listed(t.Context(), x.load.First())
		x.must(err)
		// The total does not include the administrator's own session.
		if total >= maxSessions || most > maxPerUser {
			t.Errorf("I4: %d sessions of fewer than %d, %d of one user of %d allowed",
				total, maxSessions, most, maxPerUser)
		}
		if v := x.broken(); len(v) > 0 {
			t.Errorf("after kill %d", i+1)
			break
		}
	}
	t.Logf("%d kills; away %v on average, %v at most", done,
		(away / time.Duration(max(1, done))).Round(time.Millisecond), longest.Round(time.Millisecond))
	x.prove()
}

// pause suspends the node in the middle of calls, like a virtual machine that is stopped.
func (x *trial) pause() {
	x.t.Helper()
	x.must(x.node.Pause())
	x.wait(200*time.Millisecond, 800*time.Millisecond)
	x.must(x.node.Resume())
	x.wait(50*time.Millisecond, 200*time.Millisecond)
}

// restart ends the node with SIGTERM and starts it again.
func (x *trial) restart() {
	x.t.Helper()
	x.must(x.node.Stop())
	x.load.Recorder().Died(x.node.Name)
	_, err := x.node.Start(x.t.Context())
	x.must(err)
}
