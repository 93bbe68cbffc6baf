//go:build linux

package proof_test

import (
	"flag"
	"testing"
	"time"

	"github.com/vigate/vigate/test/proof/load"
)

var paused = flag.Duration("paused", 6500*time.Millisecond, "how long a node is paused while sessions end elsewhere")

// TestANodeThatWakesServesNobodyWhoEndedMeanwhile: requests are sent to the node before it resumes,
// so they are the first thing that it sees.
func TestANodeThatWakesServesNobodyWhoEndedMeanwhile(t *testing.T) {
	beside(t)
	c := newCluster(t, bin.vigate) // the load must not reach a limit
	c.begin()
	c.work(time.Second, acknowledged, 1)
	const off, ended = 2, 20
	// The node may learn of the ends before it sees the first request. That proves nothing, so the
	// test tries again.
	for began, proved := time.Now(), false; !proved; {
		if time.Since(began) > load.Generous {
			t.Fatal("no request was ever put off: the first requests came too late to prove anything")
		}
		c.load.Avoid(c.Nodes[off].Name)
		w, err := c.load.EndBehind(ended, c.node(0), c.node(off), *paused, c.Nodes[off].Pause,
			c.Nodes[off].Resume)
		c.must(err)
		t.Logf("a node paused for %v: of %d requests for ended sessions, the first as it resumed, it served %d, "+
			"put off %d and refused %d, the last %v after it resumed", *paused, w.Served+w.Waits+w.Refused,
			w.Served, w.Waits, w.Refused, w.Took.Round(time.Millisecond))
		if w.Served > 0 && *paused > bound {
			t.Errorf("%d requests for sessions that ended more than %v before were served", w.Served, bound)
		}
		if *quiet && w.Took > 5*time.Second {
			t.Errorf("it took %v to catch up, want at most 5 s", w.Took)
		}
		proved = w.Waits > 0
		c.load.Avoid("")
		eventually(t, "all nodes serve", c.serve)
	}
	c.prove()
}
