package login

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/peer"
	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/session"
)

// slow is a login method that takes some time to check a password.
type slow struct {
	known
	f    *fixture
	took time.Duration
}

func (s *slow) Authenticate(ctx context.Context, a Attempt) (session.Grant, error) {
	s.f.clock.Advance(s.took)
	return s.known.Authenticate(ctx, a)
}

// gridded returns a fixture whose answers to failed passwords leave at multiples of 250 ms. Waiting
// moves the clock. waits are the durations of all waits.
func gridded(t *testing.T) (f *fixture, m *slow, waits *[]time.Duration) {
	t.Helper()
	f, m, waits = newFixture(t), &slow{}, &[]time.Duration{}
	m.f = f
	f.methods = []Method{f.methods[0], m}
	f.grid.every = 250 * time.Millisecond
	f.grid.wait = func(_ context.Context, d time.Duration) error {
		*waits = append(*waits, d)
		f.clock.Advance(d)
		return nil
	}
	return f, m, waits
}

func TestFailedPasswordsAreAnsweredAtFixedTimesWhateverTheCause(t *testing.T) {
	f, m, _ := gridded(t)
	for range 5 {
		_ = f.try(t, from("192.0.2.99", "user-locked", "wrong"))
	}
	for name, a := range map[string]Attempt{
		"wrong":          from(addr, "administrator", "wrong"),
		"no such user":   from(addr, "stranger", "wrong"),
		"no name at all": from(addr, `x\y\z`, "wrong"),
		"a lock":         from("192.0.2.99", "user-locked", "right"),
	} {
		for took, want := range map[time.Duration]time.Duration{
			0: 250 * time.Millisecond, 1: 250 * time.Millisecond, 249 * time.Millisecond: 250 * time.Millisecond,
			250 * time.Millisecond: 250 * time.Millisecond, 251 * time.Millisecond: 500 * time.Millisecond,
			1600 * time.Millisecond: 1750 * time.Millisecond,
		} {
			m.took = took
			start := f.clock.Now()
			if err := f.try(t, a); !errors.Is(err, ErrRejected) {
				t.Errorf("%s: %v", name, err)
			}
			if got := f.clock.Now().Sub(start); got != want {
				t.Errorf("%s, decided after %v: answered after %v, want %v", name, took, got, want)
			}
		}
	}
	m.took = 70 * time.Millisecond
	start := f.clock.Now()
	if _, err := f.Prove(t.Context(), from(addr, "user-prove", "wrong")); !errors.Is(err, ErrRejected) {
		t.Error(err)
	}
	if got := f.clock.Now().Sub(start); got != 250*time.Millisecond {
		t.Errorf("a proof: answered after %v", got)
	}
}

// tokens is a login method that takes some time to reject every token.
type tokens struct{ *slow }

func (m tokens) Authenticate(_ context.Context, a Attempt) (session.Grant, error) {
	switch a.Credential.(type) {
	case Assertion, SSPI:
		m.f.clock.Advance(m.took)
		return session.Grant{}, fmt.Errorf("%w: not signed", ErrRejected)
	}
	return session.Grant{}, ErrNotMine
}

// Whoever sends bad tokens without end must not keep the server busy with them.
func TestFailedTokensAreAnsweredAtFixedTimesAndCountForTheAddress(t *testing.T) {
	f, m, _ := gridded(t)
	f.methods = append(f.methods, tokens{m})
	m.took = 3 * time.Millisecond
	n := 0
	for what, fails := range map[string]func(peer.Peer) error{
		"a token": func(p peer.Peer) error { return f.try(t, Attempt{Credential: Assertion{}, Peer: p}) },
		"a ticket of Kerberos": func(p peer.Peer) error {
			return f.try(t, Attempt{Credential: SSPI{}, Peer: p})
		},
		"a proof by a token": func(p peer.Peer) error {
			_, err := f.Prove(t.Context(), Attempt{Credential: Assertion{}, Peer: p})
			return err
		},
		"a message that can't be read": func(p peer.Peer) error {
			f.Unreadable(t.Context(), p, errors.New("too many namespaces"))
			return ErrRejected
		},
		"one without a cause": func(p peer.Peer) error { f.Unreadable(t.Context(), p, nil); return ErrRejected },
	} {
		n++
		p := peer.Peer{Address: fmt.Sprintf("192.0.2.%d", n)}
		for i := range f.values.Address.Failures {
			start := f.clock.Now()
			if err := fails(p); !errors.Is(err, ErrRejected) {
				t.Fatalf("%s: %v", what, err)
			}
			if got := f.clock.Now().Sub(start); got != 250*time.Millisecond {
				t.Fatalf("%s, number %d: answered after %v", what, i, got)
			}
		}
		if err := f.try(t, from(p.Address, "administrator", "right")); !errors.Is(err, ErrRejected) {
			t.Errorf("%s: its address is not locked: %v", what, err)
		}
	}
}

