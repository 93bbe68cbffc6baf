package storetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/testclock"
)

// Data is the data of one test. It is empty at first.
type Data interface {
	// Open opens a handle on the data. The suite closes it before it opens another one this way.
	Open(t *testing.T) store.Store
	// Second returns another handle on the same data while the first one is open. A store that
	// allows only one handle returns the first. The suite does not close the result.
	Second(t *testing.T, first store.Store) store.Store
}

// Opener makes the data for one test. The store must take the time from now.
type Opener func(t *testing.T, now func() time.Time) Data

// Run checks that a store keeps the contract of package store.
func Run(t *testing.T, open Opener) {
	for _, group := range [][]test{basics, numbers, conditions, expiry, races, streams} {
		for _, c := range group {
			t.Run(c.name, func(t *testing.T) { c.run(newFixture(t, open)) })
		}
	}
}

type test struct {
	name string
	run  func(*fixture)
}

// fixture is what each test starts with: an open store with data of its own. If a helper can't do
// its work, it ends the test.
type fixture struct {
	*testing.T
	store.Store
	ctx   context.Context // ends if a test hangs
	clock *testclock.Clock
	data  Data
}

// patience bounds a whole test. It only ends tests that hang, on slow machines too.
const patience = 10 * time.Minute

func newFixture(t *testing.T, open Opener) *fixture {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	c := testclock.New(time.Date(2030, 1, 2, 3, 4, 5, 678901234, time.UTC))
	f := &fixture{T: t, ctx: ctx, clock: c, data: open(t, c.Now)}
	f.Store = f.data.Open(t)
	t.Cleanup(func() {
		if err := f.Store.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return f
}

func (f *fixture) reopen() {
	f.Helper()
	if err := f.Store.Close(); err != nil {
		f.Fatalf("Close before reopening: %v", err)
	}
	f.Store = f.data.Open(f.T)
}

func (f *fixture) must(changes ...store.Change) store.Revision {
	f.Helper()
	rev, err := f.Commit(f.ctx, changes...)
	if err != nil {
		f.Fatalf("Commit: %v", err)
	}
	return rev
}

// last returns the newest revision.
func (f *fixture) last() store.Revision {
	f.Helper()
	rev, err := f.Newest(f.ctx)
	if err != nil {
		f.Fatalf("Newest: %v", err)
	}
	return rev
}

// conflict fails the test unless the commit is refused because of the change at the index.
func (f *fixture) conflict(index int, changes ...store.Change) {
	f.Helper()
	_, err := f.Commit(f.ctx, changes...)
	var conflict *store.ConflictError
	if !errors.As(err, &conflict) || !errors.Is(err, store.ErrConflict) {
		f.Fatalf("Commit = %v, want a conflict", err)
	}
	if conflict.Index != index {
		f.Fatalf("conflict at change %d, want %d", conflict.Index, index)
	}
}

// has fails the test unless the record is present and has the value.
func (f *fixture) has(k store.Kind, id, value string) store.Record {
	f.Helper()
	r, err := f.Get(f.ctx, k, id)
	if err != nil {
		f.Fatalf("Get %q: %v", id, err)
	}
	if r.Kind != k || r.ID != id || string(r.Value) != value || r.Revision == 0 {
		f.Fatalf("Get %q = %+v, want value %q", id, r, value)
	}
	return r
}

// lacks fails the test if the record is present.
func (f *fixture) lacks(k store.Kind, id string) {
	f.Helper()
	if r, err := f.Get(f.ctx, k, id); !errors.Is(err, store.ErrNotFound) {
		f.Fatalf("Get %q = %+v, %v, want not found", id, r, err)
	}
}

var never time.Time

var basics = []test{
	{"a created record is there with its value, revision and expiry", func(f *fixture) {
		expires := f.clock.Now().Add(time.Hour + time.Nanosecond)
		rev := f.must(store.Create(store.Session, "a", []byte("1"), expires))
		r := f.has(store.Session, "a", "1")
		if r.Revision != rev || !r.Expires.Equal(expires) {
			f.Errorf("Get = %+v, want revision %d, expiry %v", r, rev, expires)
		}
		f.must(store.Create(store.Session, "b", nil, never))
		if r := f.has(store.Session, "b", ""); !r.Expires.IsZero() {
			f.Errorf("a record without expiry expires at %v", r.Expires)
		}
	}},
	{"a record is not created twice", func(f *fixture) {
		f.must(store.Create(store.Session, "a", []byte("1"), never))
		f.conflict(0, store.Create(store.Session, "a", []byte("2"), never))
		f.has(store.Session, "a", "1")
	}},
	{"a commit reads what earlier commits wrote", func(f *fixture) {
		var last store.Revision
		for i := range 50 {
			value := fmt.Sprint(i)
			rev := f.must(store.Put(store.Account, "u", []byte(value), never))
			if rev <= last {
				f.Fatalf("revision %d after %d", rev, last)
			}
			last = rev
			if r := f.has(store.Account, "u", value); r.Revision != rev {
				f.Fatalf("revision %d, want %d", r.Revision, rev)
			}
		}
	}},
	{"values are copies on both sides", func(f *fixture) {
		watch := f.follow(f.Store)
		in := []byte("value")
		rev := f.must(store.Create(store.Session, "a", in, never))
		in[0] = 'X'
		r := f.has(store.Session, "a", "value")
		r.Value[0] = 'Y'
		for _, d := range watch.upTo(rev).log {
			d.Record.Value[0] = 'Z'
		}
		f.has(store.Session, "a", "value")
		if got := f.follow(f.Store).upTo(rev).state[name{store.Session, "a"}]; string(got.Value) != "value" {
			f.Errorf("a later stream has %q", got.Value)
		}
		touch := []byte("touch")
		r = f.has(store.Session, "a", "value")
		r.Value = touch
		if revs, err := f.Touch(f.ctx, r); err != nil || revs[0] == 0 {
			f.Fatalf("Touch = %v, %v", revs, err)
		}
		touch[0] = 'X'
		f.has(store.Session, "a", "touch")
	}},
	{"large values and long ids are kept", func(f *fixture) {
		id := strings.Repeat("\xff\x01", 256)
		value := strings.Repeat("0123456789abcdef", 1<<13)
		f.must(store.Create(store.Setting, id, []byte(value), f.clock.Now().Add(time.Hour)))
		f.has(store.Setting, id, value)
		f.reopen()
		f.has(store.Setting, id, value)
	}},
	{"the same id in different kinds names different records", func(f *fixture) {
		f.must(store.Create(store.Ticket, "same", []byte("ticket"), never),
			store.Create(store.Session, "same", []byte("session"), never))
		f.must(store.Delete(store.Ticket, "same"))
		f.lacks(store.Ticket, "same")
		f.has(store.Session, "same", "session")
		f.lacks(store.Spent, "same")
		f.must(store.Create(store.Spent, "same", []byte("spent"), never))
		f.has(store.Session, "same", "session")
	}},
	{"bad ids are refused", func(f *fixture) {
		for _, id := range []string{"", "a\x00b", "\x00", strings.Repeat("a", 513)} {
			for _, c := range []store.Change{
				store.Create(store.Session, id, nil, never), store.Put(store.Session, id, nil, never),
				store.Delete(store.Session, id), store.Clear(store.Session, id), store.Require(store.Session, id),
			} {
				_, err := f.Commit(f.ctx, store.Put(store.Session, "good", nil, never), c)
				if err == nil || errors.Is(err, store.ErrConflict) {
					f.Errorf("Commit of an id of %d bytes = %v, want it refused", len(id), err)
				}
			}
			f.lacks(store.Session, id)
			if revs, err := f.Touch(f.ctx, store.Record{Kind: store.Session, ID: id}); err != nil || revs[0] != 0 {
				f.Errorf("Touch of a bad id = %v, %v", revs, err)
			}
		}
		f.lacks(store.Session, "good")
	}},
	{"a commit that names a record twice is refused", func(f *fixture) {
		f.must(store.Create(store.Session, "a", []byte("1"), never))
		put := store.Put(store.Session, "a", []byte("2"), never)
		for _, c := range []store.Change{put, store.Delete(store.Session, "a"), store.Require(store.Session, "a")} {
			if _, err := f.Commit(f.ctx, put, store.Put(store.Session, "b", nil, never), c); err == nil {
				f.Errorf("a commit with operations %d and %d on one record was accepted", put.Op, c.Op)
			}
		}
		f.has(store.Session, "a", "1")
		f.lacks(store.Session, "b")
	}},
	{"reopening keeps sessions and keeps spent tickets spent", func(f *fixture) {
		expires := f.clock.Now().Add(time.Minute)
		f.must(store.Create(store.Session, "s", []byte("session"), expires),
			store.Create(store.Ticket, "t", []byte("t"), expires))
		r := f.has(store.Ticket, "t", "t")
		rev := f.must(store.DeleteAt(store.Ticket, "t", r.Revision),
			store.Create(store.Session, "clone", []byte("clone"), expires))
		f.reopen()
		f.has(store.Session, "s", "session")
		if r := f.has(store.Session, "clone", "clone"); r.Revision != rev || !r.Expires.Equal(expires) {
			f.Errorf("after reopening: %+v, want revision %d, expiry %v", r, rev, expires)
		}
		f.lacks(store.Ticket, "t")
		f.conflict(0, store.DeleteAt(store.Ticket, "t", r.Revision))
		if next := f.must(store.Put(store.Session, "later", nil, never)); next <= rev {
			f.Errorf("revision %d after reopening, %d before", next, rev)
		}
	}},
	{"a closed store says so", func(f *fixture) {
		watch := f.follow(f.Store)
		watch.upTo(f.must(store.Put(store.Session, "a", nil, never)))
		closed := f.Store
		f.reopen()
		if err := watch.end(); !errors.Is(err, store.ErrClosed) {
			f.Errorf("Watch ended with %v", err)
		}
		_, commit := closed.Commit(f.ctx, store.Put(store.Session, "b", nil, never))
		_, touch := closed.Touch(f.ctx, store.Record{Kind: store.Session, ID: "a"})
		_, get := closed.Get(f.ctx, store.Session, "a")
		_, newest := closed.Newest(f.ctx)
		_, sweep := closed.Sweep(f.ctx, 1, store.Session)
		watched := closed.Watch(f.ctx, func(store.Batch) error { return nil })
		for i, err := range []error{commit, touch, get, newest, sweep, watched} {
			if !errors.Is(err, store.ErrClosed) {
				f.Errorf("call %d on a closed store: %v", i, err)
			}
		}
		if err := closed.Close(); err != nil {
			f.Errorf("second Close: %v", err)
		}
		f.lacks(store.Session, "b")
	}},
}
