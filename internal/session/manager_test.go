package session

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/store/storetest"
)

func TestASessionIsFoundByItsTokenAndByNothingElse(t *testing.T) {
	f := newFixture(t, nil, nil)
	l, token := f.start(t, "alice")
	s := l.Session()
	if got := f.found(token.Reveal()); got != l {
		t.Fatalf("token finds %v, want the session", got)
	}
	ticket, err := f.AcquireCloneTicket(t.Context(), l)
	if err != nil {
		t.Fatal(err)
	}
	for name, wrong := range map[string]string{
		"nothing": "", "the key": s.Key.String(), "a clone ticket": ticket.Reveal(),
		"upper case": strings.ToUpper(token.Reveal()), "one digit more": token.Reveal() + "0",
		"one digit less": token.Reveal()[1:], "its hash": fmt.Sprintf("%x", s.token)[:40],
		"another": strings.Repeat("0", 40), "spaces": " " + token.Reveal()[:39],
	} {
		if f.found(wrong) != nil {
			t.Errorf("%s authenticates", name)
		}
	}
}

func TestASessionBeginsAsTheSpecificationSays(t *testing.T) {
	f := newFixture(t, nil, nil)
	l, token := f.start(t, "alice")
	s := l.Session()
	now := f.clock.Now()
	if !s.LoginTime.Equal(now) || !s.LastActiveTime.Equal(now) || s.CallCount != 0 {
		t.Errorf("times %v %v, count %d", s.LoginTime, s.LastActiveTime, s.CallCount)
	}
	if got := s.Deadline.Sub(now); got != 24*time.Hour {
		t.Errorf("absolute life %v", got)
	}
	if len(token.Reveal()) != 40 || strings.Trim(token.Reveal(), "0123456789abcdef") != "" {
		t.Errorf("token's form is wrong")
	}
	if e := f.posted("UserLoginSessionEvent"); len(e) != 1 || e[0].SessionID != s.Key.String() ||
		e[0].User != `VSPHERE.LOCAL\alice` {
		t.Errorf("events %+v", e)
	}
}

func TestASummaryTellsWhatTheSessionDoes(t *testing.T) {
	f := newFixture(t, nil, nil)
	g := named("alice")
	g.Identity.Extension, g.Identity.Groups = true, []string{`VSPHERE.LOCAL\Users`}
	l, _, err := f.Start(t.Context(), g)
	if err != nil {
		t.Fatal(err)
	}
	f.clock.Advance(time.Minute)
	f.Count(l, f.now())
	s := l.Session()
	want := Summary{
		Key: s.Key, Name: s.Identity.Name.String(), FullName: s.Identity.FullName, Extension: s.Identity.Extension,
		Locale: s.Locale, MessageLocale: s.MessageLocale, Address: s.Address, UserAgent: s.UserAgent,
		LoginTime: s.LoginTime, LastActiveTime: s.LastActiveTime, CallCount: s.CallCount,
	}
	if got := l.Summary(); got != want || got.CallCount != 1 || got.Name != `VSPHERE.LOCAL\alice` {
		t.Errorf("summary %+v of session %+v", got, s)
	}
}

func TestTokensPrintAsAPlaceholder(t *testing.T) {
	f := newFixture(t, nil, nil)
	_, token := f.start(t, "alice")
	text, _ := token.MarshalText()
	for _, s := range []string{fmt.Sprint(token), fmt.Sprintf("%v %+v %#v %s %q", token, token, token, token, token),
		string(text)} {
		if strings.Contains(s, token.Reveal()) {
			t.Errorf("token shows in %q", s)
		}
	}
}

func TestTwoSessionsShareNeitherKeyNorToken(t *testing.T) {
	f := newFixture(t, nil, nil)
	keys, tokens := map[Key]bool{}, map[string]bool{}
	for range 200 {
		l, token := f.start(t, "alice")
		keys[l.Key()], tokens[token.Reveal()] = true, true
	}
	if len(keys) != 200 || len(tokens) != 200 {
		t.Fatalf("%d keys, %d tokens", len(keys), len(tokens))
	}
}

