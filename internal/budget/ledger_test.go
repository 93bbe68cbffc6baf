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

func reserve(t *testing.T, l *Ledger, session, principal string, k Kind, n int64) *Hold {
	t.Helper()
	h, err := l.Reserve(session, principal, Of(k, n))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// exceeds checks that a reservation is refused by the bound of the scope and that it leaves the
// accounts unchanged.
func exceeds(t *testing.T, l *Ledger, session, principal string, k Kind, n int64, of Scope) {
	t.Helper()
	before, sessions := l.Server()
	h, err := l.Reserve(session, principal, Of(k, n))
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
	reserve(t, l, "s1", "ann", Waits, 1)
	reserve(t, l, "s1", "ann", Waits, 1)
	exceeds(t, l, "s1", "ann", Waits, 1, OfSession)
	reserve(t, l, "s2", "ann", Waits, 1)
	exceeds(t, l, "s2", "ann", Waits, 1, OfPrincipal)
	exceeds(t, l, "s3", "ann", Waits, 1, OfPrincipal)
	reserve(t, l, "s4", "bob", Waits, 1)
	exceeds(t, l, "s5", "eve", Waits, 1, OfServer)
	reserve(t, l, "s5", "eve", Objects, 1) // another kind has its own bound
}

func TestReleasedAmountsCanBeReservedAgain(t *testing.T) {
	l := NewLedger(small())
	a, b := reserve(t, l, "s1", "ann", Waits, 1), reserve(t, l, "s1", "ann", Waits, 1)
	a.Release()
	a.Release() // only the first call counts
	if got := l.Session("s1"); got != Of(Waits, 1) {
		t.Errorf("the session holds %v", got)
	}
	c := reserve(t, l, "s1", "ann", Waits, 1)
	exceeds(t, l, "s1", "ann", Waits, 1, OfSession)
	b.Release()
	c.Release()
	(*Hold)(nil).Release()
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
	h := reserve(t, l, "s1", "ann", Memory, 10)
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
	h.Release()
	if err := h.Resize(Memory, 7); err != nil {
		t.Error(err)
	}
	empty(t, l)
}

func TestTheEndOfASessionReleasesEverythingOnce(t *testing.T) {
	l := NewLedger(small())
	h := reserve(t, l, "s1", "ann", Waits, 2)
	reserve(t, l, "s1", "ann", Memory, 100)
	other := reserve(t, l, "s2", "ann", Objects, 1)
	l.End("s1")
	l.End("s1")
	l.End("of nobody")
	if got := l.Principal("ann"); got != Of(Objects, 1) {
		t.Errorf("the principal holds %v", got)
	}
	h.Release() // has no effect any more
	if err := h.Resize(Waits, 1); err != nil {
		t.Error(err)
	}
	if held, sessions := l.Server(); held != Of(Objects, 1) || sessions != 1 {
		t.Errorf("%v of %d sessions", held, sessions)
	}
	other.Release()
	empty(t, l)
}

func TestTheLedgerBalancesUnderParallelUse(t *testing.T) {
	l := NewLedger(Default())
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			session, principal := fmt.Sprint("s", i%4), fmt.Sprint("p", i%2)
			for n := range 500 {
				h, err := l.Reserve(session, principal, Of(Memory, int64(n)))
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
				h.Release()
			}
		})
	}
	wg.Wait()
	for i := range 4 {
		l.End(fmt.Sprint("s", i))
	}
	empty(t, l)
}
