package transfer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/store/bolt"
	"github.com/vigate/vigate/internal/store/storetest"
)

var never time.Time

func memory() Store { return storetest.NewMemory(nil).(Store) }

func embedded(t *testing.T) Store {
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
func filled(t *testing.T, s Store) Store {
	t.Helper()
	later := time.Now().Add(time.Hour)
	for i := range 1200 {
		must(t, s, store.Put(store.Session, fmt.Sprint("s", i), []byte(strings.Repeat("v", i)), later.Add(time.Duration(i))))
	}
	for range 5 {
		must(t, s, store.Append(store.Event, []byte("event"), never))
	}
	must(t, s, store.Delete(store.Event, store.SequenceID(5)), store.Delete(store.Event, store.SequenceID(2)),
		store.Put(store.Setting, "\xff/odd id", make([]byte, maxBytes+1), never),
		store.Put(store.Ticket, "expired", []byte("t"), time.Now().Add(-time.Hour)),
		store.Put(store.Node, "n", []byte("node"), later), store.Put(store.Role, "empty", nil, never))
	return s
}

func TestACopyHoldsEveryRecordAndGoesOnNumbering(t *testing.T) {
	for name, to := range map[string]Store{"bolt": embedded(t), "memory": memory()} {
		t.Run(name, func(t *testing.T) {
			from := filled(t, memory())
			copied, verified := 0, 0
			got, err := Copy(t.Context(), from, to, Options{Progress: func(c, v int) { copied, verified = c, v }})
			if err != nil {
				t.Fatal(err)
			}
			if got.Records[store.Session] != 1200 || got.Records[store.Event] != 3 || got.Records[store.Ticket] != 1 || got.Records[store.Node] != 0 {
				t.Errorf("copied %v", got.Records)
			}
			if copied != 1206 || verified != 1206 || got.Changed {
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
			// 5 was given and its record removed: it must not be given again.
			must(t, to, store.Append(store.Event, []byte("next"), never))
			if r, err := to.Get(t.Context(), store.Event, store.SequenceID(6)); err != nil || string(r.Value) != "next" {
				t.Errorf("the next event: %q, %v", r.Value, err)
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
	Store
	commit func([]store.Change) []store.Change
	before func() // each commit
	number uint64 // added where a sequence is advanced
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

func (b bad) Advance(ctx context.Context, k store.Kind, n uint64) error {
	return b.Store.Advance(ctx, k, n+b.number)
}

func TestACopyThatIsNotExactIsAnError(t *testing.T) {
	change := func(do func(*store.Change)) func([]store.Change) []store.Change {
		return func(changes []store.Change) []store.Change {
			do(&changes[len(changes)-1])
			return changes
		}
	}
	for name, to := range map[string]Store{
		"a value":          bad{Store: memory(), commit: change(func(c *store.Change) { c.Record.Value = []byte("X") })},
		"an expiry":        bad{Store: memory(), commit: change(func(c *store.Change) { c.Record.Expires = time.Unix(5, 0) })},
		"an id":            bad{Store: memory(), commit: change(func(c *store.Change) { c.Record.ID += "X" })},
		"a record is lost": bad{Store: memory(), commit: func(c []store.Change) []store.Change { return c[1:] }},
		"a sequence":       bad{Store: memory(), number: 1},
		"not empty":        filled(t, memory()),
	} {
		from := memory()
		must(t, from, store.Put(store.Session, "a", []byte("1"), never), store.Append(store.Event, []byte("1"), never))
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
		if changing && (err != nil || !r.Changed || r.Records[store.Event] != 3) || !changing && !errors.Is(err, ErrChanged) {
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
	if _, err := Copy(ctx, filled(t, memory()), bad{Store: memory(), before: cancel}, Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("an interrupted copy = %v", err)
	}
}

func TestKindsThatAreLeftOutAreCountedAndNotCopied(t *testing.T) {
	from, to := filled(t, memory()), embedded(t)
	must(t, from, store.Append(store.Ticket, []byte("numbered"), never))
	got, err := Copy(t.Context(), from, to, Options{Without: []store.Kind{store.Session, store.Ticket, store.Spent}})
	if err != nil {
		t.Fatal(err)
	}
	if got.Records[store.Session] != 0 || got.Records[store.Ticket] != 0 || got.Records[store.Event] != 3 || got.Records[store.Setting] != 1 {
		t.Errorf("copied %v", got.Records)
	}
	if len(got.LeftOut) != 2 || got.LeftOut[store.Session] != 1200 || got.LeftOut[store.Ticket] != 2 {
		t.Errorf("left out %v", got.LeftOut)
	}
	if _, err := to.Get(t.Context(), store.Session, "s0"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a session was copied: %v", err)
	}
	numbers, err := to.Sequences(t.Context())
	if err != nil || numbers[store.Ticket] != 1 || numbers[store.Event] != 5 {
		t.Errorf("the sequences are at %v, %v", numbers, err)
	}
}