func TestAnIdleSessionDiesToTheNanosecond(t *testing.T) {
	f := newFixture(t, nil, nil)
	_, token := f.start(t, "alice")
	f.clock.Advance(30*time.Minute - 1)
	if !f.live(token) {
		t.Fatal("dead one nanosecond early")
	}
	f.clock.Advance(1)
	if f.live(token) {
		t.Fatal("alive at its time, unswept")
	}
}

func TestUseProlongsASessionOnlyToItsDeadline(t *testing.T) {
	f := newFixture(t, nil, nil)
	l, token := f.start(t, "alice")
	for range 72 {
		f.clock.Advance(20 * time.Minute)
		if f.live(token) {
			f.Count(l, f.now())
		}
	}
	if f.live(token) {
		t.Fatal("alive after 24 hours")
	}
	if got := l.Session().CallCount; got != 71 {
		t.Errorf("%d calls counted, want the 71 before the deadline", got)
	}
}

func TestAnEndedSessionIsDeadWhenEndReturns(t *testing.T) {
	f := newFixture(t, nil, nil)
	l, token := f.start(t, "alice")
	done := l.Done()
	if err := f.End(t.Context(), l, Logout(l.Session())); err != nil {
		t.Fatal(err)
	}
	if f.live(token) || f.Alive(l) {
		t.Error("alive after its end")
	}
	select {
	case <-done:
	default:
		t.Error("who waits on it is not woken")
	}
	select {
	case <-l.Done():
	default:
		t.Error("who waits on it later waits for ever")
	}
	if err := f.End(t.Context(), l, Logout(l.Session())); !errors.Is(err, ErrNoSession) {
		t.Errorf("second end: %v", err)
	}
	if e := f.posted("UserLogoutSessionEvent"); len(e) != 1 {
		t.Errorf("%d logout events", len(e))
	}
}

func TestSweepingPostsALogoutForEachExpiredSession(t *testing.T) {
	f := newFixture(t, nil, nil)
	for range 130 {
		f.start(t, "alice")
	}
	f.clock.Advance(29 * time.Minute)
	_, fresh := f.start(t, "bob")
	f.clock.Advance(2 * time.Minute)
	n, err := f.SweepExpired(t.Context())
	if err != nil || n != 130 {
		t.Fatalf("swept %d, %v", n, err)
	}
	if f.Size() != 1 || !f.live(fresh) {
		t.Errorf("%d sessions left", f.Size())
	}
	if e := f.posted("UserLogoutSessionEvent"); len(e) != 130 {
		t.Errorf("%d logout events", len(e))
	}
}

func TestALargeTableIsSweptInTurnsAndWhole(t *testing.T) {
	f := newFixture(t, nil, nil)
	f.policy.MaxSessions, f.policy.MaxPerPrincipal = 1<<20, 1<<20
	for range smallTable + 1 {
		f.start(t, "alice")
	}
	f.clock.Advance(time.Hour)
	total := 0
	for turn := range sweepTurns {
		n, err := f.SweepTurn(t.Context(), turn)
		if err != nil || n == 0 || n > smallTable/sweepTurns*2 && f.Size() > smallTable {
			t.Fatalf("turn %d swept %d, %v", turn, n, err)
		}
		if total += n; f.Size() <= smallTable && turn > 0 {
			break // the table is small now, so the last turn swept all of it
		}
	}
	if n, err := f.SweepExpired(t.Context()); err != nil || total+n != smallTable+1 || f.Size() != 0 {
		t.Errorf("%d swept, then %d, %d left, %v", total, n, f.Size(), err)
	}
}

