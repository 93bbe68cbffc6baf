//go:build linux

package main

import "testing"

func TestTheTimeOfOthersIsTheRemainder(t *testing.T) {
	before := usage{all: 100, busy: 50, own: 10}
	if got := (usage{all: 300, busy: 200, own: 110}).others(before); got != 0.25 {
		t.Errorf("got %v", got)
	}
	if got := (usage{all: 300, busy: 100, own: 110}).others(before); got != 0 {
		t.Errorf("got %v where the clocks differ", got)
	}
	if got := before.others(before); got != 0 {
		t.Errorf("got %v after no time", got)
	}
}
