package vigatetest

import (
	"sync/atomic"
	"time"
)

// clock is the clock of a server. It stands still at its beginning, or runs, and can be moved forward.
type clock struct {
	began time.Time
	runs  bool
	moved atomic.Int64 // nanoseconds
}

func (c *clock) Now() time.Time {
	at := c.began
	if c.runs {
		at = time.Now()
	}
	return at.Add(time.Duration(c.moved.Load()))
}

func (c *clock) advance(d time.Duration) { c.moved.Add(int64(d)) }