func TestLimitsHoldUnderAnyNumberOfLogins(t *testing.T) {
	f := newFixture(t, nil, nil)
	f.policy.MaxSessions, f.policy.MaxPerPrincipal = 40, 25
	var wg sync.WaitGroup
	var started, userFull, allFull atomic.Int32
	for i := range 150 {
		wg.Go(func() {
			_, _, err := f.Start(context.Background(), named([]string{"alice", "bob"}[i%2]))
			var limit *LimitError
			switch {
			case err == nil:
				started.Add(1)
			case errors.As(err, &limit) && limit.Limit == "user":
				userFull.Add(1)
			case errors.As(err, &limit):
				allFull.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if started.Load() != 40 || f.Size() != 40 {
		t.Errorf("%d started (%d user limit, %d limit of all), %d there; want exactly 40", started.Load(),
			userFull.Load(), allFull.Load(), f.Size())
	}
	if in, out := len(f.posted("UserLoginSessionEvent")), len(f.posted("UserLogoutSessionEvent")); in != 40 ||
		out != 0 {
		t.Errorf("%d logins and %d logouts: one process alone claims exactly, and takes none back", in, out)
	}
}

func TestOnePrincipalsLimitLeavesTheOthersAlone(t *testing.T) {
	f := newFixture(t, nil, nil)
	f.policy.MaxPerPrincipal = 2
	f.start(t, "alice")
	f.start(t, "ALICE")
	_, _, err := f.Start(t.Context(), named("Alice"))
	var limit *LimitError
	if !errors.As(err, &limit) || limit.Max != 2 || limit.Live != 2 {
		t.Fatalf("third: %v", err)
	}
	f.start(t, "bob")
	f.clock.Advance(time.Hour)
	f.start(t, "alice") // expired sessions free their places
}

func TestActivitySurvivesARestartAndIsNeverCountedTwice(t *testing.T) {
	c := newClock()
	s := storetest.NewMemory(c.Now)
	f := newFixture(t, s, c)
	l, token := f.start(t, "alice")
	for i := range 5 {
		c.Advance(time.Second)
		f.Count(l, f.now())
		if err := f.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := l.Session().CallCount; got != int64(i+1) {
			t.Fatalf("after %d calls: %d", i+1, got)
		}
	}
	g := newFixture(t, s, c)
	again := g.found(token.Reveal())
	if again == nil {
		t.Fatal("lost in the restart")
	}
	if a, b := again.Session(), l.Session(); a.CallCount != 5 || !a.LastActiveTime.Equal(b.LastActiveTime) {
		t.Errorf("restarted with %d calls, last at %v", a.CallCount, a.LastActiveTime)
	}
}

func TestALocaleChangeAndItsCountersMeetInOneRecord(t *testing.T) {
	f := newFixture(t, nil, nil)
	l, _ := f.start(t, "alice")
	var wg sync.WaitGroup
	wg.Go(func() {
		for range 200 {
			f.Count(l, f.now())
		}
	})
	wg.Go(func() {
		for range 50 {
			if err := f.Flush(context.Background()); err != nil {
				t.Error(err)
			}
		}
	})
	for i := range 50 {
		want := []string{"de", "fr"}[i%2]
		err := f.Update(t.Context(), l, func(s *Session) ([]store.Change, error) { s.Locale = want; return nil, nil })
		if err != nil {
			t.Fatal(err)
		}
		if got := l.Session().Locale; got != want {
			t.Fatalf("locale %q after setting %q", got, want)
		}
	}
	wg.Wait()
	if err := f.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := f.mirror.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := l.Session().CallCount; got != 200 {
		t.Errorf("%d calls, want 200", got)
	}
}

func TestAFlushThatRacesAnEndNeverBringsTheSessionBack(t *testing.T) {
	c := newClock()
	s := storetest.NewMemory(c.Now)
	f := newFixture(t, s, c)
	for range 300 {
		l, token := f.start(t, "alice")
		var wg sync.WaitGroup
		wg.Go(func() { f.Count(l, f.now()); _ = f.Flush(context.Background()) })
		wg.Go(func() { _ = f.End(context.Background(), l, Logout(l.Session())) })
		wg.Wait()
		if f.live(token) {
			t.Fatal("alive again")
		}
	}
	if g := newFixture(t, s, c); g.Size() != 0 {
		t.Fatalf("%d sessions after a restart", g.Size())
	}
}

func TestEndingAllOfAUserLeavesNoCloneBehind(t *testing.T) {
	f := newFixture(t, nil, nil)
	var tokens sync.Map
	l, token := f.start(t, "alice")
	_, other := f.start(t, "bob")
	tokens.Store(token.Reveal(), true)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			src := l
			for range 50 {
				ticket, err := f.AcquireCloneTicket(context.Background(), src)
				if err != nil {
					return
				}
				g, err := f.CloneGrant(context.Background(), ticket)
				if err != nil {
					return
				}
				next, token, err := f.Start(context.Background(), g)
				if err != nil {
					return
				}
				tokens.Store(token.Reveal(), true)
				src = next
			}
		})
	}
	if _, err := f.EndAll(t.Context(), func(s *Session) bool { return s.Identity.Name.User == "alice" },
		Logout); err != nil {
		t.Fatal(err)
	}
	tokens.Range(func(k, _ any) bool {
		if f.found(k.(string)) != nil {
			t.Error("a session of alice lives after all were ended")
		}
		return true
	})
	wg.Wait()
	tokens.Range(func(k, _ any) bool {
		if f.found(k.(string)) != nil {
			t.Error("a clone outlived its source")
		}
		return true
	})
	if !f.live(other) {
		t.Error("another's session was ended")
	}
}

func TestWhoLostItsAccessKeepsNoSessionButTheOneNamed(t *testing.T) {
	f := newFixture(t, nil, nil)
	kept, keptToken := f.start(t, "alice")
	_, own := f.start(t, "ALICE")
	actingAs, asAlice := f.start(t, "bob")
	actingFrom, fromAlice := f.start(t, "alice")
	_, other := f.start(t, "bob")
	for l, name := range map[*Live]string{actingAs: "alice", actingFrom: "bob"} {
		if err := f.Update(t.Context(), l, func(s *Session) ([]store.Change, error) {
			owner := s.Owner()
			s.Identity, s.Origin = named(name).Identity, &owner
			return nil, nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Evict(t.Context(), named("Alice").Identity.Name, kept.Key().String()); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		token Token
		live  bool
	}{"kept": {keptToken, true}, "own": {own, false}, "acting as it": {asAlice, false},
		"acting as another": {fromAlice, false}, "another's": {other, true}} {
		if f.live(c.token) != c.live {
			t.Errorf("%s: alive is %v", name, !c.live)
		}
	}
}

func TestARecordOfANewerVersionKeepsItsFields(t *testing.T) {
	s := Session{Key: Key{1}, token: Hash{2}, Identity: named("alice").Identity, LoginTime: time.Unix(1, 5),
		Deadline: time.Unix(9, 0), LastActiveTime: time.Unix(2, 0)}
	newer := appendText(s.encode(), 99, "from the future")
	table := NewTable(nil)
	r := storeRecord(s)
	r.Value = newer
	table.put(r)
	got := table.byKey(s.Key).Session()
	got.Locale = "de"
	if !bytes.Contains(got.encode(), []byte("from the future")) {
		t.Error("dropped")
	}
}

func TestADamagedRecordIsNotServedAndCounted(t *testing.T) {
	table := NewTable(nil)
	s := Session{Key: Key{1}, token: Hash{2}, Identity: named("alice").Identity, LoginTime: time.Unix(1, 5),
		Deadline: time.Unix(9, 0)}
	r := storeRecord(s)
	r.Value = r.Value[:len(r.Value)/2]
	table.put(r)
	if table.Size() != 0 || table.Damaged() != 1 {
		t.Errorf("size %d, damaged %d", table.Size(), table.Damaged())
	}
}
