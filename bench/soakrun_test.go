//go:build linux

package main

import (
	"context"
	"strings"
	"testing"
	"time"
)

// Some seconds can't tell whether a server grows: that is for the long soak.
func TestAShortSoakAsksForAllThatTheLongOneDoesAndFindsNoError(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	var out strings.Builder
	l := longSoak
	l.duration, l.idle, l.events = 12*time.Second, 3*time.Second, 2000
	rep, err := soakVigate(ctx, "data", l, &out)
	if err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	for _, w := range rep.Errors() {
		t.Error(w)
	}
	if n := len(rep.Samples); n < 10 {
		t.Errorf("%d samples", n)
	}
	if t.Failed() {
		rep.Print(&out, l.duration)
	}
	t.Log("\n" + out.String())
}
