//go:build linux

package proof_test

import (
	"testing"
	"time"
)

// TestNothingIsLostNorComesBackWhenANodeIsKilled is I1 to I5 on one node with
// the embedded store: killed, paused and restarted under load.
func TestNothingIsLostNorComesBackWhenANodeIsKilled(t *testing.T) {
	t.Parallel()
	x := newTrial(t, bin.vigate, own(t, "node"))
	var away, longest time.Duration
	for i := range *kills {
		x.wait(100*time.Millisecond, 500*time.Millisecond)
		switch {
		case i%5 == 2:
			x.pause()
		case i%10 == 4:
			x.restart()
			x.wait(100*time.Millisecond, 300*time.Millisecond)
		}
		d := x.crash()
		away, longest = away+d, max(longest, d)
		x.must(x.load.Audit(t.Context()))
		total, most, err := x.load.Listed(t.Context(), x.load.First())
		x.must(err)
		// The administrator's own session is left out of the total.
		if total >= maxSessions || most > maxPerUser {
			t.Errorf("I4: %d sessions of fewer than %d, %d of one user of %d allowed", total, maxSessions, most, maxPerUser)
		}
		if v := x.broken(); len(v) > 0 {
			t.Errorf("after kill %d", i+1)
			break
		}
	}
	t.Logf("%d kills; away %v on average, %v at most", *kills, (away / time.Duration(*kills)).Round(time.Millisecond), longest.Round(time.Millisecond))
	x.prove()
	if x.load.Stats.Full.Load() == 0 {
		t.Error("the load never reached a limit: I4 was not put to the proof")
	}
	if x.load.Stats.NoAnswer.Load() == 0 {
		t.Error("no kill cut a call off: the kills proved nothing")
	}
}

// pause stalls the node, as a stopped virtual machine does, in the midst of calls.
func (x *trial) pause() {
	x.t.Helper()
	x.must(x.node.Pause())
	x.wait(200*time.Millisecond, 800*time.Millisecond)
	x.must(x.node.Resume())
	x.wait(50*time.Millisecond, 200*time.Millisecond)
}

// restart ends the node in order and starts it again.
func (x *trial) restart() {
	x.t.Helper()
	x.must(x.node.Stop())
	x.load.Recorder().Died(x.node.Name)
	_, err := x.node.Start(x.t.Context())
	x.must(err)
}
