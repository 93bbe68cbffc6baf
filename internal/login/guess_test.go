package login

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/session"
	"github.com/vigate/vigate/internal/store"
)

// parked is a login method like known, for passwords and clone tickets. It verifies each attempt when the
// test allows it. For a wrong credential it catches up with the store, as the methods of the server do.
type parked struct {
	mirror *store.Mirror
	begun  atomic.Int32
}

func (*parked) Name() string { return "parked" }

func (*parked) Challenge() string { return "" }

func (p *parked) Authenticate(ctx context.Context, a Attempt) (session.Grant, error) {
	p.begun.Add(1)
	said := ""
	switch c := a.Credential.(type) {
	case Password:
		said = c.Secret.Reveal()
	case CloneTicket:
		said = c.Ticket.Reveal()
	default:
		return session.Grant{}, ErrNotMine
	}
	if let, ok := ctx.Value(letKey{}).(chan struct{}); ok {
		<-let
	}
	switch said {
	case "right":
		return session.Grant{Identity: session.Identity{Name: admin}, Scope: session.Scope{Local: true}}, nil
	case "busy":
		return session.Grant{}, ErrBusy
	case "panic":
		panic("as the test wants it")
	}
	if err := p.mirror.Sync(ctx); err != nil {
		return session.Grant{}, fmt.Errorf("%w: %w", ErrUnconfirmed, err)
	}
	return session.Grant{}, ErrRejected
}

// letKey is the key of the channel in the context that allows an attempt to continue.
type letKey struct{}

// pending is an attempt that was not answered yet.
type pending struct {
	let    chan struct{}
	hangUp context.CancelFunc
	done   chan error
}

// answer allows the attempt to be verified and returns its answer.
func (p pending) answer() error {
	close(p.let)
	return <-p.done
}

// guessing returns a fixture whose logins are verified when the test allows it.
type guessing struct {
	*fixture
	*parked
	store *outpaced
}

func newGuessing(t *testing.T) guessing {
	t.Helper()
	p := &parked{}
	g := guessing{parked: p}
	g.fixture = newFixtureOn(t, func(s store.Store) store.Store { g.store = &outpaced{Store: s}; return g.store }, p)
	p.mirror = g.Gate.mirror
	return g
}

// begin begins a login and returns when it is about to be verified.
func (g guessing) begin(t *testing.T, a Attempt) pending {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	p := pending{let: make(chan struct{}), hangUp: cancel, done: make(chan error, 1)}
	ctx = context.WithValue(ctx, letKey{}, p.let)
	go func() {
		defer cancel()
		defer func() {
			if cause := recover(); cause != nil {
				p.done <- fmt.Errorf("panic: %v", cause)
			}
		}()
		_, _, err := g.Login(ctx, a, nil)
		p.done <- err
	}()
	synctest.Wait()
	return p
}

// empty fails the test if the throttle has undecided guesses.
func (g guessing) empty(t *testing.T) {
	t.Helper()
	if n := len(g.throttle.flights); n != 0 {
		t.Errorf("%d guesses are left in flight", n)
	}
}

func ticketFrom(address, text string) Attempt {
	a := from(address, "", "")
	a.Credential = CloneTicket{Ticket: secret.New(text)}
	return a
}

func TestGuessesAtOnceAreAsManyAsOneAfterTheOther(t *testing.T) {
	for _, rule := range []struct {
		what  string
		limit int
		guess func(i int, secret string) Attempt
	}{
		{"one principal from one address", 5, func(_ int, secret string) Attempt {
			return from(addr, "administrator", secret)
		}},
		{"one principal from anywhere", 100, func(i int, secret string) Attempt {
			return from(fmt.Sprint("198.51.100.", i), "administrator", secret)
		}},
		{"one address", 100, func(_ int, secret string) Attempt { return ticketFrom(addr, secret) }},
	} {
		for _, wrong := range []int{rule.limit - 1, rule.limit, rule.limit + 1, 2*rule.limit + 20} {
			t.Run(fmt.Sprint(rule.what, ", ", wrong, " wrong"), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					g := newGuessing(t)
					var all []pending
					for i := range wrong {
						all = append(all, g.begin(t, rule.guess(i, "wrong")))
					}
					right := g.begin(t, rule.guess(wrong, "right"))
					for _, p := range all {
						if err := p.answer(); !errors.Is(err, ErrRejected) {
							t.Fatalf("a wrong one: %v", err)
						}
					}
					err := right.answer()
					if got, want := err == nil, wrong < rule.limit; got != want {
						t.Errorf("the right one, judged last: %v", err)
					}
					if wrong >= rule.limit {
						if err := g.begin(t, rule.guess(wrong, "right")).answer(); !errors.Is(err, ErrRejected) {
							t.Errorf("the lock does not hold any more: %v", err)
						}
					}
					g.empty(t)
				})
			})
		}
	}
}

// A guess that is verified first is not accepted if it would be refused after the guesses that began
// before it.
func TestARightGuessWaitsForEarlierOnesThatWouldLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, tt := range []struct {
			earlier []string
			taken   bool
		}{
			{[]string{"wrong", "wrong", "wrong", "wrong"}, true},
			{[]string{"wrong", "wrong", "wrong", "wrong", "wrong"}, false},
			{[]string{"wrong", "wrong", "busy", "wrong", "wrong"}, true},
			{[]string{"wrong", "wrong", "wrong", "wrong", "panic"}, false},
			{[]string{"wrong", "wrong", "wrong", "wrong", "right"}, true},
		} {
			g := newGuessing(t)
			var all []pending
			for _, secret := range tt.earlier {
				all = append(all, g.begin(t, from(addr, "administrator", secret)))
			}
			right := g.begin(t, from(addr, "administrator", "right"))
			close(right.let)
			synctest.Wait()
			if waits := len(right.done) == 0; waits != (len(all) >= 5) {
				t.Errorf("%q: it waits: %t", tt.earlier, waits)
			}
			for _, p := range all {
				_ = p.answer()
			}
			if err := <-right.done; (err == nil) != tt.taken || !tt.taken && !errors.Is(err, ErrRejected) {
				t.Errorf("%q: %v", tt.earlier, err)
			}
			g.empty(t)
		}
	})
}

