package login

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/setting"
	"github.com/vigate/vigate/internal/store"
)

// reported returns the numbers of failed logins in the events about counted logins, by network.
func (f *fixture) reported(t *testing.T) map[string]int64 {
	t.Helper()
	if err := f.reports.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	found := map[string]int64{}
	for _, e := range f.Events.Query(event.Filter{IDs: []string{"vigate.login.failed"}}) {
		found[e.Address] += e.CallCount
	}
	return found
}

func TestFailedLoginsOfOneNetworkBeyondARateGetOneEvent(t *testing.T) {
	f := newFixture(t)
	begin := f.clock.Now()
	for i := range 500 {
		_ = f.try(t, from(fmt.Sprintf("2001:db8::%x", i), fmt.Sprint("made up ", i), "wrong"))
		if i == 99 {
			f.clock.Advance(time.Second)
		}
	}
	each := len(f.posted("BadUsernameSessionEvent"))
	if each != eachBurst {
		t.Errorf("%d events of failed logins one by one", each)
	}
	if more := f.reported(t); len(more) != 1 || more["2001:db8::/64"] != int64(500-each) {
		t.Errorf("counted: %v", more)
	}
	e, _ := f.Events.Latest()
	if !e.LoginTime.Equal(begin) || e.User != "" || event.Category(e) != "error" {
		t.Errorf("event %+v", e)
	}
	// No failure is reported twice.
	if more := f.reported(t); more["2001:db8::/64"] != int64(500-each) {
		t.Errorf("told again: %v", more)
	}
	// Meanwhile, the failures of another network get an event each.
	_ = f.try(t, from(addr, "administrator", "wrong"))
	if n := len(f.posted("BadUsernameSessionEvent")); n != each+1 {
		t.Errorf("%d events, want one of another network besides %d", n, each)
	}
	// After ten seconds, the first network may cause one more event.
	f.clock.Advance(eachRefill)
	for range 10 {
		_ = f.try(t, from("2001:db8::1", "made up", "wrong"))
	}
	if n := len(f.posted("BadUsernameSessionEvent")); n != each+2 {
		t.Errorf("%d events, want one more of the first network besides %d", n, each+1)
	}
}

func TestEveryKindOfFailedLoginIsCounted(t *testing.T) {
	f := newFixture(t)
	l, _, err := f.Login(t.Context(), from(addr, "administrator", "right"), nil)
	if err != nil {
		t.Fatal(err)
	}
	before := f.Events.Size()
	for range 2 * eachBurst {
		if _, _, err := f.Login(t.Context(), from(addr, "administrator", "right"), l); !errors.Is(err, ErrRejected) {
			t.Fatal(err)
		}
		if err := f.try(t, from(addr, "nobody", "right")); !errors.Is(err, ErrNoAccess) {
			t.Fatal(err)
		}
	}
	if n := f.Events.Size() - before; n != eachBurst {
		t.Errorf("%d events", n)
	}
	if more := f.reported(t); more[addr] != 3*eachBurst {
		t.Errorf("counted: %v", more)
	}
}

func TestLocksThatBeginWhileFailuresAreCountedAreToldWithThem(t *testing.T) {
	f := newFixture(t)
	f.values.Address = setting.Lockout{}
	for i := range eachBurst {
		_ = f.try(t, from(addr, fmt.Sprint("made up ", i), "wrong"))
	}
	writes := f.mirror.Applied()
	for range 6 {
		_ = f.try(t, from(addr, "administrator", "wrong"))
	}
	if f.mirror.Applied() != writes {
		t.Error("a lock that begins is written at once: it shows in the time of the answer")
	}
	began := f.clock.Now()
	f.clock.Advance(time.Minute)
	more := f.reported(t)
	locks := f.Events.Query(event.Filter{IDs: []string{"vigate.account.locked"}})
	if len(locks) != 1 || !strings.Contains(locks[0].Subject, "dministrator from "+addr) ||
		!locks[0].Created.Equal(began) {
		t.Errorf("locks %+v", locks)
	}
	if more[addr] != 6 {
		t.Errorf("counted: %v", more)
	}
}

func TestFailedLoginsFromManyNetworksPostFewEvents(t *testing.T) {
	f := newFixture(t)
	r := f.reports
	const networks = 5000
	for i := range networks {
		for range 1 + i/4000 {
			r.post(t.Context(), fmt.Sprint("network ", i), event.Event{Type: "BadUsernameSessionEvent"})
		}
	}
	if n := f.Events.Size(); n > allBurst+10 {
		t.Errorf("%d events", n)
	}
	r.mu.Lock()
	tallies := len(r.more)
	r.mu.Unlock()
	if tallies > maxTallies+1 {
		t.Errorf("%d networks are counted apart", tallies)
	}
	one := int64(len(f.Events.Query(event.Filter{MaxCount: 1000, Types: []string{"BadUsernameSessionEvent"}})))
	before := f.Events.Size()
	more, total := f.reported(t), int64(0)
	for _, n := range more {
		total += n
	}
	if one == 0 || total != networks+networks/5-allBurst {
		t.Errorf("%d were told, of which %v by counting", total, more)
	}
	if n := f.Events.Size() - before; n > maxTold+1 || more[otherNetworks] == 0 {
		t.Errorf("%d events tell of them: %v", n, more)
	}
}

// failing is a store that can't be written.
type failing struct {
	store.Store
	broken bool
}

func (s *failing) Commit(ctx context.Context, changes ...store.Change) (store.Revision, error) {
	if s.broken {
		return 0, store.ErrUnavailable
	}
	return s.Store.Commit(ctx, changes...)
}

func TestWhatWasCountedIsToldOnceTheStoreTakesIt(t *testing.T) {
	s := &failing{}
	f := newFixtureOn(t, func(in store.Store) store.Store { s.Store = in; return s })
	lock := event.Event{Type: "EventEx", ID: "vigate.account.locked"}
	for range eachBurst + 3 {
		f.reports.post(t.Context(), addr, event.Event{Type: "BadUsernameSessionEvent"}, lock)
	}
	before := len(f.posted("EventEx"))
	s.broken = true
	if err := f.reports.Flush(t.Context()); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Flush = %v", err)
	}
	f.reports.post(t.Context(), addr, event.Event{Type: "BadUsernameSessionEvent"}, lock)
	s.broken = false
	if more := f.reported(t); more[addr] != 4 {
		t.Errorf("counted: %v", more)
	}
	posted := f.posted("EventEx")
	counted := func(e event.Event) bool { return e.ID == "vigate.login.failed" }
	if n := len(posted) - before; n != 5 || !slices.ContainsFunc(posted[before:], counted) {
		t.Errorf("%d events: %+v", n, posted[before:])
	}
}
