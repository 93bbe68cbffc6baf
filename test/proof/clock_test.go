//go:build linux

package proof_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/vigate/vigate/test/proof/site"
)

// TestANodeWithAWrongClockServesNobodyAndEndsNothing has the clock of one node
// jump by more than any session or ticket lives, under load: to that node all has
// expired, or nothing ever will.
func TestANodeWithAWrongClockServesNobodyAndEndsNothing(t *testing.T) {
	t.Parallel()
	program, err := site.BuildClocked(bin.dir)
	if err != nil {
		t.Fatal(err)
	}
	c := limited(t, program)
	// Before, no node may end for others what has expired.
	c.wait(21 * time.Second)
	c.begin()
	for i, off := range []time.Duration{25 * time.Hour, -25 * time.Hour, time.Minute} {
		n := i % len(c.Nodes)
		c.load.Avoid(c.Nodes[n].Name)
		release := c.load.Hold() // a call may not see two times
		c.must(c.Nodes[n].SetClock(off))
		release()
		// Sessions are swept every second.
		served, refused := c.load.Serves(c.node(n), time.Now().Add(1500*time.Millisecond), 3)
		if served > 0 || refused == 0 {
			t.Errorf("a node whose clock is off by %v served for %v, and refused %d times", off, served, refused)
		}
		eventually(t, fmt.Sprintf("the others serve while the clock of a node is off by %v", off), func() bool { return c.served(n) })
		release = c.load.Hold()
		c.must(c.Nodes[n].SetClock(0))
		release()
		right := time.Now()
		eventually(t, "all nodes serve", c.serve)
		c.load.Avoid("")
		// The others learn by its next report that the clock is right.
		for i := range c.Nodes {
			eventually(t, "the nodes hear that the clock is right", func() bool {
				reports, err := c.load.Reports(t.Context(), c.node(i))
				at := reports[c.Nodes[n].Name].ReportTime
				return err == nil && at.After(right) && at.Before(time.Now().Add(time.Second))
			})
		}
		if v := c.broken(); len(v) > 0 {
			t.Errorf("broken by a clock that was off by %v", off)
			break
		}
	}
	c.prove()
}
