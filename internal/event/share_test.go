package event_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/store/storetest"
	"github.com/vigate/vigate/internal/store/transfer"
)

// ofParts holds an event of each part of the log.
var ofParts = map[string]event.Event{
	"authority": {Type: "EventEx", ID: "vigate.role.added", User: "admin"},
	"sessions":  {Type: "UserLoginSessionEvent", User: "ann"},
	"failures":  {Type: "BadUsernameSessionEvent", User: "who"},
	"others":    {Type: "GeneralUserEvent", User: "ann"},
}

// marked returns an event of the part with a tag that identifies it.
func marked(part, tag string) event.Event {
	e := ofParts[part]
	e.Tag = tag
	return e
}

// tagged returns the tags and keys of a part's events in the log.
func (b *bench) tagged(part string) []string {
	want, tags := ofParts[part], []string{}
	c, err := b.NewCollector(event.Filter{})
	if err != nil {
		panic(err)
	}
	for {
		page, err := c.ReadNext(event.MaxCount)
		if err != nil {
			panic(err)
		}
		if len(page) == 0 {
			return tags
		}
		for _, e := range page {
			if e.Type == want.Type && e.ID == want.ID {
				tags = append(tags, fmt.Sprint(e.Key, " ", e.Tag))
			}
		}
	}
}

// stored returns the number of records of the kind in the store.
func (b *bench) stored(t *testing.T, kind store.Kind) int {
	t.Helper()
	n := 0
	for _, r := range records(t, b.store) {
		if r.Kind == kind {
			n++
		}
	}
	return n
}

func records(t *testing.T, s store.Store) []store.Record {
	t.Helper()
	var all []store.Record
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	err := s.Watch(ctx, func(b store.Batch) error {
		for _, d := range b.Deltas {
			all = append(all, d.Record)
		}
		if b.Whole {
			cancel()
		}
		return nil
	})
	if err == nil || t.Context().Err() != nil {
		t.Fatal(err)
	}
	return all
}

// trimAll removes all events that can be removed. It syncs first, because Trim leaves the work to
// another log that has trimmed since the last update.
func (b *bench) trimAll(t *testing.T, expired bool) {
	t.Helper()
	if err := b.m.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Trim(t.Context(), b.m, 1<<20, expired); err != nil {
		t.Fatal(err)
	}
}

func TestEventsOfOnePartOfTheLogEvictNoneOfAnother(t *testing.T) {
	const keep = 20
	for flood := range ofParts {
		b := begin(t, event.Options{Keep: keep})
		for i := range 7 {
			for _, part := range slices.Sorted(maps.Keys(ofParts)) {
				b.post(t, marked(part, fmt.Sprint(i)))
			}
		}
		want := map[string][]string{}
		for part := range ofParts {
			if want[part] = b.tagged(part); len(want[part]) != 7 {
				t.Fatalf("%s: %q", part, want[part])
			}
		}
		for i := range 500 {
			b.post(t, marked(flood, fmt.Sprint("flood ", i)))
			if i%50 == 0 {
				b.trimAll(t, false)
			}
		}
		b.trimAll(t, false)
		if n := b.stored(t, store.Event) + b.stored(t, store.KeptEvent); n > 3*keep {
			t.Errorf("%s: %d events are stored", flood, n)
		}
		to := storetest.NewMemory(nil)
		if _, err := transfer.Copy(t.Context(), b.store, to, transfer.Options{}); err != nil {
			t.Fatal(err)
		}
		for name, b := range map[string]*bench{
			"the log": b, "a log that begins then": beginOn(t, b.store, b.now, event.Options{Keep: keep}),
			"a log of a copy": beginOn(t, to, b.now, event.Options{Keep: keep}),
		} {
			for part := range ofParts {
				got := b.tagged(part)
				if part == flood {
					if len(got) != keep || !strings.HasSuffix(got[keep-1], " flood 499") ||
						!strings.HasSuffix(got[0], " flood 480") {
						t.Errorf("%s, flooded with %s: %q", name, flood, got)
					}
				} else if !slices.Equal(got, want[part]) {
					t.Errorf("%s, flooded with %s: %s are %q, want %q", name, flood, part, got, want[part])
				}
			}
		}
	}
}

