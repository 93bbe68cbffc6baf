package session

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/store/storetest"
)

func storeRecord(s Session) store.Record {
	return store.Record{Kind: store.Session, ID: s.Key.String(), Value: s.encode(), Revision: 1}
}

func (f *fixture) clone(ticket secret.Text) (*Live, Token, error) {
	g, err := f.CloneGrant(context.Background(), ticket)
	if err != nil {
		return nil, Token{}, err
	}
	return f.Start(context.Background(), g)
}

func TestACloneTicketHasTheFormThatClientsKnow(t *testing.T) {
	f := newFixture(t, nil, nil)
	l, _ := f.start(t, "alice")
	ticket, err := f.AcquireCloneTicket(t.Context(), l)
	if err != nil {
		t.Fatal(err)
	}
	form := regexp.MustCompile(`^cst-VCT-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}` +
		`--tp(-[0-9A-F]{2}){20}$`)
	if !form.MatchString(ticket.Reveal()) {
		t.Errorf("ticket %q", ticket.Reveal())
	}
}

func TestACloneIsANewSessionWithTheSourcesIdentityAndDeadline(t *testing.T) {
	f := newFixture(t, nil, nil)
	l, token := f.start(t, "alice")
	f.clock.Advance(time.Minute)
	ticket, err := f.AcquireCloneTicket(t.Context(), l)
	if err != nil {
		t.Fatal(err)
	}
	c, cloned, err := f.clone(ticket)
	if err != nil {
		t.Fatal(err)
	}
	a, b := l.Session(), c.Session()
	if a.Key == b.Key || token.Reveal() == cloned.Reveal() {
		t.Error("key or token is shared")
	}
	if !a.Identity.Name.Equal(b.Identity.Name) || a.Locale != b.Locale || !a.Deadline.Equal(b.Deadline) {
		t.Errorf("source %+v, clone %+v", a, b)
	}
	if b.LoginTime.Equal(a.LoginTime) || b.CallCount != 0 {
		t.Error("the clone is not new")
	}
	if _, _, err := f.clone(ticket); !errors.Is(err, ErrBadTicket) {
		t.Errorf("second use: %v", err)
	}
}

