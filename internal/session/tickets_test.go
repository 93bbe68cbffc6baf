package session

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/store/storetest"
)

func TestTicketsOfOnePrincipalAreBounded(t *testing.T) {
	f := newFixture(t, nil, nil)
	l, _ := f.start(t, "alice")
	again, _ := f.start(t, "ALICE") // another session of the same principal
	bob, _ := f.start(t, "bob")
	var clone, service secret.Text
	for i := range maxOwnTickets / 2 {
		var err error
		if clone, err = f.AcquireCloneTicket(t.Context(), l); err != nil {
			t.Fatalf("clone ticket %d: %v", i, err)
		}
		if service, err = f.AcquireHTTPTicket(t.Context(), again, "", "/x"); err != nil {
			t.Fatalf("service ticket %d: %v", i, err)
		}
	}
	refused := func(what string) {
		t.Helper()
		for _, l := range []*Live{l, again} {
			if _, err := f.AcquireCloneTicket(t.Context(), l); !errors.Is(err, ErrTooManyTickets) {
				t.Errorf("%s, a clone ticket: %v", what, err)
			}
			if _, err := f.AcquireHTTPTicket(t.Context(), l, "", "/x"); !errors.Is(err, ErrTooManyTickets) {
				t.Errorf("%s, a service ticket: %v", what, err)
			}
		}
	}
	refused("one more")
	if _, err := f.AcquireCloneTicket(t.Context(), bob); err != nil {
		t.Errorf("another principal: %v", err)
	}
	if _, err := f.AcquireHTTPTicket(t.Context(), nil, "", "/x"); err != nil {
		t.Errorf("a caller without a session: %v", err)
	}
	// Each use of a ticket frees a place.
	if _, _, err := f.clone(clone); err != nil {
		t.Fatal(err)
	}
	if _, _, err := f.RedeemHTTPTicket(t.Context(), service, "GET", "/x"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := f.AcquireCloneTicket(t.Context(), l); err != nil {
			t.Errorf("after two were used: %v", err)
		}
	}
	refused("then")
	f.clock.Advance(f.policy.TicketLifetime)
	if _, err := f.AcquireCloneTicket(t.Context(), l); err != nil {
		t.Errorf("after all have expired: %v", err)
	}
}

