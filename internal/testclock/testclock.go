// Package testclock is a clock for tests: it stands still until the test moves it.
package testclock

import (
	"sync"
	"time"
)

// Clock is used by any number of goroutines. Make one with New.
type Clock struct {
	mu sync.Mutex // guards at
	at time.Time
}

// New makes a clock that shows at. The zero time makes it show some day of 2026.
func New(at time.Time) *Clock {
	if at.IsZero() {
		at = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	}
	return &Clock{at: at}
}

// Now is what the clock shows. It fits wherever a package takes a clock.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

// Advance moves the clock on, or back if d is negative.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// Set makes the clock show at.
func (c *Clock) Set(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = at
}
