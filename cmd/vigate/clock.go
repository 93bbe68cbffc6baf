//go:build !proof

package main

import "time"

// clock is the wall clock that sessions, tickets and reports go by.
func clock() func() time.Time { return time.Now }
