package storetest

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/vigate/vigate/internal/store"
)

// Appended reads the appended records of a kind, and returns them in their order.
func Appended(t testing.TB, s store.Store, k store.Kind) []store.Record {
	t.Helper()
	var all []store.Record
	whole := errors.New("whole")
	err := s.Watch(t.Context(), func(b store.Batch) error {
		for _, d := range b.Deltas {
			if d.Record.Kind != k {
				continue
			}
			all = slices.DeleteFunc(all, func(r store.Record) bool { return r.ID == d.Record.ID })
			if !d.Deleted {
				all = append(all, d.Record)
			}
		}
		if b.Whole {
			return whole
		}
		return nil
	})
	if !errors.Is(err, whole) {
		t.Fatalf("Watch: %v", err)
	}
	slices.SortFunc(all, store.Before)
	return all
}

// numbered is an appended record with its number.
type numbered struct {
	store.Record
	number uint64
}

// ledger follows the events of a store and numbers them in the order of the stream. It compares
// these numbers with those that follow from the stored Numbering.
type ledger struct {
	numbering store.Numbering
	at        store.Revision // revision of the record that holds numbering
	events    []numbered     // in their order
	given     map[string]uint64
	numberer  store.Numberer
	staged    []store.Record // between Reset and Whole
	staging   bool
}

func (l *ledger) apply(b store.Batch) error {
	if b.Reset {
		l.numbering, l.at, l.staged, l.staging = store.Numbering{}, 0, nil, true
	}
	for _, d := range b.Deltas {
		if err := l.delta(d); err != nil {
			return err
		}
	}
	if b.Whole {
		if err := l.whole(); err != nil {
			return err
		}
	}
	if l.staging {
		return nil
	}
	return l.check()
}

func (l *ledger) delta(d store.Delta) error {
	r := d.Record
	switch {
	case r.Kind == store.Numbers && !d.Deleted && r.ID == store.NumberingID(store.Event):
		n, err := store.ParseNumbering(r)
		l.numbering, l.at = n, r.Revision
		return err
	case r.Kind != store.Event:
	case d.Deleted && l.staging:
		l.staged = slices.DeleteFunc(l.staged, func(s store.Record) bool { return s.ID == r.ID })
	case d.Deleted:
		if len(l.events) == 0 || l.events[0].ID != r.ID {
			return fmt.Errorf("%q was removed but is not the first", r.ID)
		}
		l.events = l.events[1:]
	case l.staging:
		l.staged = append(l.staged, r)
	default:
		if n := len(l.events); n > 0 && store.Before(l.events[n-1].Record, r) >= 0 {
			last := l.events[n-1]
			return fmt.Errorf("%q at revision %d came after %q at %d", r.ID, r.Revision, last.ID, last.Revision)
		}
		return l.add(r)
	}
	return nil
}

func (l *ledger) add(r store.Record) error {
	n := l.numberer.Next(r.ID)
	if was, again := l.given[r.ID]; again && was != n {
		return fmt.Errorf("%q has number %d after %d", r.ID, n, was)
	}
	l.given[r.ID] = n
	l.events = append(l.events, numbered{r, n})
	return nil
}

// whole numbers the events of a whole state. After a Reset they must have the numbers from before.
func (l *ledger) whole() error {
	slices.SortFunc(l.staged, store.Before)
	l.numberer, l.events = l.numbering.Numberer(), nil
	for _, r := range l.staged {
		if err := l.add(r); err != nil {
			return err
		}
	}
	l.staged, l.staging = nil, false
	return nil
}

// check compares the numbers of the events with those that a reader gives them if it begins now.
func (l *ledger) check() error {
	again := l.numbering.Numberer()
	for _, e := range l.events {
		if n := again.Next(e.ID); n != e.number {
			return fmt.Errorf("%q is number %d of the stream, but %d of the state %+v", e.ID, e.number, n, l.numbering)
		}
	}
	return nil
}

// ledger returns a follower that numbers the events of the store.
func (f *fixture) ledger(s store.Store) *follower {
	l := &ledger{given: map[string]uint64{}}
	return f.followWith(s, l)
}

// numbersUpTo waits for the revision and returns a copy of the ledger.
func (w *follower) numbersUpTo(rev store.Revision) ledger {
	w.f.Helper()
	w.upTo(rev)
	return w.ledgerNow()
}

func (w *follower) ledgerNow() ledger {
	w.mu.Lock()
	defer w.mu.Unlock()
	l := *w.ledger
	l.events, l.given = slices.Clone(l.events), maps.Clone(l.given)
	return l
}

// trim returns the changes that remove the first n events.
func (l *ledger) trim(n int) []store.Change {
	var ids []string
	last := l.numbering.Removed
	for _, e := range l.events[:n] {
		ids, last = append(ids, e.ID), e.number
	}
	return l.numbering.Trim(store.Event, l.at, last, ids...)
}