func TestOneOfManyTakersWinsATicket(t *testing.T) {
	f := newFixture(t, nil, nil)
	for range 20 {
		l, _ := f.start(t, "alice")
		ticket, err := f.AcquireCloneTicket(t.Context(), l)
		if err != nil {
			t.Fatal(err)
		}
		var won atomic.Int32
		var wg sync.WaitGroup
		for range 32 {
			wg.Go(func() {
				_, _, err := f.clone(ticket)
				switch {
				case err == nil:
					won.Add(1)
				case !errors.Is(err, ErrBadTicket) && !errors.Is(err, ErrStale):
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 {
			t.Fatalf("%d won", won.Load())
		}
	}
}

func TestATicketDiesWithItsSessionWithItsTimeAndWithItsUse(t *testing.T) {
	c := newClock()
	s := storetest.NewMemory(c.Now)
	f := newFixture(t, s, c)
	acquire := func(l *Live) secret.Text {
		ticket, err := f.AcquireCloneTicket(t.Context(), l)
		if err != nil {
			t.Fatal(err)
		}
		return ticket
	}
	l, _ := f.start(t, "alice")
	ended := acquire(l)
	if err := f.End(t.Context(), l, Logout(l.Session())); err != nil {
		t.Fatal(err)
	}
	l, _ = f.start(t, "alice")
	spent := acquire(l)
	if _, _, err := f.clone(spent); err != nil {
		t.Fatal(err)
	}
	old := acquire(l)
	c.Advance(2 * time.Minute)
	restarted := newFixture(t, s, c)
	for name, ticket := range map[string]secret.Text{
		"of an ended session": ended, "spent": spent, "expired": old, "malformed": secret.New("cst-VCT-"), "empty": {},
		"long":    secret.New(strings.Repeat("c", 1<<16)),
		"changed": secret.New(strings.Replace(old.Reveal(), "--tp-00", "--tp-01", 1)),
	} {
		if _, _, err := f.clone(ticket); !errors.Is(err, ErrBadTicket) {
			t.Errorf("%s: %v", name, err)
		}
		if _, _, err := restarted.clone(ticket); !errors.Is(err, ErrBadTicket) {
			t.Errorf("%s, after a restart: %v", name, err)
		}
	}
}

func TestAnEndedSessionGetsNoTicket(t *testing.T) {
	f := newFixture(t, nil, nil)
	l, _ := f.start(t, "alice")
	if err := f.End(t.Context(), l, Logout(l.Session())); err != nil {
		t.Fatal(err)
	}
	if _, err := f.AcquireCloneTicket(t.Context(), l); !errors.Is(err, ErrNoSession) {
		t.Errorf("got %v", err)
	}
}

func TestAGenericTicketIsGoodForItsRequestOnce(t *testing.T) {
	f := newFixture(t, nil, nil)
	l, _ := f.start(t, "alice")
	ticket, err := f.AcquireHTTPTicket(t.Context(), l, "GET", "/a?b=c")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range [][2]string{{"POST", "/a?b=c"}, {"GET", "/a"}, {"GET", "/a?b=d"}, {"get", "/a?b=c"}} {
		if _, _, err := f.RedeemHTTPTicket(t.Context(), ticket, r[0], r[1]); !errors.Is(err, ErrBadTicket) {
			t.Errorf("%s %s: %v", r[0], r[1], err)
		}
	}
	if _, _, err := f.clone(ticket); !errors.Is(err, ErrBadTicket) {
		t.Errorf("as a clone ticket: %v", err)
	}
	if got, _, err := f.RedeemHTTPTicket(t.Context(), ticket, "GET", "/a?b=c"); err != nil || got != l {
		t.Errorf("its own request: %v %v", got, err)
	}
	if _, _, err := f.RedeemHTTPTicket(t.Context(), ticket, "GET", "/a?b=c"); !errors.Is(err, ErrBadTicket) {
		t.Errorf("second time: %v", err)
	}
}

func TestAnAnonymousCallersGenericTicketIsAnonymous(t *testing.T) {
	f := newFixture(t, nil, nil)
	ticket, err := f.AcquireHTTPTicket(t.Context(), nil, "", "/x")
	if err != nil {
		t.Fatal(err)
	}
	if l, _, err := f.RedeemHTTPTicket(t.Context(), ticket, "DELETE", "/x"); err != nil || l != nil {
		t.Errorf("got %v, %v", l, err)
	}
}

func TestStrangersCanNotFillTheStoreWithTickets(t *testing.T) {
	f := newFixture(t, nil, nil)
	for i := range maxStrangers {
		if _, err := f.AcquireHTTPTicket(t.Context(), nil, "", "/x"); err != nil {
			t.Fatalf("ticket %d: %v", i, err)
		}
	}
	if _, err := f.AcquireHTTPTicket(t.Context(), nil, "", "/x"); !errors.Is(err, ErrTooManyTickets) {
		t.Errorf("one more: %v", err)
	}
	l, _ := f.start(t, "alice")
	if _, err := f.AcquireHTTPTicket(t.Context(), l, "", "/x"); err != nil {
		t.Errorf("with a session: %v", err)
	}
	f.clock.Advance(2 * time.Minute)
	if _, err := f.AcquireHTTPTicket(t.Context(), nil, "", "/x"); err != nil {
		t.Errorf("when the others have expired: %v", err)
	}
}

func FuzzTicketRecordsDecodeOrFail(f *testing.F) {
	f.Add([]byte{})
	f.Fuzz(func(_ *testing.T, b []byte) { _, _ = decodeTicket(b) })
}

func BenchmarkTokenLookup(b *testing.B) {
	f := newFixture(b, nil, nil)
	_, token := f.start(b, "alice")
	text, ctx := token.Text, context.Background()
	b.ReportAllocs()
	for b.Loop() {
		if l, _ := f.Authenticate(ctx, text, f.now()); l == nil {
			b.Fatal("not found")
		} else {
			f.Count(l, f.now())
		}
	}
}
