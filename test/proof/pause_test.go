//go:build linux

package proof_test

import (
	"flag"
	"testing"
	"time"
)

var paused = flag.Duration("paused", 6500*time.Millisecond, "how long a node is paused while sessions end elsewhere")

// TestANodeThatWakesServesNobodyWhoEndedMeanwhile: requests wait for the node
// before it goes on, and are the first that it sees.
func TestANodeThatWakesServesNobodyWhoEndedMeanwhile(t *testing.T) {
	t.Parallel()
	c := newCluster(t, bin.vigate) // no limit is in the way
	c.work()
	c.wait(time.Second)
	const off, ended = 2, 20
	c.load.Avoid(c.Nodes[off].Name)
	w, err := c.load.EndBehind(ended, c.node(0), c.node(off), *paused, c.Nodes[off].Pause, c.Nodes[off].Resume)
	c.must(err)
	t.Logf("a node paused for %v: of %d requests for ended sessions, the first as it woke, it served %d, told %d to wait and refused %d, the last %v after it woke",
		*paused, w.Served+w.Waits+w.Refused, w.Served, w.Waits, w.Refused, w.Took.Round(time.Millisecond))
	if w.Served > 0 && *paused > bound {
		t.Errorf("%d requests for sessions that ended more than %v before were served", w.Served, bound)
	}
	if w.Waits == 0 {
		t.Error("nobody was told to wait: the first requests came too late to prove anything")
	}
	if w.Took > 5*time.Second {
		t.Errorf("it took %v to catch up, want at most 5 s", w.Took)
	}
	c.load.Avoid("")
	c.until("all nodes serve", c.serve)
	c.prove()
}