func TestTicketsAtOnceKeepToTheBound(t *testing.T) {
	f := newFixture(t, nil, nil)
	var wg sync.WaitGroup
	var mu sync.Mutex // guards issued
	issued := 0
	for range 20 {
		wg.Go(func() {
			for range maxStrangers / 10 {
				switch _, err := f.AcquireHTTPTicket(t.Context(), nil, "", "/x"); {
				case err == nil:
					mu.Lock()
					issued++
					mu.Unlock()
				case !errors.Is(err, ErrTooManyTickets):
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if issued > maxStrangers || issued < maxStrangers-20 {
		t.Errorf("%d tickets, want %d", issued, maxStrangers)
	}
	if len(f.table.tickets.pending) != 0 || f.table.tickets.total != 0 {
		t.Errorf("places are kept for nobody: %v, %d", f.table.tickets.pending, f.table.tickets.total)
	}
}

func TestTicketsAreBoundedInAll(t *testing.T) {
	tickets, now := newTickets(), time.Now()
	put := func(i int) {
		owner := appendText(nil, fieldTicketActor, fmt.Sprint("user", i/maxOwnTickets))
		tickets.put(store.Record{Kind: store.Ticket, ID: fmt.Sprint(cloneTicket, i), Value: owner,
			Expires: now.Add(time.Minute)})
	}
	for i := range maxTickets {
		_, err := tickets.reserve(ticket{actor: fmt.Sprint("user", i/maxOwnTickets)}, now)
		if err != nil && i < maxOwnTickets {
			t.Fatal(err)
		}
		tickets.pending, tickets.total = map[string]int{}, 0
		put(i)
	}
	if _, err := tickets.reserve(ticket{actor: "another"}, now); !errors.Is(err, ErrTooManyTickets) {
		t.Errorf("one more: %v", err)
	}
	tickets.remove(cloneTicket + "0")
	if _, err := tickets.reserve(ticket{actor: "another"}, now); err != nil {
		t.Errorf("after one is gone: %v", err)
	}
}

func TestATicketThatAnotherNodeHasJustIssuedIsFound(t *testing.T) {
	c := newClock()
	shared := storetest.NewMemory(c.Now)
	here := newFixture(t, lagging{shared, make(chan struct{}, 1)}, c)
	there := newFixture(t, shared, c)
	text, err := there.AcquireHTTPTicket(t.Context(), nil, "GET", "/x")
	if err != nil {
		t.Fatal(err)
	}
	id := here.ticketID(httpTicket, text)
	if _, ok := here.table.tickets.get(id, c.Now()); ok {
		t.Fatal("the node does not lag")
	}
	if r, err := here.Ticket(t.Context(), id); err != nil || r.ID != id {
		t.Errorf("%v, %v", r, err)
	}
}

func TestATicketThatAnotherNodeHasSpentIsBadAndForgotten(t *testing.T) {
	c := newClock()
	shared := storetest.NewMemory(c.Now)
	here, there := newFixture(t, shared, c), newFixture(t, shared, c)
	l, _ := there.start(t, "ann")
	ticket, err := there.AcquireHTTPTicket(t.Context(), l, "", "/x")
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := there.RedeemHTTPTicket(t.Context(), ticket, "GET", "/x"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := here.RedeemHTTPTicket(t.Context(), ticket, "GET", "/x"); !errors.Is(err, ErrBadTicket) {
		t.Errorf("a second time: %v", err)
	}
	for _, f := range []*fixture{here, there} {
		if err := f.mirror.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := len(f.table.tickets.content.records) + len(f.table.tickets.content.owners); n != 0 {
			t.Errorf("%d are left of what was used", n)
		}
	}
}

func TestATicketIsNotSaidToBeBadWhereThatCannotBeFoundOut(t *testing.T) {
	c := newClock()
	here := newFixture(t, cutOff{storetest.NewMemory(c.Now)}, c)
	_, _, err := here.RedeemHTTPTicket(t.Context(), secret.New(uuid.NewString()), "GET", "/x")
	if !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("service ticket: %v", err)
	}
	if _, err := here.CloneGrant(t.Context(), madeUpCloneTicket()); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("clone ticket: %v", err)
	}
}

func madeUpCloneTicket() secret.Text {
	return secret.New("cst-VCT-" + uuid.NewString() + "--tp-" + thumbprint)
}

// Get counts as a read of the newest revision.
func (r *remote) Get(ctx context.Context, k store.Kind, id string) (store.Record, error) {
	r.reads.Add(1)
	return r.Store.Get(ctx, k, id)
}

func TestUnknownTicketsShareTheirReadsOfTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClock()
		s := &remote{Store: storetest.NewMemory(c.Now)}
		f := newFixture(t, s, c)
		const callers, each = 20, 100
		var wg sync.WaitGroup
		for i := range callers {
			wg.Go(func() {
				for range each {
					var err error
					if i%2 == 0 {
						_, err = f.CloneGrant(t.Context(), madeUpCloneTicket())
					} else {
						_, _, err = f.RedeemHTTPTicket(t.Context(), secret.New(uuid.NewString()), "GET", "/x")
					}
					if !errors.Is(err, ErrBadTicket) {
						t.Errorf("a made-up ticket: %v", err)
					}
				}
			})
		}
		wg.Wait()
		if n := s.reads.Load(); n > callers*each/5 {
			t.Errorf("%d reads for %d unknown tickets of %d callers", n, callers*each, callers)
		}
	})
}

func TestAReloadKeepsTheTicketsThatAreStillThere(t *testing.T) {
	table, now := NewTable(nil), time.Now()
	record := func(id string) store.Record {
		return store.Record{Kind: store.Ticket, ID: id, Value: appendText(nil, fieldTicketActor, "ann"),
			Expires: now.Add(time.Minute)}
	}
	has := func(want ...bool) {
		t.Helper()
		n := 0
		for i, id := range []string{"clone/a", "http/b", "local/c"} {
			if _, ok := table.tickets.get(id, now); ok != want[i] {
				t.Errorf("%s is there: %t", id, ok)
			}
			if want[i] && id != "local/c" {
				n++
			}
		}
		if got := table.tickets.content.owners["ann"]; got != n {
			t.Errorf("%d tickets of ann are counted, want %d", got, n)
		}
	}
	table.reset()
	for _, id := range []string{"clone/a", "clone/a", "local/c"} {
		table.put(record(id))
	}
	table.whole()
	has(true, false, true)
	table.reset()
	table.put(record("clone/a"))
	table.put(record("http/b"))
	table.delete(store.Ticket, "clone/a")
	has(true, false, true)
	table.whole()
	has(false, true, false)
	table.delete(store.Ticket, "http/b")
	has(false, false, false)
}

// acting makes the session impersonate another principal, or end the impersonation.
func (f *fixture) acting(t *testing.T, l *Live, user string) {
	t.Helper()
	err := f.Update(t.Context(), l, func(s *Session) ([]store.Change, error) {
		owner := s.Owner()
		if s.Identity = named(user).Identity; s.Identity.Name.Equal(owner.Name) {
			s.Origin = nil
		} else {
			s.Origin = &owner
		}
		return nil, nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A session that impersonates another principal uses the quota of the principal that logged in.
func TestTicketsOfImpersonatorsCountForWhoLoggedIn(t *testing.T) {
	f := newFixture(t, nil, nil)
	boss, _ := f.start(t, "boss")
	fill := func(l *Live, want int) {
		t.Helper()
		n := 0
		for ; n <= maxOwnTickets; n++ {
			_, err := f.AcquireHTTPTicket(t.Context(), l, "", "/x")
			if errors.Is(err, ErrTooManyTickets) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
		}
		if n != want {
			t.Errorf("%s got %d tickets, want %d", l.Owner(), n, want)
		}
	}
	ann, _ := f.start(t, "ann")
	f.acting(t, ann, "boss")
	fill(ann, maxOwnTickets)
	f.acting(t, ann, "carl")
	fill(ann, 0)
	f.acting(t, ann, "ann")
	fill(ann, 0)
	// All sessions that impersonate one principal share a bound.
	bob, _ := f.start(t, "bob")
	f.acting(t, bob, "boss")
	fill(bob, 0)
	f.acting(t, bob, "bob")
	fill(bob, maxOwnTickets)
	fill(boss, maxOwnTickets)
	again := newFixture(t, f.store, f.clock)
	if fmt.Sprint(again.table.tickets.content.owners) != fmt.Sprint(f.table.tickets.content.owners) {
		t.Errorf("another node counts %v, want %v", again.table.tickets.content.owners, f.table.tickets.content.owners)
	}
	f.clock.Advance(f.policy.TicketLifetime)
	if _, err := f.AcquireHTTPTicket(t.Context(), ann, "", "/x"); err != nil {
		t.Error(err)
	}
	if n := len(f.table.tickets.content.owners); n != 1 {
		t.Errorf("%v are counted", f.table.tickets.content.owners)
	}
}

func TestASessionsStandingIsAnotherAfterEachChange(t *testing.T) {
	f := newFixture(t, nil, nil)
	l, _ := f.start(t, "ann")
	seen := map[Standing]bool{}
	for _, who := range []string{"ann", "boss", "ann", "boss", "ann"} {
		f.acting(t, l, who)
		f.Count(l, f.now())
		if err := f.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if seen[l.Standing()] {
			t.Errorf("as %s it has a standing that it had before", who)
		}
		seen[l.Standing()] = true
		standing := l.Standing()
		f.clock.Advance(time.Minute)
		f.Count(l, f.now())
		if err := f.Flush(t.Context()); err != nil || l.Standing() != standing {
			t.Errorf("activity changes the standing, %v", err)
		}
	}
}