// Independently of which server trims and when, each log of a store shows the newest events of each
// part with their original numbers.
func TestAllLogsOfAStoreKeepTheSameEventsWithTheSameNumbers(t *testing.T) {
	const keep, steps = 6, 3000
	parts := slices.Sorted(maps.Keys(ofParts))
	for round := range 4 {
		seed := rand.Uint64()
		t.Logf("round %d: seed %d", round, seed)
		rng := rand.New(rand.NewPCG(seed, 1))
		a := begin(t, event.Options{Keep: keep, Retention: time.Hour})
		logs := []*bench{a, beginOn(t, a.store, a.now, event.Options{Keep: keep, Retention: time.Hour})}
		model := map[string][]string{}
		next := 0
		for range steps {
			b := logs[rng.IntN(2)]
			// Most events belong to one part for a while.
			part := parts[rng.IntN(4)]
			if rng.IntN(10) > 0 {
				part = parts[round]
			}
			next++
			b.post(t, marked(part, fmt.Sprint(next)))
			model[part] = append(model[part], fmt.Sprint(next, " ", next))
			if n := len(model[part]); n > keep {
				model[part] = model[part][n-keep:]
			}
			if rng.IntN(20) == 0 {
				if _, err := b.Trim(t.Context(), b.m, 1+rng.IntN(30), false); err != nil {
					t.Fatal(err)
				}
			}
			if rng.IntN(50) > 0 {
				continue
			}
			b = logs[rng.IntN(2)]
			if rng.IntN(3) == 0 {
				b = beginOn(t, a.store, a.now, event.Options{Keep: keep, Retention: time.Hour})
			}
			if err := b.m.Sync(t.Context()); err != nil {
				t.Fatal(err)
			}
			for _, part := range parts {
				if got := b.tagged(part); !slices.Equal(got, model[part]) {
					t.Fatalf("after %d events %s are %q, want %q", next, part, got, model[part])
				}
			}
		}
		a.trimAll(t, false)
		if n := a.stored(t, store.Event) + a.stored(t, store.KeptEvent); n > 5*keep {
			t.Errorf("%d events are stored", n)
		}
		// Moved events expire as well.
		*a.now = epoch.Add(time.Hour)
		a.trimAll(t, true)
		if _, err := a.store.Sweep(t.Context(), 1000, store.KeptEvent); err != nil {
			t.Fatal(err)
		}
		if n := a.stored(t, store.Event) + a.stored(t, store.KeptEvent); n > 0 {
			t.Errorf("%d events are stored that have expired", n)
		}
		logs = append(logs, beginOn(t, a.store, a.now, event.Options{Keep: keep}))
		for _, b := range logs {
			if err := b.m.Sync(t.Context()); err != nil {
				t.Fatal(err)
			}
			if n := b.Size(); n > 0 {
				t.Errorf("%d events are left", n)
			}
		}
		for _, b := range logs {
			b.post(t, event.Event{Type: "SessionEvent"})
			next++
			if e, ok := b.Latest(); !ok || int(e.Key) != next {
				t.Errorf("the next event is %+v, want number %d", e, next)
			}
		}
	}
}

