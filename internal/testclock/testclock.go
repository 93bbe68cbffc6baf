// Package testclock is a clock for tests. It stands still until the test moves it, so tests of time
// limits need not wait and don't depend on the machine's speed. The method Now of a [Clock] is
// passed to the code under test in place of time.Now.
package testclock

import (
	"sync"
	"time"
)

// Clock is a clock that stands still. It is safe for concurrent use. Use New to make one.
type Clock struct {
	mu sync.Mutex // guards at
	at time.Time
}

// New returns a clock that shows the time at. If at is zero, the clock shows some day of 2026.
func New(at time.Time) *Clock {
	if at.IsZero() {
		at = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	}
	return &Clock{at: at}
}

// Now returns the clock's time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

// Advance moves the clock forward by d, or backward if d is negative.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// Set sets the clock to the time at.
func (c *Clock) Set(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = at
}