// expect fails the test unless the events have these numbers and values.
func (l ledger) expect(f *fixture, want ...string) {
	f.Helper()
	got := []string{}
	for _, e := range l.events {
		got = append(got, fmt.Sprintf("%d:%s", e.number, e.Value))
	}
	if !slices.Equal(got, want) {
		f.Fatalf("the events are %q, want %q", got, want)
	}
}

func event(value string) store.Change { return store.Append(store.Event, []byte(value), never) }

var numbers = []test{
	{"appended records are numbered in the order of commits and of their changes", func(f *fixture) {
		live := f.ledger(f.data.Second(f.T, f.Store))
		f.must(event("a"), event("b"))
		f.must(store.Put(store.Setting, "s", nil, never), event("c"))
		f.conflict(1, event("x"), store.Require(store.Role, "none"))
		var many []store.Change
		want := []string{"1:a", "2:b", "3:c"}
		for i := range 40 {
			many = append(many, event(fmt.Sprint("m", i)))
			want = append(want, fmt.Sprintf("%d:m%d", i+4, i))
		}
		rev := f.must(many...)
		live.numbersUpTo(rev).expect(f, want...)
		f.ledger(f.Store).numbersUpTo(rev).expect(f, want...)
		f.reopen()
		f.ledger(f.Store).numbersUpTo(rev).expect(f, want...)
	}},
	{"an appended record is read under its id, with its value, revision and expiry", func(f *fixture) {
		expires := f.clock.Now().Add(1)
		rev := f.must(store.Append(store.Event, []byte("event"), expires))
		got := f.ledger(f.Store).numbersUpTo(rev).events[0]
		r := f.has(store.Event, got.ID, "event")
		if r.Revision != rev || !r.Expires.Equal(expires) || !got.Expires.Equal(expires) {
			f.Errorf("got %+v, want revision %d, expiry %v", r, rev, expires)
		}
	}},
	{"the remaining records keep their numbers after a trim, and no number or id is used again", func(f *fixture) {
		live := f.ledger(f.Store)
		f.must(event("a"), event("b"), event("c"))
		rev := f.must(event("d"))
		before := live.numbersUpTo(rev)
		rev = f.must(before.trim(2)...)
		live.numbersUpTo(rev).expect(f, "3:c", "4:d")
		f.conflict(0, before.trim(1)...)
		f.conflict(0, before.trim(3)...)
		now := live.numbersUpTo(rev)
		now.expect(f, "3:c", "4:d")
		rev = f.must(now.trim(2)...)
		live.numbersUpTo(rev).expect(f)
		f.reopen()
		live = f.ledger(f.Store)
		rev = f.must(event("e"))
		after := live.numbersUpTo(rev)
		after.expect(f, "5:e")
		if _, again := before.given[after.events[0].ID]; again {
			f.Errorf("%q names two records", after.events[0].ID)
		}
		f.ledger(f.data.Second(f.T, f.Store)).numbersUpTo(rev).expect(f, "5:e")
	}},
	{"one of two concurrent trims succeeds", func(f *fixture) {
		live := f.ledger(f.Store)
		second := f.data.Second(f.T, f.Store)
		for round := range 20 {
			l := live.numbersUpTo(f.must(event("a"), event("b"), event("c")))
			var won atomic.Int32
			race(2, func(i int) {
				s := []store.Store{f.Store, second}[i]
				switch _, err := s.Commit(f.ctx, l.trim(i+2)...); {
				case err == nil:
					won.Add(1)
				case !errors.Is(err, store.ErrConflict):
					f.Errorf("Commit: %v", err)
				}
			})
			if won.Load() != 1 {
				f.Fatalf("%d trims succeeded", won.Load())
			}
			newest := f.last()
			left := live.numbersUpTo(newest)
			if got := left.numberer.Last(); got != uint64(3*(round+1)) {
				f.Fatalf("the last number is %d after %d events", got, 3*(round+1))
			}
			f.must(left.trim(len(left.events))...)
		}
	}},
	{"an id that states a number gives it to its record", func(f *fixture) {
		f.must(store.Put(store.Event, store.NumberedID(5), []byte("e"), never),
			store.Put(store.Event, store.NumberedID(3), []byte("c"), never))
		rev := f.must(store.Put(store.Event, store.NumberedID(9), []byte("i"), never))
		live := f.ledger(f.Store)
		live.numbersUpTo(rev).expect(f, "3:c", "5:e", "9:i")
		rev = f.must(event("j"))
		live.numbersUpTo(rev).expect(f, "3:c", "5:e", "9:i", "10:j")
		l := live.ledgerNow()
		live.numbersUpTo(f.must(l.trim(2)...)).expect(f, "9:i", "10:j")
	}},
	{"numbers go on after the last number of the counter, although its record was removed", func(f *fixture) {
		base := store.Numbering{Removed: 2, Counted: 8}.Record(store.Event)
		f.must(store.Create(base.Kind, base.ID, base.Value, never))
		f.must(store.Put(store.Event, store.NumberedID(3), []byte("c"), never))
		rev := f.must(event("i"))
		live := f.ledger(f.Store)
		live.numbersUpTo(rev).expect(f, "3:c", "9:i")
		l := live.ledgerNow()
		live.numbersUpTo(f.must(l.trim(1)...)).expect(f, "9:i")
		l = live.ledgerNow()
		f.must(l.trim(1)...)
		live.numbersUpTo(f.must(event("j"))).expect(f, "10:j")
	}},
	{"records of appended kinds are only appended and trimmed", func(f *fixture) {
		rev := f.must(event("a"))
		id := f.ledger(f.Store).numbersUpTo(rev).events[0].ID
		for name, c := range map[string]store.Change{
			"a put":                      store.Put(store.Event, id, nil, never),
			"an update":                  store.Update(store.Event, id, rev, nil, never),
			"a creation":                 store.Create(store.Event, "new", nil, never),
			"an append of another kind":  store.Append(store.Role, nil, never),
			"an append of the numbering": store.Append(store.Numbers, nil, never),
		} {
			_, err := f.Commit(f.ctx, store.Put(store.Setting, "s", nil, never), c)
			if err == nil || errors.Is(err, store.ErrConflict) {
				f.Errorf("%s: %v, want it refused", name, err)
			}
		}
		if _, err := f.Sweep(f.ctx, 1, store.Ticket, store.Event); err == nil {
			f.Error("events are swept")
		}
		f.lacks(store.Setting, "s")
		f.has(store.Event, id, "a")
	}},
	{"numbers are the same for every reader and never change during appends and trims", numbersForEver},
}