func TestTheLogIsBoundedInBytes(t *testing.T) {
	long := strings.Repeat("x", 4000)
	b := begin(t, event.Options{KeepBytes: 50_000})
	b.post(t, marked("authority", "first"))
	for i := range 200 {
		e := marked("others", fmt.Sprint(i))
		e.Message = long
		b.post(t, e)
	}
	got := b.tagged("others")
	if len(got) < 10 || len(got) > 12 || !strings.HasSuffix(got[len(got)-1], " 199") {
		t.Errorf("%d long events are kept: %q", len(got), got)
	}
	if got := b.tagged("authority"); len(got) != 1 {
		t.Errorf("authority %q", got)
	}
	b.trimAll(t, false)
	size := 0
	for _, r := range records(t, b.store) {
		size += len(r.Value)
	}
	if size > 110_000 || b.stored(t, store.KeptEvent) != 1 {
		t.Errorf("%d bytes and %d moved events are stored", size, b.stored(t, store.KeptEvent))
	}
	other := beginOn(t, b.store, b.now, event.Options{KeepBytes: 50_000})
	if again := other.tagged("others"); !slices.Equal(again, got) {
		t.Errorf("a log that begins then has %q, want %q", again, got)
	}
	path := filepath.Join(t.TempDir(), "copy.db")
	copied := openFile(t, path, b.now, false)
	if _, err := transfer.Copy(t.Context(), b.store, copied, transfer.Options{}); err != nil {
		t.Fatal(err)
	}
	if again := beginOn(t, copied, b.now, event.Options{KeepBytes: 50_000}).tagged("others"); !slices.Equal(again,
		got) {
		t.Errorf("a copy has %q, want %q", again, got)
	}
}

func TestOneEventIsBoundedInBytes(t *testing.T) {
	l := event.NewLog(event.Options{})
	for _, c := range []string{"x", "<", `"`, `\`, "\n", "é", "\u2028", "\xff", "\x00", "日"} {
		huge := strings.Repeat(c, 100_000)
		args := map[string]string{}
		for i := range 100 {
			args[fmt.Sprintf("%03d", i)+huge] = huge
		}
		r := l.Change(event.Event{
			Type: huge, ID: huge, User: huge, Origin: huge, SessionID: huge, Address: huge, UserAgent: huge,
			Locale: huge, Subject: huge, Severity: huge,
			Tag: huge, Message: huge, PrevMessage: huge, Args: args,
		}).Record
		if len(r.Value) > event.MaxStored {
			t.Errorf("of %q: %d bytes", c, len(r.Value))
		}
		r.ID = store.NumberedID(1)
		if l.View().Put(r); l.Damaged() > 0 {
			t.Errorf("of %q: it can't be read", c)
		}
	}
}

// The cached page of a collector must equal that of the whole log also while one part evicts its
// own events.
func TestTheLatestPageIsCorrectWhileOnePartIsFlooded(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	parts := slices.Sorted(maps.Keys(ofParts))
	for round := range 100 {
		b := begin(t, event.Options{Keep: 5})
		f := event.Filter{MaxCount: 1 + rng.IntN(12)}
		if rng.IntN(2) == 0 {
			f.Users = &event.Users{Keys: []string{"ann", "admin"}}
		}
		c := collect(t, b.Log, f)
		for i := range 60 {
			part := parts[rng.IntN(4)]
			if rng.IntN(4) > 0 {
				part = parts[round%4]
			}
			b.post(t, marked(part, fmt.Sprint(i)))
			if rng.IntN(10) == 0 {
				b.trimAll(t, false)
			}
			if got, want := keys(c.LatestPage()), keys(collect(t, b.Log, f).LatestPage()); !slices.Equal(got, want) {
				t.Fatalf("round %d, event %d: %v, want %v", round, i, got, want)
			}
		}
	}
}

func TestADamagedKeptEventIsSkippedAndNotDeleted(t *testing.T) {
	b := begin(t, event.Options{Keep: 3})
	b.post(t, event.Event{Type: "SessionEvent"})
	for id, value := range map[string]string{"nonsense": string(plain(1).Value), store.NumberedID(1): "{"} {
		if _, err := b.m.Commit(t.Context(), store.Put(store.KeptEvent, id, []byte(value), time.Time{})); err != nil {
			t.Fatal(err)
		}
	}
	if n := b.Damaged(); n != 2 {
		t.Errorf("%d damaged", n)
	}
	same(t, "query", b.Query(event.Filter{}), 1)
	b.trimAll(t, true)
	if n := b.stored(t, store.KeptEvent); n != 2 {
		t.Errorf("%d records are left", n)
	}
}
