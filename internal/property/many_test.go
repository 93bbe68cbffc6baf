package property

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/session"
	"github.com/vigate/vigate/internal/store"
)

// start makes one more session of the user.
func (f *fixture) start(user string) *session.Live {
	l, _, err := f.Sessions.Start(context.Background(), session.Grant{
		Identity: session.Identity{Name: name(user), FullName: user + " of Test"},
		Method:   "test", Locale: "en", MessageLocale: "en",
	})
	if err != nil {
		f.t.Error(err)
	}
	return l
}

// watches waits for changes until the test says that it is over, and counts the
// answers. A wait that a bound refuses is tried again.
func (c *client) watches(over *atomic.Bool, answers, refused *atomic.Int64) {
	version := ""
	for !over.Load() {
		v, fault := c.try(c.pc, "WaitForUpdatesEx", &types.WaitForUpdatesExRequestType{
			Version: version, Options: &types.WaitOptions{MaxWaitSeconds: new(int32(1))},
		})
		switch set, ok := v.(types.UpdateSet); {
		case fault == nil && ok:
			version = set.Version
			answers.Add(1)
		case fault == nil: // nothing within the time
		case fault.Kind() == "LimitExceeded", fault.Detail == nil:
			refused.Add(1)
		default:
			c.t.Errorf("a wait fails with %v", fault)
			return
		}
	}
}

func TestFiltersOverAHundredThousandSessionsKeepNobodyElseOut(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2)) // so that one long call has a turn
	f := newFixture(t)
	for range 100_000 {
		f.start("bob")
	}
	before := heap()
	var over atomic.Bool
	var answers, refused atomic.Int64
	var flood sync.WaitGroup
	c := f.login("Administrator")
	for i := range 3 {
		k := c.collector()
		k.filter(i > 0, spec(sessionManager, "sessionList"))
		flood.Go(func() { k.watches(&over, &answers, &refused) })
	}
	most, seen := int64(0), int64(0)
	for n := 0; n < 100 || answers.Load() < 4; n++ {
		if n%20 == 0 {
			f.start("bob") // news for the filters
		}
		carl := f.login("carl")
		if got := carl.one(sessionManager, "currentSession.userName"); got != name("carl").String() {
			t.Errorf("carl is %v", got)
		}
		carl.end()
		if now := answers.Load(); now > seen {
			seen, most = now, max(most, heap()-before)
		}
		<-time.After(time.Millisecond) // the filters are to have the processors too
	}
	over.Store(true)
	flood.Wait()
	t.Logf("%d answers, %d refused, %d MiB", answers.Load(), refused.Load(), most>>20)
	// Answers of a session 64 MiB, what filters know 16 MiB, and one list that is being
	// looked at, of some 30 MiB.
	if most > 200<<20 {
		t.Errorf("3 filters take %d MiB", most>>20)
	}
}

func TestCollectorsWatchedOverAHundredThousandEventsKeepNobodyElseOut(t *testing.T) {
	f := newFixture(t)
	post := func(n int, kind func(int) event.Event) {
		changes := make([]store.Change, 0, n)
		for i := range n {
			e := kind(i)
			e.User = name("bob").String()
			changes = append(changes, f.Events.Change(e))
		}
		if _, err := f.Mirror.Commit(context.Background(), changes...); err != nil {
			t.Error(err)
		}
	}
	for range 100 {
		post(1000, func(i int) event.Event { // of each part of the log as many as it keeps
			switch part := i % 20; {
			case part < 5:
				return event.Event{Type: "RoleAddedEvent"}
			case part < 9:
				return event.Event{Type: "BadUsernameSessionEvent"}
			case part < 12:
				return event.Event{Type: "SessionEvent"}
			}
			return event.Event{Type: "UserLoginSessionEvent"}
		})
	}
	var over atomic.Bool
	var heard, silent, refused atomic.Int64
	var flood sync.WaitGroup
	for range 2 {
		c := f.login("ann")
		for i := range 60 {
			spec, counts := types.EventFilterSpec{EventTypeId: []string{"com.example.7"}}, &heard
			if i%2 == 0 {
				spec, counts = types.EventFilterSpec{EventTypeId: []string{"com.example.none"}}, &silent
			}
			ref := call[types.ManagedObjectReference](c, eventManager, "CreateCollectorForEvents",
				&types.CreateCollectorForEventsRequestType{Filter: spec})
			k := c.collector()
			k.filter(false, watched(ref))
			flood.Go(func() { k.watches(&over, counts, &refused) })
		}
	}
	flood.Go(func() {
		for !over.Load() {
			post(10, func(i int) event.Event {
				return event.Event{Type: "EventEx", ID: fmt.Sprintf("com.example.%d", i)}
			})
			runtime.Gosched()
		}
	})
	for n := 0; n < 20 || heard.Load() < 200 || silent.Load() < 60; n++ {
		carl := f.login("carl")
		if got := carl.one(sessionManager, "currentSession.userName"); got != name("carl").String() {
			t.Errorf("carl is %v", got)
		}
		carl.end()
	}
	over.Store(true)
	flood.Wait()
	// The first answer is the whole state; after it these collectors hear nothing.
	if n := silent.Load(); n != 60 {
		t.Errorf("60 collectors that no event concerns had %d answers", n)
	}
	if refused.Load() > 0 {
		t.Errorf("%d waits were refused", refused.Load())
	}
}

// watched asks for the latest page of a collector.
func watched(ref types.ManagedObjectReference) types.PropertyFilterSpec {
	return spec(ref, "latestPage")
}
