package event_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/store/bolt"
	"github.com/vigate/vigate/internal/store/storetest"
	"github.com/vigate/vigate/internal/store/transfer"
)

// byUser returns the keys of the log's events by user.
func (b *bench) byUser(t *testing.T) map[string]int32 {
	t.Helper()
	if err := b.m.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	keys := map[string]int32{}
	for _, e := range b.Query(event.Filter{}) {
		if e.ChainID != e.Key {
			t.Errorf("event %d begins chain %d", e.Key, e.ChainID)
		}
		keys[e.User] = e.Key
	}
	return keys
}

func TestAllLogsOfAStoreNumberEachEventTheSame(t *testing.T) {
	const workers, steps = 4, 60
	o := event.Options{Keep: 50}
	a := begin(t, o)
	logs := []*bench{a, beginOn(t, a.store, a.now, o)}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	var mu sync.Mutex // guards all
	all := map[string]int32{}
	note := func(b *bench) {
		for user, key := range b.byUser(t) {
			mu.Lock()
			if was, ok := all[user]; ok && was != key {
				t.Errorf("the event of %s has key %d and had %d", user, key, was)
			}
			all[user] = key
			mu.Unlock()
		}
	}
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			b, rng := logs[w%2], rand.New(rand.NewPCG(seed, uint64(w)))
			for i := range steps {
				var changes []store.Change
				for j := range 1 + rng.IntN(3) {
					changes = append(changes, b.Change(
						event.Event{Type: "SessionEvent", User: fmt.Sprint(w, "-", i, "-", j)}))
				}
				if _, err := b.m.Commit(t.Context(), changes...); err != nil {
					t.Error(err)
				}
				if i%3 == 0 {
					if _, err := b.Trim(t.Context(), b.m, rng.IntN(20), false); err != nil {
						t.Error(err)
					}
				}
				note(b)
			}
		})
	}
	wg.Wait()
	for _, b := range append(logs, beginOn(t, a.store, a.now, o), beginOn(t, a.store, a.now, event.Options{Keep: 20})) {
		note(b)
		if _, err := b.Trim(t.Context(), b.m, 1000, false); err != nil {
			t.Error(err)
		}
	}
	note(beginOn(t, a.store, a.now, o))
	taken := map[int32]string{}
	for user, key := range all {
		if other, ok := taken[key]; ok {
			t.Errorf("%s and %s have key %d", user, other, key)
		}
		taken[key] = user
	}
}

func TestAnUnreadableRecordHasANumberAndIsTrimmed(t *testing.T) {
	b := begin(t, event.Options{Keep: 2})
	bad := store.Append(store.Event, []byte(`{"v":7}`), epoch.Add(time.Hour))
	b.post(t, event.Event{Type: "SessionEvent"})
	if _, err := b.m.Commit(t.Context(), bad, b.Change(event.Event{Type: "SessionEvent"})); err != nil {
		t.Fatal(err)
	}
	same(t, "what follows it", b.Query(event.Filter{}), 3)
	same(t, "to a new log", beginOn(t, b.store, b.now, event.Options{}).Query(event.Filter{}), 1, 3)
	b.post(t, event.Event{Type: "SessionEvent"})
	if n, err := b.Trim(t.Context(), b.m, 10, false); n != 2 || err != nil {
		t.Errorf("trimmed %d, %v", n, err)
	}
	if _, err := b.m.Commit(t.Context(), bad); err != nil {
		t.Fatal(err)
	}
	if e, ok := b.Latest(); !ok || e.Key != 4 {
		t.Errorf("the latest is %+v", e)
	}
	same(t, "in the end", beginOn(t, b.store, b.now, event.Options{}).Query(event.Filter{}), 3, 4)
}