// numbersForEver lets two handles append and trim concurrently. Followers of both begin before,
// during and after that. They must all give an event the same number, and the numbers must begin at
// 1 and have no gaps.
func numbersForEver(f *fixture) {
	const appenders, trimmers = 4, 2
	handles := [2]store.Store{f.Store, f.data.Second(f.T, f.Store)}
	early := []*follower{f.ledger(handles[0]), f.ledger(handles[1])}
	for _, l := range early {
		l.upTo(0)
	}
	seed := rand.Uint64()
	f.Logf("seed %d", seed)
	var total atomic.Int64
	var late [trimmers][]*follower
	race(appenders+trimmers, func(w int) {
		rng := rand.New(rand.NewPCG(seed, uint64(w)))
		if w < appenders {
			total.Add(int64(f.append(handles[w%2], rng, fmt.Sprint(w))))
		} else {
			late[w-appenders] = f.trimAtRandom(handles[w%2], early[w%2], rng)
		}
	})
	newest := f.last()
	all := early[0].numbersUpTo(newest)
	given := slices.Sorted(maps.Values(all.given))
	for i, n := range given {
		if n != uint64(i+1) {
			f.Fatalf("number %d follows %d others", n, i)
		}
	}
	if len(given) != int(total.Load()) {
		f.Fatalf("%d events have %d numbers", total.Load(), len(given))
	}
	early[1].numbersUpTo(newest).agrees(f, "the other handle", all)
	for i, l := range slices.Concat(late[:]...) {
		l.numbersUpTo(newest).agrees(f, fmt.Sprint("late follower ", i), all)
	}
	f.reopen()
	f.ledger(f.Store).numbersUpTo(newest).agrees(f, "after reopening", all)
}

// rounds is how often each of the goroutines in numbersForEver commits.
const rounds = 40

// append commits one to three events at a time, sometimes together with another record. It returns
// the number of events.
func (f *fixture) append(s store.Store, rng *rand.Rand, who string) (total int) {
	for i := range rounds {
		changes := make([]store.Change, 1+rng.IntN(3))
		for j := range changes {
			changes[j] = event(fmt.Sprint(who, "-", i, "-", j))
		}
		total += len(changes)
		if rng.IntN(2) == 0 {
			changes = append(changes, store.Put(store.Session, fmt.Sprint(who, "-", i), nil, never))
		}
		if _, err := s.Commit(f.ctx, changes...); err != nil {
			f.Errorf("Commit: %v", err)
		}
	}
	return total
}

// trimAtRandom trims events that the ledger holds at the time, which may be out of date. Now and
// then it starts a new follower.
func (f *fixture) trimAtRandom(s store.Store, ledger *follower, rng *rand.Rand) (late []*follower) {
	for i := range rounds {
		l := ledger.ledgerNow()
		_, err := s.Commit(f.ctx, l.trim(min(rng.IntN(8), len(l.events)))...)
		if err != nil && !errors.Is(err, store.ErrConflict) {
			f.Errorf("trim: %v", err)
		}
		if i%10 == 0 {
			late = append(late, f.ledger(s))
		}
	}
	return late
}

// agrees compares the numbers with those of a ledger that has seen all events.
func (l ledger) agrees(f *fixture, what string, all ledger) {
	f.Helper()
	for id, n := range l.given {
		if all.given[id] != n {
			f.Errorf("%s: %q has number %d, but %d for a follower from the start", what, id, n, all.given[id])
		}
	}
	if len(l.events) != len(all.events) || l.numbering != all.numbering {
		f.Errorf("%s: %d events after %+v, want %d after %+v", what, len(l.events), l.numbering,
			len(all.events), all.numbering)
	}
}
