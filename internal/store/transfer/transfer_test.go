package transfer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/store/bolt"
	"github.com/vigate/vigate/internal/store/storetest"
)

var never time.Time

func memory() store.Store { return storetest.NewMemory(nil) }

func embedded(t *testing.T) store.Store {
	t.Helper()
	s, err := bolt.Open(filepath.Join(t.TempDir(), "store.db"), bolt.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func must(t *testing.T, s store.Store, changes ...store.Change) {
	t.Helper()
	if _, err := s.Commit(t.Context(), changes...); err != nil {
		t.Fatal(err)
	}
}

// filled puts records of all sorts into the store.
func filled(t *testing.T, s store.Store) store.Store {
	t.Helper()
	later := time.Now().Add(time.Hour)
	for i := range 1200 {
		value := []byte(strings.Repeat("v", i))
		must(t, s, store.Put(store.Session, fmt.Sprint("s", i), value, later.Add(time.Duration(i))))
	}
	for i := range 5 {
		must(t, s, store.Append(store.Event, fmt.Append(nil, "event ", i+1), never))
	}
	trim(t, s, 2)
	must(t, s,
		store.Put(store.Setting, "\xff/odd id", make([]byte, maxBytes+1), never),
		store.Put(store.Ticket, "expired", []byte("t"), time.Now().Add(-time.Hour)),
		store.Put(store.Node, "n", []byte("node"), later), store.Put(store.Role, "empty", nil, never))
	return s
}

// events returns the events of the store, with their numbers.
func events(t *testing.T, s store.Store) []string {
	t.Helper()
	var all []string
	_, err := state(t.Context(), s, nil, func(_ context.Context, r store.Record) error {
		if r.Kind == store.Event {
			all = append(all, r.ID[len(r.ID)-2:]+" "+string(r.Value))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// trim removes the first n events of a store that has not removed any.
func trim(t *testing.T, s store.Store, n int) {
	t.Helper()
	records := storetest.Appended(t, s, store.Event)
	var ids []string
	for _, r := range records[:n] {
		ids = append(ids, r.ID)
	}
	must(t, s, store.Numbering{}.Trim(store.Event, 0, uint64(n), ids...)...)
}

func TestACopyHoldsEveryRecordAndGoesOnNumbering(t *testing.T) {
	for name, to := range map[string]store.Store{"bolt": embedded(t), "memory": memory()} {
		t.Run(name, func(t *testing.T) {
			from := filled(t, memory())
			copied, verified := 0, 0
			got, err := Copy(t.Context(), from, to, Options{Progress: func(c, v int) { copied, verified = c, v }})
			if err != nil {
				t.Fatal(err)
			}
			n := got.Records
			if n[store.Session] != 1200 || n[store.Event] != 3 || n[store.Ticket] != 1 || n[store.Node] != 0 {
				t.Errorf("copied %v", got.Records)
			}
			if copied != 1207 || verified != 1207 || got.Changed {
				t.Errorf("%d copied, %d verified, changed %v", copied, verified, got.Changed)
			}
			if _, err := to.Get(t.Context(), store.Node, "n"); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("the node's record was copied: %v", err)
			}
			for _, id := range []string{"s0", "s1199"} {
				want, err := from.Get(t.Context(), store.Session, id)
				if err != nil {
					t.Fatal(err)
				}
				r, err := to.Get(t.Context(), store.Session, id)
				if err != nil || string(r.Value) != string(want.Value) || !r.Expires.Equal(want.Expires) {
					t.Errorf("%s: %d bytes until %v, %v", id, len(r.Value), r.Expires, err)
				}
			}
			must(t, to, store.Append(store.Event, []byte("next"), never))
			want := []string{"03 event 3", "04 event 4", "05 event 5", "06 next"}
			if got := events(t, to); !slices.Equal(got, want) {
				t.Errorf("the events are %q, want %q", got, want)
			}
			again := memory()
			if _, err := Copy(t.Context(), to, again, Options{}); err != nil {
				t.Fatal(err)
			}
			if got := events(t, again); !slices.Equal(got, want) {
				t.Errorf("the events of a copy of the copy are %q, want %q", got, want)
			}
			if n, err := to.Sweep(t.Context(), 10, store.Ticket); err != nil || n != 1 {
				t.Errorf("%d expired tickets swept, %v", n, err)
			}
		})
	}
}

func TestADigestDependsOnEveryPartOfARecord(t *testing.T) {
	at := time.Unix(1, 2)
	seen := map[string]int{}
	for i, records := range [][]store.Record{
		nil,
		{{Kind: store.Session, ID: "ab", Value: []byte("c"), Expires: at}},
		{{Kind: store.Ticket, ID: "ab", Value: []byte("c"), Expires: at}},
		{{Kind: store.Session, ID: "a", Value: []byte("bc"), Expires: at}},
		{{Kind: store.Session, ID: "ab", Value: []byte("d"), Expires: at}},
		{{Kind: store.Session, ID: "ab", Value: []byte("c"), Expires: at.Add(1)}},
		{{Kind: store.Session, ID: "ab", Value: []byte("c")}},
		{{Kind: store.Session, ID: "ab", Value: []byte("c"), Expires: at}, {Kind: store.Session, ID: "x"}},
	} {
		n := newTally()
		for _, r := range records {
			n.add(r)
		}
		if other, ok := seen[n.report().Digest]; ok {
			t.Errorf("%d and %d have one digest", other, i)
		}
		seen[n.report().Digest] = i
	}
	a, b := store.Record{Kind: store.Session, ID: "a"}, store.Record{Kind: store.Session, ID: "b"}
	one, two := newTally(), newTally()
	one.add(a)
	one.add(b)
	two.add(b)
	two.add(a)
	if one.report().Digest != two.report().Digest {
		t.Error("the order counts")
	}
}

// bad is a store with one fault.
type bad struct {
	store.Store
	commit func([]store.Change) []store.Change
	before func() // called before each commit
}

func (b bad) Commit(ctx context.Context, changes ...store.Change) (store.Revision, error) {
	if b.before != nil {
		b.before()
	}
	if b.commit != nil {
		changes = b.commit(changes)
	}
	return b.Store.Commit(ctx, changes...)
}

func TestACopyThatIsNotExactIsAnError(t *testing.T) {
	of := func(k store.Kind, do func(*store.Change)) func([]store.Change) []store.Change {
		return func(changes []store.Change) []store.Change {
			for i := range changes {
				if changes[i].Record.Kind == k {
					do(&changes[i])
				}
			}
			return changes
		}
	}
	session := func(do func(*store.Change)) store.Store {
		return bad{Store: memory(), commit: of(store.Session, do)}
	}
	for name, to := range map[string]store.Store{
		"a value":          session(func(c *store.Change) { c.Record.Value = []byte("X") }),
		"an expiry":        session(func(c *store.Change) { c.Record.Expires = time.Unix(5, 0) }),
		"an id":            session(func(c *store.Change) { c.Record.ID += "X" }),
		"a record is lost": bad{Store: memory(), commit: func(c []store.Change) []store.Change { return c[1:] }},
		"a number": bad{Store: memory(), commit: of(store.Event, func(c *store.Change) {
			c.Record.ID = store.NumberedID(7)
		})},
		"the numbering": bad{Store: memory(), commit: of(store.Numbers, func(c *store.Change) {
			c.Record.Value = store.Numbering{Removed: 2}.Record(store.Event).Value
		})},
		"not empty": filled(t, memory()),
	} {
		from := memory()
		must(t, from, store.Put(store.Session, "a", []byte("1"), never), store.Append(store.Event, []byte("1"), never),
			store.Append(store.Event, []byte("2"), never))
		trim(t, from, 1)
		if _, err := Copy(t.Context(), from, to, Options{}); !errors.Is(err, ErrDiffers) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestASourceThatChangesIsAnErrorUnlessToldOtherwise(t *testing.T) {
	for _, changing := range []bool{false, true} {
		from := filled(t, memory())
		write := func() { must(t, from, store.Append(store.Event, []byte("meanwhile"), never)) }
		to := bad{Store: memory(), before: write}
		r, err := Copy(t.Context(), from, to, Options{Changing: changing})
		switch {
		case changing && (err != nil || !r.Changed || r.Records[store.Event] != 3),
			!changing && !errors.Is(err, ErrChanged):
			t.Errorf("changing %v: %+v, %v", changing, r, err)
			t.Errorf("changing %v: %+v, %v", changing, r, err)
		}
	}
}

func TestAFailedWriteEndsTheCopy(t *testing.T) {
	to := memory()
	to.Close()
	if _, err := Copy(t.Context(), filled(t, memory()), to, Options{}); !errors.Is(err, store.ErrClosed) {
		t.Errorf("Copy = %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	_, err := Copy(ctx, filled(t, memory()), bad{Store: memory(), before: cancel}, Options{})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("an interrupted copy = %v", err)
	}
}

func TestKindsThatAreLeftOutAreCountedAndNotCopied(t *testing.T) {
	from, to := filled(t, memory()), embedded(t)
	got, err := Copy(t.Context(), from, to, Options{Without: []store.Kind{store.Session, store.Ticket, store.Spent}})
	if err != nil {
		t.Fatal(err)
	}
	n := got.Records
	if n[store.Session] != 0 || n[store.Ticket] != 0 || n[store.Event] != 3 || n[store.Setting] != 1 {
		t.Errorf("copied %v", got.Records)
	}
	if len(got.LeftOut) != 2 || got.LeftOut[store.Session] != 1200 || got.LeftOut[store.Ticket] != 1 {
		t.Errorf("left out %v", got.LeftOut)
	}
	if _, err := to.Get(t.Context(), store.Session, "s0"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a session was copied: %v", err)
	}
}

func TestWhatIsAppendedAfterEventsThatWereLeftOutIsNumberedOn(t *testing.T) {
	from, to := filled(t, memory()), embedded(t)
	got, err := Copy(t.Context(), from, to, Options{Without: []store.Kind{store.Event}})
	if err != nil || got.LeftOut[store.Event] != 3 || got.Records[store.Event] != 0 {
		t.Fatalf("%+v, %v", got, err)
	}
	must(t, to, store.Append(store.Event, []byte("next"), never))
	if got, want := events(t, to), []string{"06 next"}; !slices.Equal(got, want) {
		t.Errorf("the events are %q, want %q", got, want)
	}
}

func TestManyEventsOfACopyAreInTheirOrder(t *testing.T) {
	from, to := memory(), embedded(t)
	const n = 3*maxRecords + 7
	for i := 0; i < n; i += 3 {
		var changes []store.Change
		for j := i; j < min(i+3, n); j++ {
			changes = append(changes, store.Append(store.Event, fmt.Append(nil, j), never))
		}
		must(t, from, changes...)
	}
	if _, err := Copy(t.Context(), from, to, Options{}); err != nil {
		t.Fatal(err)
	}
	for i, r := range storetest.Appended(t, to, store.Event) {
		if string(r.Value) != fmt.Sprint(i) || r.ID != store.NumberedID(uint64(i+1)) {
			t.Fatalf("event %d is %q under %q", i, r.Value, r.ID)
		}
	}
}
