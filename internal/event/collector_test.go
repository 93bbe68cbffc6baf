package event_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/store"
)

// numbered returns a log with the events from and to, and all between them.
func numbered(from, to uint64) *event.Log {
	l := event.NewLog(event.Options{})
	for seq := from; seq <= to; seq++ {
		l.View().Put(plain(seq))
	}
	return l
}

func collect(t *testing.T, l *event.Log, f event.Filter) *event.Collector {
	t.Helper()
	c, err := l.NewCollector(f)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// read reads a page and returns its keys.
func read(t *testing.T, page func(int) ([]event.Event, error), n int) []event.Event {
	t.Helper()
	got, err := page(n)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestACollectorReadsFromTheOldestToTheNewestAndBack(t *testing.T) {
	l := numbered(1, 7)
	c := collect(t, l, event.Filter{})
	same(t, "before the oldest is nothing", read(t, c.ReadPrevious, 3))
	same(t, "first page", read(t, c.ReadNext, 3), 1, 2, 3)
	same(t, "second page", read(t, c.ReadNext, 3), 4, 5, 6)
	same(t, "third page", read(t, c.ReadNext, 3), 7)
	same(t, "the end", read(t, c.ReadNext, 3))
	l.View().Put(plain(8))
	same(t, "a new event", read(t, c.ReadNext, 3), 8)
	same(t, "back", read(t, c.ReadPrevious, 3), 8, 7, 6)
	same(t, "forth", read(t, c.ReadNext, 1), 6)
	same(t, "all the way back", read(t, c.ReadPrevious, 100), 6, 5, 4, 3, 2, 1)
	same(t, "the head", read(t, c.ReadPrevious, 100))
	c.Rewind()
	same(t, "after a rewind", read(t, c.ReadNext, 2), 1, 2)
}

func TestResetMovesRightBeforeTheLatestPage(t *testing.T) {
	l := numbered(1, 15)
	c := collect(t, l, event.Filter{})
	same(t, "latest page", c.LatestPage(), 15, 14, 13, 12, 11, 10, 9, 8, 7, 6)
	c.Reset()
	same(t, "older than the page", read(t, c.ReadPrevious, 100), 5, 4, 3, 2, 1)
	c.Reset()
	same(t, "the page and on", read(t, c.ReadNext, 100), 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
	if err := c.SetPageSize(2); err != nil {
		t.Fatal(err)
	}
	same(t, "smaller page", c.LatestPage(), 15, 14)
	c.Reset()
	same(t, "before the smaller page", read(t, c.ReadPrevious, 1), 13)
}

func TestTheLatestPageFollowsTheLogAndMovesNothing(t *testing.T) {
	l := numbered(1, 2)
	c := collect(t, l, event.Filter{MaxCount: 2})
	same(t, "position", read(t, c.ReadNext, 1), 1)
	l.View().Put(plain(3))
	same(t, "latest page", c.LatestPage(), 3, 2)
	same(t, "position stays", read(t, c.ReadNext, 1), 2)
}

func TestACollectorSeesOnlyWhatItsFilterSelects(t *testing.T) {
	b := story(t)
	c := collect(t, b.Log, event.Filter{Types: []string{"SessionEvent"}, MaxCount: 2})
	same(t, "latest page", c.LatestPage(), 3, 2)
	same(t, "next", read(t, c.ReadNext, 2), 1, 2)
	same(t, "next", read(t, c.ReadNext, 2), 3)
	b.post(t, event.Event{Type: "EventEx", ID: "x"})
	same(t, "an event of another type", read(t, c.ReadNext, 2))
	c.Reset()
	same(t, "previous", read(t, c.ReadPrevious, 2), 1)
	if got := c.Filter().Types; !slices.Equal(got, []string{"SessionEvent"}) {
		t.Errorf("filter %v", got)
	}
}

func TestACollectorOfAnEmptyLogWaitsForTheFirstEvent(t *testing.T) {
	l := event.NewLog(event.Options{})
	c := collect(t, l, event.Filter{})
	c.Reset()
	same(t, "empty log", read(t, c.ReadNext, 1))
	l.View().Put(plain(1))
	same(t, "first event", read(t, c.ReadNext, 1), 1)

	c = collect(t, numbered(1, 3), event.Filter{Types: []string{"RoleEvent"}})
	c.Reset()
	same(t, "nothing selected", c.LatestPage())
	same(t, "nothing before", read(t, c.ReadPrevious, 1))
}

func TestAPositionSurvivesTrimming(t *testing.T) {
	l := numbered(1, 10)
	c := collect(t, l, event.Filter{})
	same(t, "first page", read(t, c.ReadNext, 3), 1, 2, 3)
	for _, seq := range []uint64{1, 2, 3, 4, 5, 7} {
		l.View().Delete(store.Event, store.NumberedID(seq))
	}
	same(t, "what is left behind it", read(t, c.ReadNext, 2), 6, 8)
	same(t, "and before it", read(t, c.ReadPrevious, 5), 8, 6)
}

func TestPagesHaveOneToAThousandEvents(t *testing.T) {
	c := collect(t, numbered(1, 1), event.Filter{})
	for _, n := range []int{0, -1, 1001} {
		if err := c.SetPageSize(n); !errors.Is(err, event.ErrMaxCount) {
			t.Errorf("page size %d: %v", n, err)
		}
		if _, err := c.ReadNext(n); !errors.Is(err, event.ErrMaxCount) {
			t.Errorf("next %d: %v", n, err)
		}
		if _, err := c.ReadPrevious(n); !errors.Is(err, event.ErrMaxCount) {
			t.Errorf("previous %d: %v", n, err)
		}
	}
	if err := c.SetPageSize(1000); err != nil {
		t.Error(err)
	}
	same(t, "a refused read moves nothing", read(t, c.ReadNext, 1000), 1)
}
