package session

import (
	"context"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/store/storetest"
	"github.com/vigate/vigate/internal/testclock"
)

func newClock() *testclock.Clock { return testclock.New(time.Time{}) }

const thumbprint = "00-11-22-33-44-55-66-77-88-99-AA-BB-CC-DD-EE-FF-00-11-22-33"

type fixture struct {
	*Manager
	clock  *testclock.Clock
	policy *Policy // to be changed before the first login
	events *event.Log
	store  store.Store
}

// newFixture returns a running manager over s, or over a new store in memory if s is nil.
func newFixture(t testing.TB, s store.Store, c *testclock.Clock) *fixture {
	t.Helper()
	if c == nil {
		c = newClock()
	}
	if s == nil {
		s = storetest.NewMemory(c.Now)
	}
	f := &fixture{clock: c, store: s, events: event.NewLog(event.Options{Now: c.Now})}
	f.policy = &Policy{Idle: 30 * time.Minute, MaxLifetime: 24 * time.Hour, TicketLifetime: 2 * time.Minute,
		MaxSessions: 1000, MaxPerPrincipal: 500}
	table := NewTable(nil)
	mirror := store.NewMirror(s, table.View(), f.events.View())
	f.Manager = NewManager(Options{
		Mirror: mirror, Table: table, Events: f.events, Now: c.Now,
		Policy: func() Policy { return *f.policy }, Thumbprint: func() string { return thumbprint },
	})
	storetest.Follow(t, mirror)
	return f
}

func named(user string) Grant {
	return Grant{
		Identity: Identity{Name: principal.Name{Domain: "VSPHERE.LOCAL", User: user}, FullName: "The " + user},
		Method:   "password", Locale: "en_US", MessageLocale: "en", Address: "192.0.2.7", UserAgent: "test/1",
	}
}

func (f *fixture) start(t testing.TB, user string) (*Live, Token) {
	t.Helper()
	l, token, err := f.Start(context.Background(), named(user))
	if err != nil {
		t.Fatalf("start session of %s: %v", user, err)
	}
	return l, token
}

func (f *fixture) live(token Token) bool { return f.found(token.Reveal()) != nil }

// found returns the live session of a token, or nil.
func (f *fixture) found(text string) *Live {
	l, err := f.Authenticate(context.Background(), secret.New(text), f.now())
	if err != nil {
		panic(err) // the stores of these tests are always reachable
	}
	return l
}

func (f *fixture) posted(typ string) []event.Event {
	return f.events.Query(event.Filter{Types: []string{typ}, MaxCount: 1000})
}
