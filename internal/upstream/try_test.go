package upstream

import (
	"errors"
	"net/http"
	"slices"
	"sync"
	"testing"

	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/upstream/password"
)

func TestPassThroughUsersShareASessionAndNoPasswordIsKept(t *testing.T) {
	d := newDouble(t)
	var gone []string
	s := stage(t, d, "pass-through: true", func(o *Options) {
		o.OnGone = func(a *Account) { gone = append(gone, a.Name()) }
	})
	a, first, err := s.Try(s.ctx(), "ann", secret.New("right"))
	if err != nil {
		t.Fatal(err)
	}
	b, second, err := s.Try(s.ctx(), "ann", secret.New("right"))
	if err != nil || a != b || first != second {
		t.Fatalf("the second try has another session: %v", err)
	}
	eventually(t, "the session of the second try is logged out", func() bool { return len(live(d)) == 1 })
	x, err := s.Pool(a, "de").Acquire(s.ctx())
	if err != nil || x.Session() != first {
		t.Fatal(err)
	}
	x.Done()
	d.endAll()
	if first.Probe(s.ctx()) {
		t.Fatal("the session is still there")
	}
	<-a.Gone()
	if _, err := s.Pool(a, "").Acquire(s.ctx()); !errors.Is(err, ErrGone) {
		t.Errorf("got %v, want ErrGone", err)
	}
	if err := s.Drain(s.ctx()); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(gone, []string{"ann"}) {
		t.Errorf("told of %v", gone)
	}
}

func TestACallerThatComesAfterAnAttemptDoesNotGetItsResult(t *testing.T) {
	d := newDouble(t)
	s := stage(t, d, "pass-through: true")
	for range 50 {
		if _, _, err := s.Try(s.ctx(), "ann", secret.New("right")); err != nil {
			t.Fatal(err)
		}
		d.set(func() { d.passwords["ann"] = "another" })
		if _, _, err := s.Try(s.ctx(), "ann", secret.New("right")); !errors.Is(err, ErrRejected) {
			t.Fatalf("the password of before: got %v, want ErrRejected", err)
		}
		d.set(func() { d.passwords["ann"] = "right" })
		// The simulator's names have a case.
		if _, _, err := s.Try(s.ctx(), "ANN", secret.New("another")); !errors.Is(err, ErrRejected) {
			t.Fatalf("the name in another case: got %v, want ErrRejected", err)
		}
	}
}

func TestNamesThatDifferInCaseShareNoSession(t *testing.T) {
	d := newDouble(t)
	d.passwords["Ann"] = "another"
	s := stage(t, d, "pass-through: true")
	a, first, err := s.Try(s.ctx(), "ann", secret.New("right"))
	if err != nil {
		t.Fatal(err)
	}
	b, second, err := s.Try(s.ctx(), "Ann", secret.New("another"))
	if err != nil {
		t.Fatal(err)
	}
	if a == b || first == second || a.Name() != "ann" || b.Name() != "Ann" {
		t.Errorf("ann is %s on %p, Ann is %s on %p", a.Name(), first, b.Name(), second)
	}
	for name, want := range map[string]*Account{"ann": a, "Ann": b} {
		if got, ok := s.User(name); !ok || got != want {
			t.Errorf("the account of %s is %v", name, got)
		}
	}
}

func TestNamesThatDifferInCaseShareNoAttempt(t *testing.T) {
	d := newDouble(t)
	s := stage(t, d, "pass-through: true")
	arrived, goOn := make(chan struct{}, 2), make(chan struct{})
	d.on(func(method string, _ http.ResponseWriter, _ *http.Request) bool {
		if method == "Login" {
			arrived <- struct{}{}
			<-goOn
		}
		return false
	})
	var group sync.WaitGroup
	group.Go(func() {
		if _, _, err := s.Try(s.ctx(), "ann", secret.New("right")); err != nil {
			t.Error(err)
		}
	})
	<-arrived
	group.Go(func() {
		if _, _, err := s.Try(s.ctx(), "ANN", secret.New("right")); !errors.Is(err, ErrRejected) {
			t.Errorf("got %v, want ErrRejected", err)
		}
	})
	close(goOn)
	group.Wait()
	if n := d.count("Login"); n != 2 {
		t.Errorf("%d logins at the upstream, want 2", n)
	}
}

func TestAHundredClientsWithAnOldPasswordDontKeepOutTheRightOne(t *testing.T) {
	d := newDouble(t)
	s := stage(t, d, "pass-through: true")
	var group sync.WaitGroup
	for i := range 101 {
		group.Go(func() {
			password := "old"
			if i == 50 {
				password = "right"
			}
			_, _, err := s.Try(s.ctx(), "ann", secret.New(password))
			if ok := password == "right"; ok != (err == nil) || !ok && !errors.Is(err, ErrRejected) {
				t.Errorf("password %s: %v", password, err)
			}
		})
	}
	group.Wait()
	for range 5 {
		if _, _, err := s.Try(s.ctx(), "ann", secret.New("old")); !errors.Is(err, ErrRejected) {
			t.Error(err)
		}
	}
	if n := d.refusedLogins(); n > password.Tries {
		t.Errorf("the old password was tried %d times", n)
	}
}

func TestEachPrivateClientOfAPassThroughUserHasTheSessionOfItsLogin(t *testing.T) {
	s := stage(t, newDouble(t), "pass-through: true\nmode: private")
	seen := map[*Session]bool{}
	for _, client := range []string{"a", "b"} {
		a, _, err := s.Try(s.ctx(), "ann", secret.New("right"))
		if err != nil {
			t.Fatal(err)
		}
		x, err := s.Pool(a, "").Private(s.ctx(), client)
		if err != nil {
			t.Fatal(err)
		}
		seen[x.Session()] = true
		x.Done()
	}
	if len(seen) != 2 {
		t.Errorf("two clients have %d sessions", len(seen))
	}
}
