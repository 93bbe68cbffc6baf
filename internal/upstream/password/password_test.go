package password

import (
	"testing"
	"time"

	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/secret/secrettest"
	"github.com/vigate/vigate/internal/testclock"
)

func TestARefusedPasswordIsTriedLessAndLessOften(t *testing.T) {
	clock := testclock.New(time.Time{})
	r, err := NewRefusals(clock.Now)
	if err != nil {
		t.Fatal(err)
	}
	d := r.Digest("ann", secret.New("wrong"))
	other := r.Digest("ann", secret.New("other"))
	var pauses []time.Duration
	for range 8 {
		r.Refused(d)
		until := r.Until(d)
		if until.IsZero() {
			pauses = append(pauses, 0)
			continue
		}
		pauses = append(pauses, until.Sub(clock.Now()))
		if !r.Until(other).IsZero() || !r.Until(r.Digest("bob", secret.New("wrong"))).IsZero() {
			t.Error("another password must wait too")
		}
		clock.Set(until)
		if !r.Until(d).IsZero() {
			t.Error("the pause does not end")
		}
	}
	for i, want := range []time.Duration{0, 5, 10, 20, 40, 60, 60, 60} {
		if pauses[i] != want*time.Minute {
			t.Errorf("pause %d is %v, want %v minutes", i, pauses[i], int(want))
		}
	}
	r.Refused(d)
	r.Accepted(d)
	if !r.Until(d).IsZero() {
		t.Error("an accepted password must wait")
	}
	if r.Digest("ANN", secret.New("wrong")) != d {
		t.Error("the case of the name counts")
	}
	secrettest.Hides(t, "wrong", r)
}

func TestTheMemoryForRefusedPasswordsIsBounded(t *testing.T) {
	clock := testclock.New(time.Time{})
	r, err := NewRefusals(clock.Now)
	if err != nil {
		t.Fatal(err)
	}
	for i := range maxKept + 100 {
		for range Tries {
			r.Refused(Digest{byte(i), byte(i >> 8), byte(i >> 16)})
		}
	}
	if len(r.all) > maxKept {
		t.Errorf("%d passwords are kept", len(r.all))
	}
}
