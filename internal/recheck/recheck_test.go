package recheck

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/directory"
	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/session"
	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/store/storetest"
	"github.com/vigate/vigate/internal/testclock"
)

// corp is a directory. Users that are not in it are gone.
type corp struct {
	mu     sync.Mutex // guards what follows
	groups map[string][]string
	err    error            // of all lookups
	errs   map[string]error // of the lookups of a user
	asked  []string
}

func (*corp) Domain() string { return "CORP.EXAMPLE" }

func (c *corp) Groups(_ context.Context, name principal.Name) ([]string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked = append(c.asked, name.User)
	if c.err != nil {
		return nil, c.err
	}
	groups, ok := c.groups[name.User]
	if err := c.errs[name.User]; err != nil {
		return nil, err
	}
	if !ok {
		return nil, fmt.Errorf("%w: no such user", login.ErrRejected)
	}
	return groups, nil
}

type fixture struct {
	Checker
	corp  *corp
	clock *testclock.Clock
	log   bytes.Buffer
}

// node makes a server on the store.
func node(t *testing.T, s store.Store, clock *testclock.Clock, source *corp) *fixture {
	t.Helper()
	f := &fixture{corp: source, clock: clock}
	events, table := event.NewLog(event.Options{Now: clock.Now}), session.NewTable(nil)
	mirror := store.NewMirror(s, table.View(), events.View())
	f.Checker = Checker{
		Sessions: session.NewManager(session.Options{
			Mirror: mirror, Table: table, Events: events, Now: clock.Now, Thumbprint: func() string { return "" },
			Policy: func() session.Policy {
				return session.Policy{Idle: time.Hour, MaxLifetime: time.Hour, MaxSessions: 100, MaxPerPrincipal: 100}
			},
		}),
		Sources: []Source{source}, Logger: slog.New(slog.NewTextHandler(&f.log, nil)), Since: clock.Now(),
		Vouched: func(domain string) bool { return domain == source.Domain() || domain == "VSPHERE.LOCAL" },
	}
	storetest.Follow(t, mirror)
	return f
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	clock := testclock.New(time.Time{})
	source := &corp{groups: map[string][]string{"ann": {`CORP.EXAMPLE\a`}, "ben": nil}}
	return node(t, storetest.NewMemory(clock.Now), clock, source)
}

func identity(domain, user string, groups ...string) session.Identity {
	return session.Identity{Name: principal.Name{Domain: domain, User: user}, Groups: groups}
}

