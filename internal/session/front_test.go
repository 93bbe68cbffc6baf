package session

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/store"
)

// TestWhatProvesASessionProvesItOnItsOwnFrontOnly tries every token and ticket of each front at all others.
func TestWhatProvesASessionProvesItOnItsOwnFrontOnly(t *testing.T) {
	f, ctx := newFixture(t, nil, nil), t.Context()
	fronts := []string{"", "lab", "lab2"}
	for _, from := range fronts {
		m := f.On(from)
		l, token, err := m.Start(ctx, named("ann"))
		if err != nil || l.Front() != from || l.Session().Front != from {
			t.Fatalf("start on %q: %v, on %q", from, err, l.Front())
		}
		for _, at := range append(slices.Clone(fronts), "la", "LAB") {
			on := f.On(at)
			got, err := on.Authenticate(ctx, token.Text, f.now())
			_, find := on.Find(l.Key().String())
			_, lookup := on.Lookup(ctx, l.Key().String())
			listed := slices.Contains(on.List(), l)
			if at == from {
				if got != l || err != nil || find != nil || lookup != nil || !listed {
					t.Errorf("on %q itself: %v, %v, %v, %v, listed %v", at, got, err, find, lookup, listed)
				}
				continue
			}
			if got != nil || err != nil || find == nil || lookup == nil || listed {
				t.Errorf("of %q on %q: %v, %v, %v, %v, listed %v", from, at, got, err, find, lookup, listed)
			}
			clone, _ := m.AcquireCloneTicket(ctx, l)
			if _, err := on.CloneGrant(ctx, clone); !errors.Is(err, ErrBadTicket) {
				t.Errorf("a clone ticket of %q on %q: %v", from, at, err)
			}
			for _, who := range []*Live{l, nil} {
				ticket, _ := m.AcquireHTTPTicket(ctx, who, "", "/x")
				if _, _, err := on.RedeemHTTPTicket(ctx, ticket, "GET", "/x"); !errors.Is(err, ErrBadTicket) {
					t.Errorf("a service ticket of %q on %q: %v", from, at, err)
				}
				if got, _, err := m.RedeemHTTPTicket(ctx, ticket, "GET", "/x"); err != nil || got != who {
					t.Errorf("a service ticket of %q after the try on %q: %v", from, at, err)
				}
			}
			grant, err := m.CloneGrant(ctx, clone)
			if err != nil {
				t.Fatal(err)
			}
			c, _, err := m.Start(ctx, grant)
			if err != nil || c.Front() != from {
				t.Errorf("a clone of a session of %q is of %q: %v", from, c.Front(), err)
			}
		}
	}
	if n := f.table.fronts; n[""] != 5 || n["lab"] != 5 || n["lab2"] != 5 || len(n) != 3 {
		t.Errorf("sessions by front: %v", n)
	}
	if n := len(slices.Collect(f.AllFronts())); n != 15 {
		t.Errorf("%d sessions of all fronts", n)
	}
}

func TestTheFrontOfASessionSurvivesItsRecord(t *testing.T) {
	f := newFixture(t, nil, nil)
	l, token, err := f.On("lab").Start(t.Context(), named("ann"))
	if err != nil {
		t.Fatal(err)
	}
	again := newFixture(t, f.store, f.clock)
	if got, err := again.On("lab").Authenticate(t.Context(), token.Text, f.now()); err != nil || got == nil ||
		got.Session().Front != "lab" {
		t.Errorf("after a restart: %v, %v", got, err)
	}
	if again.found(token.Reveal()) != nil {
		t.Error("after a restart, the token is valid on the server itself")
	}
	// A change of the session keeps it, and so does the record of its activity.
	f.On("lab").Count(l, f.now())
	err = f.Update(t.Context(), l, func(s *Session) ([]store.Change, error) { s.Locale = "de"; return nil, nil })
	if err = errors.Join(err, f.Flush(t.Context())); err != nil || l.Front() != "lab" || l.Session().Locale != "de" {
		t.Errorf("after a change: %+v, %v", l.Session(), err)
	}
	// A record of a version without fronts is of the server itself.
	s := Session{Key: Key{1}, token: Hash{1}, Identity: named("ann").Identity, LoginTime: f.now(), Deadline: f.now()}
	if decoded, err := decodeFacts(string(s.encode())); err != nil || decoded.front != "" {
		t.Errorf("a record without a front: %q, %v", decoded.front, err)
	}
}

func TestLimitsAndEvictionsAreAboutAllFronts(t *testing.T) {
	f, ctx := newFixture(t, nil, nil), context.Background()
	f.policy.MaxPerPrincipal = 2
	own, _ := f.start(t, "ann")
	front, token, err := f.On("lab").Start(ctx, named("ann"))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := f.On("esx").Start(ctx, named("ann")); err == nil {
		t.Error("a third session of a principal that may have two")
	}
	// A user of an upstream server is another principal, even if the texts of the names are the same.
	g := named("ann")
	g.Identity.Name = principal.OfUpstream("esx", named("ann").Identity.Name.String())
	upstream, _, err := f.On("esx").Start(ctx, g)
	if err != nil {
		t.Fatal(err)
	}
	if got := upstream.Summary().Name; got != `VSPHERE.LOCAL\ann` {
		t.Errorf("the client sees the name %q", got)
	}
	if got := upstream.Actor(); got != event.By(`esx\\VSPHERE.LOCAL\ann`) {
		t.Errorf("events name %v", got)
	}
	if err := f.Evict(ctx, named("ann").Identity.Name, ""); err != nil {
		t.Fatal(err)
	}
	if f.Alive(own) || f.Alive(front) || !f.Alive(upstream) {
		t.Errorf("after the eviction: own %v, front %v, upstream %v", f.Alive(own), f.Alive(front), f.Alive(upstream))
	}
	if l, err := f.On("lab").Authenticate(ctx, secret.New(token.Reveal()), f.now()); l != nil || err != nil {
		t.Errorf("the token of an ended session: %v, %v", l, err)
	}
}

func TestACloneTicketOfAFrontNamesItsCertificate(t *testing.T) {
	f := newFixture(t, nil, nil)
	const other = "FF-11-22-33-44-55-66-77-88-99-AA-BB-CC-DD-EE-FF-00-11-22-33"
	m := f.On("lab").Showing(func() string { return other })
	l, _, err := m.Start(t.Context(), named("ann"))
	if err != nil {
		t.Fatal(err)
	}
	ticket, err := m.AcquireCloneTicket(t.Context(), l)
	if err != nil || !strings.HasSuffix(ticket.Reveal(), "--tp-"+other) {
		t.Errorf("ticket %v", err)
	}
	if _, err := m.CloneGrant(t.Context(), ticket); err != nil {
		t.Error(err)
	}
}
