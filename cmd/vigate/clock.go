package main

import "time"

// clock returns the wall clock for sessions, tickets and reports.
func clock() func() time.Time { return time.Now }