func (f *fixture) start(t *testing.T, i session.Identity, origin *session.Identity) *session.Live {
	t.Helper()
	l, _, err := f.Sessions.Start(t.Context(), session.Grant{Identity: i, Origin: origin, Method: "password"})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func (f *fixture) check(t *testing.T) {
	t.Helper()
	if err := f.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestSessionsGetTheGroupsThatTheirUserHasNow(t *testing.T) {
	f := newFixture(t)
	one := f.start(t, identity("CORP.EXAMPLE", "ann", `CORP.EXAMPLE\old`), nil)
	two := f.start(t, identity("CORP.EXAMPLE", "ann", `CORP.EXAMPLE\a`), nil)
	origin := identity("CORP.EXAMPLE", "ben", `CORP.EXAMPLE\old`)
	acting := f.start(t, identity("VSPHERE.LOCAL", "admin", `VSPHERE.LOCAL\x`), &origin)
	local := f.start(t, identity("VSPHERE.LOCAL", "ann", `VSPHERE.LOCAL\x`), nil)
	extension := f.start(t, session.Identity{Name: principal.Extension("com.example"), Extension: true}, nil)
	f.check(t)
	for _, l := range []*session.Live{one, two} {
		if got := l.Identity().Groups; !slices.Equal(got, []string{`CORP.EXAMPLE\a`}) {
			t.Errorf("groups: %q", got)
		}
	}
	if i, o := acting.Who(); len(o.Groups) != 0 || len(i.Groups) != 1 {
		t.Errorf("a session that acts as another user: %q and %q", i.Groups, o.Groups)
	}
	if len(local.Identity().Groups) != 1 || !f.Sessions.Alive(extension) {
		t.Error("a session of another source was changed")
	}
	// Each user was looked up once, and only those of the directory.
	slices.Sort(f.corp.asked)
	if !slices.Equal(f.corp.asked, []string{"ann", "ben"}) {
		t.Errorf("asked for %q", f.corp.asked)
	}
	if strings.Count(f.log.String(), "\n") != 2 {
		t.Errorf("log:\n%s", &f.log)
	}
}

func TestSessionsOfAUserThatIsGoneEnd(t *testing.T) {
	f := newFixture(t)
	ann, eve := identity("CORP.EXAMPLE", "ann", `CORP.EXAMPLE\a`), identity("CORP.EXAMPLE", "eve")
	kept := f.start(t, ann, nil)
	gone := []*session.Live{f.start(t, eve, nil), f.start(t, eve, nil), f.start(t, ann, &eve), f.start(t, eve, &ann)}
	f.check(t)
	for i, l := range gone {
		if f.Sessions.Alive(l) {
			t.Errorf("session %d lives", i)
		}
	}
	if !f.Sessions.Alive(kept) {
		t.Error("a session of another user ended")
	}
}

func TestADirectoryThatDoesNotAnswerChangesNothing(t *testing.T) {
	f := newFixture(t)
	var all []*session.Live
	for i := range 20 {
		all = append(all, f.start(t, identity("CORP.EXAMPLE", fmt.Sprintf("user%d", i), `CORP.EXAMPLE\a`), nil))
	}
	f.corp.err = fmt.Errorf("%w: out of reach", directory.ErrUnavailable)
	err := f.Check(t.Context())
	if !errors.Is(err, f.corp.err) || !strings.Contains(err.Error(), "20 of 20") {
		t.Errorf("error: %v", err)
	}
	for _, l := range all {
		if !f.Sessions.Alive(l) || len(l.Identity().Groups) != 1 {
			t.Error("a session was changed")
		}
	}
	// The rest of the round is left out: each lookup may take as long as its time-outs.
	if n := len(f.corp.asked); n < enough || n > enough+atOnce {
		t.Errorf("%d users were looked up", n)
	}
}

func TestAUserWithTooManyGroupsDoesNotKeepOthersFromTheirs(t *testing.T) {
	f := newFixture(t)
	f.corp.errs = map[string]error{}
	var all []*session.Live
	for i := range 20 {
		user := fmt.Sprintf("user%02d", i)
		all = append(all, f.start(t, identity("CORP.EXAMPLE", user, `CORP.EXAMPLE\old`), nil))
		if f.corp.groups[user] = []string{`CORP.EXAMPLE\a`}; i < 2*enough {
			f.corp.errs[user] = errors.New("too many groups")
		}
	}
	err := f.Check(t.Context())
	if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%d of 20", 2*enough)) ||
		!strings.Contains(err.Error(), `CORP.EXAMPLE\user`) {
		t.Errorf("error: %v", err)
	}
	for i, l := range all {
		want := `CORP.EXAMPLE\a`
		if i < 2*enough {
			want = `CORP.EXAMPLE\old`
		}
		if got := l.Identity().Groups; !f.Sessions.Alive(l) || !slices.Equal(got, []string{want}) {
			t.Errorf("groups of user %d: %q", i, got)
		}
	}
}

// A directory may need all of its time for a few users. The others come first in the next round.
func TestUsersWhoseLookupsFailedComeLastInTheNextRound(t *testing.T) {
	f := newFixture(t)
	slow := map[string]bool{}
	f.corp.errs = map[string]error{}
	for i := range 12 {
		user := fmt.Sprintf("user%02d", i)
		f.start(t, identity("CORP.EXAMPLE", user), nil)
		if f.corp.groups[user] = []string{}; i < 2*enough {
			f.corp.errs[user], slow[user] = fmt.Errorf("%w: too slow", directory.ErrUnavailable), true
		}
	}
	seen := map[string]bool{}
	for range 12 {
		if err := f.Check(t.Context()); err == nil {
			t.Fatal("no lookup failed")
		}
		for _, user := range f.corp.asked {
			seen[user] = true
		}
		if f.corp.asked = nil; len(seen) == 12 {
			break
		}
	}
	for i := range 12 {
		if user := fmt.Sprintf("user%02d", i); !slow[user] && !seen[user] {
			t.Errorf("%s was never looked up", user)
		}
	}
}

func TestSessionsOfADomainThatNoSourceIsForEnd(t *testing.T) {
	f := newFixture(t)
	clock := f.clock
	gone, ann := identity("GONE.EXAMPLE", "ann"), identity("CORP.EXAMPLE", "ann", `CORP.EXAMPLE\a`)
	ended := []*session.Live{f.start(t, gone, nil), f.start(t, ann, &gone), f.start(t, gone, &ann)}
	kept := []*session.Live{
		f.start(t, ann, nil), f.start(t, identity("VSPHERE.LOCAL", "ann"), nil),
		f.start(t, session.Identity{Name: principal.Extension("com.example"), Extension: true}, nil),
	}
	// A server that knows the domain has started this one. This server gets the new configuration later.
	clock.Advance(time.Minute)
	f.Since = clock.Now()
	kept = append(kept, f.start(t, gone, nil))
	for range 2 {
		f.check(t)
		for i, l := range ended {
			if f.Sessions.Alive(l) {
				t.Errorf("session %d lives", i)
			}
		}
		for i, l := range kept {
			if !f.Sessions.Alive(l) {
				t.Errorf("session %d of a domain with a source, or that began later, has ended", i)
			}
		}
	}
	if log := f.log.String(); strings.Count(log, "no source of the configuration") != 1 ||
		!strings.Contains(log, "GONE.EXAMPLE") || !strings.Contains(log, "sessions=3") {
		t.Errorf("log:\n%s", log)
	}
}

func TestServersOfAClusterCheckTheSessionsOfAll(t *testing.T) {
	clock := testclock.New(time.Time{})
	s := storetest.NewMemory(clock.Now)
	source := &corp{groups: map[string][]string{"ann": {`CORP.EXAMPLE\a`}}}
	one, two := node(t, s, clock, source), node(t, s, clock, source)
	ann := one.start(t, identity("CORP.EXAMPLE", "ann"), nil)
	eve := one.start(t, identity("CORP.EXAMPLE", "eve"), nil)
	if _, err := two.Sessions.Lookup(t.Context(), eve.Key().String()); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for _, n := range []*fixture{one, two} {
		wg.Go(func() {
			if err := n.Check(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := ann.Identity().Groups; !slices.Equal(got, []string{`CORP.EXAMPLE\a`}) || one.Sessions.Alive(eve) {
		t.Errorf("groups of ann: %q; eve lives: %t", got, one.Sessions.Alive(eve))
	}
}