func TestALogWithoutItsNumberingTrimsNothing(t *testing.T) {
	b := begin(t, event.Options{Keep: 1})
	if _, err := b.m.Commit(t.Context(), store.Create(store.Numbers, store.NumberingID(store.Event),
		[]byte("damaged"), time.Time{})); err != nil {
		t.Fatal(err)
	}
	b.post(t, event.Event{Type: "SessionEvent"}, event.Event{Type: "SessionEvent"})
	if n, err := b.Trim(t.Context(), b.m, 10, true); n != 0 || err == nil {
		t.Errorf("trimmed %d, %v", n, err)
	}
}

// counted returns a store's file from an earlier version. It had ten events; the name of each user
// is the number. The earlier version had trimmed the events 1 and 2, and swept 5 and 10, which had
// expired.
func counted(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("testdata/counted.db")
	path := filepath.Join(t.TempDir(), "vigate.db")
	if err == nil {
		err = os.WriteFile(path, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func openFile(t *testing.T, path string, now *time.Time, readOnly bool) *bolt.Store {
	t.Helper()
	s, err := bolt.Open(path, bolt.Options{Now: func() time.Time { return *now },
		Logger: slog.New(slog.DiscardHandler), ReadOnly: readOnly})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestEventsOfAnEarlierVersionKeepTheirNumbers(t *testing.T) {
	now := epoch
	path := counted(t)
	kept := []int32{3, 4, 6, 7, 8, 9}
	s := openFile(t, path, &now, true)
	b := beginOn(t, s, &now, event.Options{})
	same(t, "read", b.Query(event.Filter{}), kept...)
	for user, key := range b.byUser(t) {
		if user != fmt.Sprint("user-", key) {
			t.Errorf("the event of %s has key %d", user, key)
		}
	}
	// A later version makes a copy of the file.
	copied := openFile(t, filepath.Join(t.TempDir(), "copy.db"), &now, false)
	if _, err := transfer.Copy(t.Context(), s, copied, transfer.Options{}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]store.Store{"the file": openFile(t, path, &now, false), "a copy": copied} {
		b := beginOn(t, s, &now, event.Options{Keep: 5})
		same(t, name, b.Query(event.Filter{}), kept[1:]...)
		b.post(t, event.Event{Type: "UserLoginSessionEvent"}, event.Event{Type: "UserLoginSessionEvent"})
		same(t, name+" with new events", b.Query(event.Filter{}), 7, 8, 9, 11, 12)
		if n, err := b.Trim(t.Context(), b.m, 2, false); n != 2 || err != nil {
			t.Errorf("%s: trimmed %d, %v", name, n, err)
		}
		same(t, name+" to a new log", beginOn(t, s, &now, event.Options{}).Query(event.Filter{}), 6, 7, 8, 9, 11, 12)
	}
}

func TestNumbersSurviveACopyToAnotherStoreAndBack(t *testing.T) {
	now := epoch
	b := begin(t, event.Options{Keep: 7})
	for i := range 30 {
		b.post(t, event.Event{Type: "SessionEvent", User: fmt.Sprint("user-", i)})
	}
	if _, err := b.Trim(t.Context(), b.m, 20, false); err != nil {
		t.Fatal(err)
	}
	want := b.byUser(t)
	from := b.store
	for i, to := range []store.Store{
		openFile(t, filepath.Join(t.TempDir(), "1.db"), &now, false), storetest.NewMemory(nil),
		openFile(t, filepath.Join(t.TempDir(), "2.db"), &now, false),
	} {
		if _, err := transfer.Copy(context.Background(), from, to, transfer.Options{}); err != nil {
			t.Fatal(err)
		}
		c := beginOn(t, to, &now, event.Options{Keep: 7})
		if got := c.byUser(t); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("copy %d: %v, want %v", i, got, want)
		}
		c.post(t, event.Event{Type: "SessionEvent", User: fmt.Sprint("copy-", i)})
		if _, err := c.Trim(t.Context(), c.m, 3, false); err != nil {
			t.Fatal(err)
		}
		if got := c.byUser(t)[fmt.Sprint("copy-", i)]; got != int32(31+i) {
			t.Errorf("the event after copy %d has key %d", i, got)
		}
		from, want = to, c.byUser(t)
	}
}
