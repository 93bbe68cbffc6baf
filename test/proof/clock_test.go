//go:build linux

package proof_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/vigate/vigate/test/proof/site"
)

// TestANodeWithAWrongClockServesNobodyAndEndsNothing makes the clock of one node jump under load,
// by more than the lifetime of any session or ticket. For that node everything has expired, or
// nothing ever will.
func TestANodeWithAWrongClockServesNobodyAndEndsNothing(t *testing.T) {
	t.Parallel()
	program, err := site.BuildClocked(bin.dir)
	if err != nil {
		t.Fatal(err)
	}
	c := limited(t, program)
	// Before that time no node may remove expired records for all nodes.
	c.wait(21 * time.Second)
	for i := range c.Nodes {
		eventually(t, "each node has the report of each", func() bool {
			reports, err := c.load.Reports(t.Context(), c.node(i))
			return err == nil && len(reports) == len(c.Nodes)
		})
	}
	c.begin()
	for i, off := range []time.Duration{25 * time.Hour, -25 * time.Hour, time.Minute} {
		n := i % len(c.Nodes)
		c.load.Avoid(c.Nodes[n].Name)
		release := c.load.Hold() // a call must not see two times
		c.must(c.Nodes[n].SetClock(off))
		release()
		// Expired sessions are swept every second.
		served, refused := c.load.Serves(c.node(n), time.Now().Add(1500*time.Millisecond), 3)
		if served > 0 || refused == 0 {
			t.Errorf("a node whose clock is off by %v served for %v, and refused %d times", off, served, refused)
		}
		eventually(t, fmt.Sprintf("the others serve while the clock of a node is off by %v", off), func() bool {
			return c.served(n)
		})
		release = c.load.Hold()
		c.must(c.Nodes[n].SetClock(0))
		release()
		right := time.Now()
		eventually(t, "all nodes serve", c.serve)
		c.load.Avoid("")
		// The others know that the clock is right when they have the node's next report.
		for i := range c.Nodes {
			eventually(t, "the nodes know that the clock is right", func() bool {
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
