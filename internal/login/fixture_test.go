package login

import (
	"cmp"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/locale"
	"github.com/vigate/vigate/internal/peer"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/session"
	"github.com/vigate/vigate/internal/setting"
	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/store/storetest"
	"github.com/vigate/vigate/internal/testclock"
)

var admin = principal.Name{Domain: "VSPHERE.LOCAL", User: "administrator"}

// fixture is a gate over a store in memory, with a login method of the test.
type fixture struct {
	*Gate
	clock  *testclock.Clock
	values *setting.Values
	access *access.Manager
	Events *event.Log
}

// exists reports whether a principal exists: the administrator, and every user whose name begins with
// "user".
func (f *fixture) exists(who principal.Name) bool {
	return who.Equal(admin) || strings.HasPrefix(who.User, "user")
}

// known is a login method that accepts the password "right" of every user.
type known struct{ busy bool }

func (known) Name() string { return "known" }

func (known) Challenge() string { return "" }

func (k known) Authenticate(_ context.Context, a Attempt) (session.Grant, error) {
	p, ok := a.Credential.(Password)
	switch {
	case !ok:
		return session.Grant{}, ErrNotMine
	case k.busy:
		return session.Grant{}, ErrBusy
	case p.Secret.Reveal() != "right":
		return session.Grant{}, ErrRejected
	}
	n, err := principal.Parse(p.User, "vsphere.local")
	if err != nil {
		return session.Grant{}, ErrRejected
	}
	return session.Grant{Identity: session.Identity{Name: n}, Scope: session.Scope{Local: true}}, nil
}

func newFixture(t *testing.T, methods ...Method) *fixture {
	t.Helper()
	return newFixtureOn(t, func(s store.Store) store.Store { return s }, methods...)
}

// newFixtureOn is newFixture on the store that on returns for the store in memory.
func newFixtureOn(t *testing.T, on func(store.Store) store.Store, methods ...Method) *fixture {
	t.Helper()
	c := testclock.New(time.Time{})
	v := setting.Defaults()
	events := event.NewLog(event.Options{Now: c.Now})
	f := &fixture{clock: c, values: &v, Events: events}
	sessions, table := session.NewTable(nil), access.NewTable(nil, nil)
	mirror := store.NewMirror(on(storetest.NewMemory(c.Now)), sessions.View(), table.View(), events.View())
	f.access = access.NewManager(access.Options{
		Mirror: mirror, Table: table, Events: events,
		Exists:  func(principal.Name, bool) bool { return true },
		Enabled: func(principal.Name) bool { return true },
	})
	m := session.NewManager(session.Options{
		Mirror: mirror, Table: sessions, Events: events, Now: c.Now,
		Policy: func() session.Policy {
			return session.Policy{
				Idle: v.IdleTimeout, MaxLifetime: v.MaxLifetime, TicketLifetime: v.TicketLifetime,
				MaxSessions: v.MaxSessions, MaxPerPrincipal: v.MaxPerPrincipal,
			}
		},
		Thumbprint: func() string { return "00-11-22-33-44-55-66-77-88-99-AA-BB-CC-DD-EE-FF-00-11-22-33" },
	})
	if len(methods) == 0 {
		methods = []Method{Clone{Sessions: m}, known{}}
	}
	f.Gate = NewGate(GateOptions{
		Methods: methods, Sessions: m, Access: table, Mirror: mirror, Reports: NewReports(mirror, events, c.Now, nil),
		Throttle: NewThrottle(func() *setting.Values { return &v }, f.exists, c.Now),
		Locale: func(requested string) (locale.Choice, error) {
			return locale.Fit(cmp.Or(requested, locale.Default))
		},
		DefaultDomain: "vsphere.local", Now: c.Now,
	})
	storetest.Follow(t, mirror)
	changes, err := f.access.Found(t.Context(), event.By("test"), admin)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := mirror.Commit(t.Context(), changes...); err != nil {
		t.Fatal(err)
	}
	return f
}

func from(address, name, password string) Attempt {
	return Attempt{
		Credential: Password{User: name, Secret: secret.New(password)},
		Peer:       peer.Peer{Address: address, UserAgent: "test"},
	}
}

func (f *fixture) try(t *testing.T, a Attempt) error {
	t.Helper()
	_, _, err := f.Login(t.Context(), a, nil)
	return err
}

// locked reports whether a login of the principal from the address is refused.
func (f *fixture) locked(who principal.Name, address string) bool {
	g := f.throttle.begin(claim{text: who.String(), name: who}, address)
	defer g.giveBack()
	return g.refused
}

func (f *fixture) posted(typ string) []event.Event {
	return f.Events.Query(event.Filter{Types: []string{typ}, MaxCount: 1000})
}
