package login

import (
	"errors"
	"slices"
	"testing"
	"time"
)

// A client that continues after its pair was locked can't cause a lock of the principal on all networks,
// however long it continues.
func TestOneClientCantLockAPrincipalOutFromElsewhere(t *testing.T) {
	f := newFixture(t)
	for range 60 {
		for range 20 {
			_ = f.try(t, from("198.51.100.66", "administrator", "wrong"))
		}
		if err := f.try(t, from("198.51.100.66", "administrator", "right")); !errors.Is(err, ErrRejected) {
			t.Fatalf("a client that guesses is not locked: %v", err)
		}
		f.clock.Advance(time.Minute)
	}
	if err := f.try(t, from(addr, "administrator", "right")); err != nil {
		t.Errorf("the administrator from elsewhere: %v", err)
	}
}

func TestTheGateTellsOfTheSessionsThatItMade(t *testing.T) {
	f := newFixture(t)
	var heard []string
	f.started = func(method string) { heard = append(heard, method) }
	_ = f.try(t, from(addr, "administrator", "wrong"))
	if err := f.try(t, from(addr, "administrator", "right")); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(heard, []string{"known"}) {
		t.Errorf("heard of %q", heard)
	}
}
