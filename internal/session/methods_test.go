package session

import (
	"context"
	"maps"
	"testing"
)

func TestSessionsAreCountedByTheirWayIn(t *testing.T) {
	f := newFixture(t, nil, nil)
	one, _ := f.start(t, "ann")
	f.start(t, "bob")
	ticket, err := f.AcquireCloneTicket(context.Background(), one)
	if err != nil {
		t.Fatal(err)
	}
	g, err := f.CloneGrant(context.Background(), ticket)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := f.Start(context.Background(), g); err != nil {
		t.Fatal(err)
	}
	if got := f.Methods(); !maps.Equal(got, map[string]int{"password": 2, "clone": 1}) {
		t.Errorf("counted %v", got)
	}
	for l := range f.All() {
		if err := f.End(context.Background(), l, Logout(l.Session())); err != nil {
			t.Fatal(err)
		}
	}
	if got := f.Methods(); len(got) != 0 {
		t.Errorf("after the end of all: %v", got)
	}
}