func TestOtherAnswersAreNotDelayed(t *testing.T) {
	f, m, waits := gridded(t)
	if err := f.try(t, from(addr, "administrator", "right")); err != nil {
		t.Fatal(err)
	}
	if err := f.try(t, from(addr, "nobody", "right")); !errors.Is(err, ErrNoAccess) {
		t.Fatal(err)
	}
	bad := Attempt{Credential: CloneTicket{Ticket: secret.New("nonsense")}, Peer: peer.Peer{Address: addr}}
	if err := f.try(t, bad); !errors.Is(err, ErrRejected) {
		t.Fatal(err)
	}
	m.busy = true
	if err := f.try(t, from(addr, "administrator", "right")); !errors.Is(err, ErrBusy) {
		t.Fatal(err)
	}
	if len(*waits) != 0 {
		t.Errorf("waited %v", *waits)
	}
}

// A failed password is decided, counted and posted before its answer waits.
func TestAnAnswerThatWaitsHoldsNothingAndEndsWithItsContext(t *testing.T) {
	f, _, _ := gridded(t)
	waiting := make(chan struct{})
	f.grid.wait = func(ctx context.Context, _ time.Duration) error {
		close(waiting)
		<-ctx.Done()
		return ctx.Err()
	}
	ctx, cancel := context.WithCancel(t.Context())
	answered := make(chan error)
	go func() {
		_, _, err := f.Login(ctx, from(addr, "administrator", "wrong"), nil)
		answered <- err
	}()
	<-waiting
	f.throttle.mu.Lock()
	flights := len(f.throttle.flights)
	f.throttle.mu.Unlock()
	if flights != 0 || len(f.posted("BadUsernameSessionEvent")) != 1 {
		t.Errorf("%d counts in flight, %d events", flights, len(f.posted("BadUsernameSessionEvent")))
	}
	if err := f.try(t, from(addr, "administrator", "right")); err != nil {
		t.Errorf("a right password meanwhile: %v", err)
	}
	cancel()
	if err := <-answered; !errors.Is(err, ErrRejected) {
		t.Errorf("after the client has gone: %v", err)
	}
	if f.grid.total != 0 || len(f.grid.networks) != 0 {
		t.Errorf("%d logins are counted, %v", f.grid.total, f.grid.networks)
	}
}

func TestLoginsByPasswordAreBoundedBeforeTheyAreChecked(t *testing.T) {
	f, _, waits := gridded(t)
	var leave []func()
	enter := func(network string) error {
		l, err := f.grid.enter(network)
		if err == nil {
			leave = append(leave, l)
		}
		return err
	}
	for range maxNetworkDelayed {
		if err := enter(addr); err != nil {
			t.Fatal(err)
		}
	}
	for _, password := range []string{"wrong", "right"} {
		if err := f.try(t, from(addr, "administrator", password)); !errors.Is(err, ErrBusy) {
			t.Errorf("%s, one too many of the network: %v", password, err)
		}
	}
	if err := f.try(t, from("192.0.2.2", "administrator", "right")); err != nil {
		t.Errorf("from another network: %v", err)
	}
	for i := 0; len(leave) < maxDelayed; i++ {
		if err := enter(fmt.Sprint("network ", i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.try(t, from("192.0.2.2", "administrator", "right")); !errors.Is(err, ErrBusy) {
		t.Errorf("one too many in all: %v", err)
	}
	if len(*waits) != 0 || len(f.posted("BadUsernameSessionEvent")) != 0 {
		t.Errorf("a login that was not checked waited %v, or counts as failed", *waits)
	}
	for _, l := range leave {
		l()
	}
	if err := f.try(t, from(addr, "administrator", "right")); err != nil {
		t.Errorf("after the others: %v", err)
	}
}

func TestTheTimerEndsWithItsContext(t *testing.T) {
	if err := sleep(t.Context(), 1); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := sleep(ctx, time.Hour); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
