package note

import (
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/store/storetest"
	"github.com/vigate/vigate/internal/testclock"
)

// open returns the book of a process on the store. All other processes are running.
func open(t *testing.T, s store.Store, node string, clock *testclock.Clock) *Book {
	t.Helper()
	b := New(Options{
		Node: node, Alive: func(string) bool { return true }, Now: clock.Now, Logger: slog.New(slog.DiscardHandler),
	})
	m := store.NewMirror(s, b.View())
	b.Attach(m)
	storetest.Follow(t, m)
	return b
}

func always() error { return nil }

func login(t *testing.T, b *Book, user string, outcome Outcome) error {
	t.Helper()
	try, err := b.Begin(t.Context(), "lab", user, always)
	if err != nil {
		return err
	}
	if err := try.End(t.Context(), outcome, nil, time.Time{}); err != nil {
		t.Error(err)
	}
	return nil
}

func TestFailuresOfAllProcessesCountTogether(t *testing.T) {
	clock := testclock.New(time.Time{})
	s := storetest.NewMemory(clock.Now)
	a, b := open(t, s, "a", clock), open(t, s, "b", clock)
	for i := range MaxRefused {
		if err := login(t, []*Book{a, b}[i%2], "ann", []Outcome{Refused, Unknown}[i/2]); err != nil {
			t.Fatal(err)
		}
		clock.Advance(time.Minute)
	}
	var budget *BudgetError
	for _, book := range []*Book{a, b, open(t, s, "c", clock)} {
		if err := login(t, book, "Ann", Unsent); !errors.As(err, &budget) {
			t.Fatalf("got %v, want a BudgetError", err)
		}
	}
	if err := login(t, a, "bob", Accepted); err != nil {
		t.Errorf("another user can't log in: %v", err)
	}
	clock.Set(budget.Until)
	if err := login(t, b, "ann", Accepted); err != nil {
		t.Errorf("after the window: %v", err)
	}
	for range MaxRefused {
		if err := login(t, a, "ann", Refused); err != nil {
			t.Errorf("after a success: %v", err)
		}
	}
}

func TestLoginsThatTheUpstreamHasNotSeenDontCount(t *testing.T) {
	clock := testclock.New(time.Time{})
	b := open(t, storetest.NewMemory(clock.Now), "a", clock)
	for range 3 * MaxRefused {
		if err := login(t, b, "ann", Unsent); err != nil {
			t.Fatal(err)
		}
	}
}

func TestALoginThatWasInterruptedCountsAsFailed(t *testing.T) {
	clock := testclock.New(time.Time{})
	s := storetest.NewMemory(clock.Now)
	for i := range MaxRefused { // processes that are killed during their logins, one after the other
		b := New(Options{Node: string(rune('a' + i)), Now: clock.Now})
		m := store.NewMirror(s, b.View())
		b.Attach(m)
		storetest.Follow(t, m)
		if _, err := b.Begin(t.Context(), "lab", "ann", always); err != nil {
			t.Fatal(err)
		}
	}
	var budget *BudgetError
	b := New(Options{Now: clock.Now})
	m := store.NewMirror(s, b.View())
	b.Attach(m)
	storetest.Follow(t, m)
	if err := login(t, b, "ann", Refused); !errors.As(err, &budget) {
		t.Errorf("got %v, want a BudgetError", err)
	}
}

func TestOneLoginOfAUserAtATime(t *testing.T) {
	clock := testclock.New(time.Time{})
	s := storetest.NewMemory(clock.Now)
	var mu sync.Mutex // guards running and most
	running, most := 0, 0
	var group sync.WaitGroup
	for _, b := range []*Book{open(t, s, "a", clock), open(t, s, "b", clock)} {
		for range 5 {
			group.Go(func() {
				try, err := b.Begin(t.Context(), "lab", "ann", always)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				running++
				most = max(most, running)
				mu.Unlock()
				mu.Lock()
				running--
				mu.Unlock()
				if err := try.End(t.Context(), Accepted, nil, time.Time{}); err != nil {
					t.Error(err)
				}
			})
		}
	}
	group.Wait()
	if most != 1 {
		t.Errorf("%d logins at a time", most)
	}
}

func TestKeysOfProcessesThatAreNotRunningAreOrphans(t *testing.T) {
	clock := testclock.New(time.Time{})
	s := storetest.NewMemory(clock.Now)
	a := open(t, s, "a", clock)
	try, err := a.Begin(t.Context(), "lab", "ann", always)
	if err != nil {
		t.Fatal(err)
	}
	key := Key{Upstream: "lab", Account: "ann", Key: secret.New("52-key"), Since: clock.Now()}
	if err := try.End(t.Context(), Accepted, &key, clock.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if n := len(open(t, s, "b", clock).Orphans("lab")); n != 0 {
		t.Fatalf("%d orphans of a running process", n)
	}
	c, d := New(Options{Node: "c", Now: clock.Now}), New(Options{Node: "d", Now: clock.Now})
	claimed := 0
	for _, b := range []*Book{c, d} {
		m := store.NewMirror(s, b.View())
		b.Attach(m)
		storetest.Follow(t, m)
	}
	first, second := c.Orphans("lab"), d.Orphans("lab")
	if len(first) != 1 || first[0].Key.Reveal() != "52-key" || first[0].Account != "ann" ||
		len(c.Orphans("other")) != 0 {
		t.Fatalf("the orphans are %v", first)
	}
	for i, b := range []*Book{c, d} {
		ok, err := b.Claim(t.Context(), [][]Key{first, second}[i][0], clock.Now().Add(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		if ok {
			claimed++
		}
	}
	if claimed != 1 {
		t.Errorf("%d processes have claimed the orphan", claimed)
	}
	if err := d.Forget(t.Context(), first[0].ID); err != nil {
		t.Fatal(err)
	}
	if d.Count("lab") != 0 {
		t.Error("the note is still there")
	}
}

func TestANameMayBeLongerThanAnIDOfTheStore(t *testing.T) {
	clock := testclock.New(time.Time{})
	b := open(t, storetest.NewMemory(clock.Now), "a", clock)
	if err := login(t, b, strings.Repeat("x", 600), Refused); err != nil {
		t.Error(err)
	}
}