func TestAnyNumberOfRightLoginsAtOnceAreTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuessing(t)
		var all []pending
		for range 50 {
			all = append(all, g.begin(t, from(addr, "administrator", "right")))
		}
		for i := range all { // the last one is verified first
			close(all[len(all)-1-i].let)
			synctest.Wait()
		}
		for _, p := range all {
			if err := <-p.done; err != nil {
				t.Errorf("a right one: %v", err)
			}
		}
		g.empty(t)
	})
}

func TestAClientThatHangsUpHasGuessedAllTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuessing(t)
		for range 5 {
			p := g.begin(t, from(addr, "administrator", "wrong"))
			p.hangUp()
			if err := p.answer(); !errors.Is(err, context.Canceled) {
				t.Errorf("who hung up: %v", err)
			}
		}
		if err := g.begin(t, from(addr, "administrator", "right")).answer(); !errors.Is(err, ErrRejected) {
			t.Errorf("after five guesses: %v", err)
		}
		if n := len(g.posted("BadUsernameSessionEvent")); n != 6 {
			t.Errorf("%d events of six failed logins", n)
		}
		g.empty(t)
	})
}

func TestWhoHangsUpWhileItsRightGuessWaitsHasNotFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuessing(t)
		var all []pending
		for range 5 {
			all = append(all, g.begin(t, from(addr, "administrator", "wrong")))
		}
		right := g.begin(t, from(addr, "administrator", "right"))
		close(right.let)
		synctest.Wait()
		right.hangUp()
		if err := <-right.done; !errors.Is(err, context.Canceled) {
			t.Errorf("who hung up: %v", err)
		}
		for _, p := range all[:4] {
			_ = p.answer()
		}
		if g.locked(admin, addr) {
			t.Error("it counts as a failure")
		}
		_ = all[4].answer()
		if !g.locked(admin, addr) {
			t.Error("five failures do not lock")
		}
		g.empty(t)
	})
}

// A password that this node rejects while it can't catch up with the store is answered with 503. If it
// did not count, it would be a free guess.
func TestAGuessThatTheStoreCannotConfirmCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuessing(t)
		g.store.down.Store(true)
		for range 5 {
			err := g.begin(t, from(addr, "administrator", "wrong")).answer()
			if !errors.Is(err, store.ErrUnavailable) || errors.Is(err, ErrRejected) {
				t.Errorf("while the store is down: %v", err)
			}
		}
		g.store.down.Store(false)
		if !g.locked(admin, addr) {
			t.Error("five guesses do not lock")
		}
		g.empty(t)
	})
}

func TestARightPasswordThatALockRefusesCostsWhatAWrongOneDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuessing(t)
		for range 5 {
			_ = g.begin(t, from(addr, "administrator", "wrong")).answer()
		}
		cost := func(secret string) (reads, commits int32) {
			reads, commits = g.store.reads.Load(), g.store.commits.Load()
			if err := g.begin(t, from(addr, "administrator", secret)).answer(); !errors.Is(err, ErrRejected) {
				t.Fatal(err)
			}
			return g.store.reads.Load() - reads, g.store.commits.Load() - commits
		}
		wrongReads, wrongCommits := cost("wrong")
		if reads, commits := cost("right"); reads != wrongReads || commits != wrongCommits || reads == 0 {
			t.Errorf("a right one costs %d reads and %d commits, a wrong one %d and %d",
				reads, commits, wrongReads, wrongCommits)
		}
	})
}

func TestGuessesThatRaceLockAndLeaveNothingBehind(t *testing.T) {
	f := newFixture(t)
	for round := range 50 {
		address := fmt.Sprint("192.0.2.", round)
		var wg sync.WaitGroup
		for i := range 40 {
			wg.Go(func() {
				secret := "wrong"
				if i == 20 {
					secret = "right"
				}
				if err := f.try(t, from(address, "administrator", secret)); err != nil && !errors.Is(err, ErrRejected) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if !f.locked(admin, address) { // there are five wrong ones before or after the right one
			t.Errorf("round %d: not locked", round)
		}
		f.throttle.Unlock(admin)
	}
	if n := len(f.throttle.flights); n != 0 {
		t.Errorf("%d guesses are left in flight", n)
	}
}

func TestASuccessClearsNoLockInForce(t *testing.T) {
	f := newFixture(t)
	begin := func() *guess { return f.throttle.begin(claim{text: admin.String(), name: admin}, addr) }
	right := begin()
	if taken, err := right.right(t.Context(), nil); !taken || err != nil {
		t.Fatal(taken, err)
	}
	for range 5 { // before the right one has started its session
		begin().wrong()
	}
	right.succeeded()
	if !f.locked(admin, addr) {
		t.Error("the lock is gone")
	}
}

func TestALockEndsForGuessesAtOnceToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuessing(t)
		for range 5 {
			_ = g.begin(t, from(addr, "administrator", "wrong")).answer()
		}
		g.clock.Advance(300 * time.Second)
		right := g.begin(t, from(addr, "administrator", "right"))
		if err := right.answer(); err != nil {
			t.Errorf("after the lock: %v", err)
		}
	})
}
