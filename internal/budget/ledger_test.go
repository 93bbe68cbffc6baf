package budget

import (
	"errors"
	"fmt"
	"sync"
	"testing"
)

func small() Limits {
	l := Default()
	l[Waits] = Bound{Session: 2, Principal: 3, Server: 4}
	return l
}

func take(t *testing.T, l *Ledger, session, principal string, k Kind, n int64) *Hold {
	t.Helper()
	h, err := l.Take(session, principal, Of(k, n))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// exceeds holds a Take to being refused by the bound of the scope, and to
// leaving the accounts as they were.
func exceeds(t *testing.T, l *Ledger, session, principal string, k Kind, n int64, of Scope) {
	t.Helper()
	before, sessions := l.Server()
	h, err := l.Take(session, principal, Of(k, n))
	e, ok := errors.AsType[*ExceededError](err)
	if !ok || h != nil || e.Scope != of || e.Kind != k || e.Asked != n {
		t.Fatalf("got %v, %v, want the bound of the %s", h, err, of)
	}
	if after, now := l.Server(); after != before || now != sessions {
		t.Errorf("a refusal changed the account: %v of %d, then %v of %d", before, sessions, after, now)
	}
}

func TestEachScopeHasItsBound(t *testing.T) {
	l := NewLedger(small())
	take(t, l, "s1", "ann", Waits, 1)
	take(t, l, "s1", "ann", Waits, 1)
	exceeds(t, l, "s1", "ann", Waits, 1, OfSession)
	take(t, l, "s2", "ann", Waits, 1)
	exceeds(t, l, "s2", "ann", Waits, 1, OfPrincipal)
	exceeds(t, l, "s3", "ann", Waits, 1, OfPrincipal)
	take(t, l, "s4", "bob", Waits, 1)
	exceeds(t, l, "s5", "eve", Waits, 1, OfServer)
	take(t, l, "s5", "eve", Objects, 1) // another kind
}

func TestWhatIsGivenBackCanBeTakenAgain(t *testing.T) {
	l := NewLedger(small())
	a, b := take(t, l, "s1", "ann", Waits, 1), take(t, l, "s1", "ann", Waits, 1)
	a.Give()
	a.Give() // counts once
	if got := l.Session("s1"); got != Of(Waits, 1) {
		t.Errorf("the session holds %v", got)
	}
	c := take(t, l, "s1", "ann", Waits, 1)
	exceeds(t, l, "s1", "ann", Waits, 1, OfSession)
	b.Give()
	c.Give()
	(*Hold)(nil).Give()
	empty(t, l)
}

func empty(t *testing.T, l *Ledger) {
	t.Helper()
	if held, sessions := l.Server(); held != (Amounts{}) || sessions != 0 || len(l.principals) != 0 {
		t.Errorf("%v of %d sessions and %d principals are left", held, sessions, len(l.principals))
	}
}

func TestAHoldChangesItsSizeWithinTheBounds(t *testing.T) {
	l := NewLedger(small())
	most := l.Limits()[Memory].Session
	h := take(t, l, "s1", "ann", Memory, 10)
	if err := h.Resize(Memory, most); err != nil {
		t.Fatal(err)
	}
	if err := h.Resize(Memory, most+1); err == nil {
		t.Error("a hold grew past the bound")
	}
	exceeds(t, l, "s1", "ann", Memory, 1, OfSession)
	if err := h.Resize(Memory, 5); err != nil {
		t.Fatal(err)
	}
	if got := l.Principal("ann"); got != Of(Memory, 5) {
		t.Errorf("the principal holds %v", got)
	}
	h.Give()
	if err := h.Resize(Memory, 7); err != nil {
		t.Error(err)
	}
	empty(t, l)
}

func TestTheEndOfASessionGivesAllBackOnce(t *testing.T) {
	l := NewLedger(small())
	h := take(t, l, "s1", "ann", Waits, 2)
	take(t, l, "s1", "ann", Memory, 100)
	other := take(t, l, "s2", "ann", Objects, 1)
	l.End("s1")
	l.End("s1")
	l.End("of nobody")
	if got := l.Principal("ann"); got != Of(Objects, 1) {
		t.Errorf("the principal holds %v", got)
	}
	h.Give() // comes too late
	if err := h.Resize(Waits, 1); err != nil {
		t.Error(err)
	}
	if held, sessions := l.Server(); held != Of(Objects, 1) || sessions != 1 {
		t.Errorf("%v of %d sessions", held, sessions)
	}
	other.Give()
	empty(t, l)
}

func TestTheLedgerBalancesUnderParallelUse(t *testing.T) {
	l := NewLedger(Default())
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			session, principal := fmt.Sprint("s", i%4), fmt.Sprint("p", i%2)
			for n := range 500 {
				h, err := l.Take(session, principal, Of(Memory, int64(n)))
				if err != nil {
					t.Error(err)
					return
				}
				if n%7 == 0 {
					l.End(session)
				}
				if err := h.Resize(Memory, int64(n/2)); err != nil {
					t.Error(err)
				}
				h.Give()
			}
		})
	}
	wg.Wait()
	for i := range 4 {
		l.End(fmt.Sprint("s", i))
	}
	empty(t, l)
}
