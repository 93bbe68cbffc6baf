package event_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/store"
)

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// of returns the record of an event with a type and a number.
func of(typ string, seq uint64) store.Record {
	c := event.NewLog(event.Options{}).Change(event.Event{Type: typ, User: "u", Created: time.Unix(int64(seq), 0)})
	return store.Record{Kind: store.Event, ID: store.NumberedID(seq), Value: c.Record.Value}
}

func TestAWaitOnACollectorEndsAtTheNextSelectedEvent(t *testing.T) {
	l := event.NewLog(event.Options{})
	c := collect(t, l, event.Filter{Types: []string{"SessionEvent"}})
	changed := c.Changed()
	if c.Changed() != changed {
		t.Error("two waiters have two channels")
	}
	l.View().Put(of("GeneralUserEvent", 1))
	if isClosed(changed) {
		t.Error("woken by an event that the filter does not select")
	}
	l.View().Put(of("UserLoginSessionEvent", 2))
	if !isClosed(changed) {
		t.Error("not woken by an event that the filter selects")
	}
	same(t, "the page", c.LatestPage(), 2)
	for name, change := range map[string]func(){
		"another page size": func() {
			if err := c.SetPageSize(5); err != nil {
				t.Error(err)
			}
		},
		"another whole state": func() { l.View().Reset(); l.View().Whole() },
	} {
		changed := c.Changed()
		if change(); !isClosed(changed) {
			t.Errorf("not woken by %s", name)
		}
	}
	changed = c.Changed()
	if c.Close(); !isClosed(changed) {
		t.Error("not woken by its end")
	}
	if n := l.Watched(); n != 0 {
		t.Errorf("%d collectors are still watched", n)
	}
	changed = c.Changed() // by a late reader
	l.View().Put(of("GeneralUserEvent", 3))
	if !isClosed(changed) || l.Watched() != 0 {
		t.Error("a collector that has ended is watched")
	}
}

func TestCollectorsBeyondTheBoundAreWokenByEveryEvent(t *testing.T) {
	l := event.NewLog(event.Options{})
	none := event.Filter{Types: []string{"RoleEvent"}}
	for range event.MaxWatched {
		collect(t, l, none).Changed()
	}
	changed := collect(t, l, none).Changed()
	l.View().Put(of("GeneralUserEvent", 1))
	if !isClosed(changed) || l.Watched() != event.MaxWatched {
		t.Errorf("%d are watched", l.Watched())
	}
}

// The cached page of a collector must equal the result of a scan of the whole log.
func TestTheLatestPageIsCorrectAfterAnyChanges(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	types := []string{"UserLoginSessionEvent", "UserLogoutSessionEvent", "GeneralUserEvent"}
	for round := range 200 {
		now := time.Unix(1_000_000, 0)
		l := event.NewLog(event.Options{Keep: 30, Now: func() time.Time { return now }})
		f := event.Filter{Types: []string{types[random.IntN(3)]}, MaxCount: 1 + random.IntN(5)}
		c := collect(t, l, f)
		next := uint64(0)
		put := func(seq uint64) {
			r := of(types[random.IntN(3)], seq)
			if random.IntN(3) == 0 {
				r.Expires = now.Add(time.Duration(random.IntN(20)) * time.Second)
			}
			l.View().Put(r)
		}
		for range 60 {
			switch k := random.IntN(20); {
			case k < 12:
				next += 1 + uint64(random.IntN(2))
				put(next)
			case k < 14 && next > 3:
				put(next - uint64(random.IntN(3))) // out of order, or a second time
			case k < 16 && next > 0:
				l.View().Delete(store.Event, store.NumberedID(1+random.Uint64N(next)))
			case k == 16:
				f.MaxCount = 1 + random.IntN(5)
				if err := c.SetPageSize(f.MaxCount); err != nil {
					t.Fatal(err)
				}
			case k == 17:
				now = now.Add(5 * time.Second)
			case k == 18 && random.IntN(5) == 0:
				l.View().Reset()
				for seq := uint64(1); seq <= next; seq += 2 {
					put(seq)
				}
				l.View().Whole()
			}
			want := collect(t, l, f).LatestPage()
			if got := c.LatestPage(); !slices.EqualFunc(got, want,
				func(a, b event.Event) bool { return a.Key == b.Key && a.Type == b.Type }) {
				t.Fatalf("round %d: got %v, want %v", round, keys(got), keys(want))
			}
		}
	}
}

func TestOnlyNewEventsAreCheckedForACachedPage(t *testing.T) {
	l := numbered(1, 1000)
	c := collect(t, l, event.Filter{Types: []string{"NoSuchEvent"}})
	c.LatestPage()
	l.View().Put(plain(1001))
	c.LatestPage()
	if whole, upTo := c.Known(); whole != 1 || upTo != 1001 {
		t.Errorf("the whole log was scanned %d times, and the page is cached up to %d", whole, upTo)
	}
}

func TestALongFilterSelectsLikeAShortOne(t *testing.T) {
	l := event.NewLog(event.Options{})
	l.View().Put(of("UserLoginSessionEvent", 1))
	l.View().Put(of("GeneralUserEvent", 2))
	var many []string
	for i := range 100_000 {
		many = append(many, fmt.Sprint("vim.event.Other", i))
	}
	for _, f := range []event.Filter{
		{Types: append(many, "vim.event.SessionEvent")}, {IDs: append(many, "SessionEvent")},
	} {
		same(t, "selected", l.Query(f), 1)
	}
	same(t, "nothing", l.Query(event.Filter{Types: many}))
	same(t, "all", l.Query(event.Filter{Types: append(many, "Event")}), 1, 2)
}
