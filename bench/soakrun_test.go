//go:build linux

package main

import (
	"strings"
	"testing"
	"time"
)

// A minute is too short to detect growth, which the long soak does. The load continues until every
// kind of call has happened. On a slow machine, sessions must live long enough for their clients to
// use them.
func TestAShortSoakMakesAllKindsOfCallsAndFindsNoError(t *testing.T) {
	var out strings.Builder
	l := longSoak
	l.duration, l.patience, l.idle, l.events = 12*time.Second, 10*time.Minute, 20*time.Second, 2000
	rep, err := soakVigate(t.Context(), "data", l, &out)
	if err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	for _, w := range rep.Errors() {
		t.Error(w)
	}
	if t.Failed() {
		rep.Print(&out, l.duration)
	}
	t.Log("\n" + out.String())
}
