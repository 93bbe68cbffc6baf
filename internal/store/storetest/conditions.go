package storetest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/vigate/vigate/internal/store"
)

var conditions = []test{
	{"a deleted record is not updated, and can be created again", func(f *fixture) {
		rev := f.must(store.Create(store.Session, "a", []byte("1"), never))
		f.must(store.Delete(store.Session, "a"))
		f.conflict(0, store.Update(store.Session, "a", rev, []byte("2"), never))
		f.conflict(0, store.Delete(store.Session, "a"))
		f.lacks(store.Session, "a")
		f.must(store.Create(store.Session, "a", []byte("3"), never))
		f.conflict(0, store.Update(store.Session, "a", rev, []byte("4"), never))
		f.has(store.Session, "a", "3")
	}},
	{"an update needs the revision that it was read at", func(f *fixture) {
		first := f.must(store.Create(store.Role, "r", []byte("1"), never))
		second := f.must(store.Update(store.Role, "r", first, []byte("2"), never))
		f.conflict(0, store.Update(store.Role, "r", first, []byte("3"), never))
		f.conflict(0, store.DeleteAt(store.Role, "r", first))
		f.has(store.Role, "r", "2")
		f.must(store.DeleteAt(store.Role, "r", second))
		f.lacks(store.Role, "r")
	}},
	{"a condition that fails undoes the whole commit and names its change", func(f *fixture) {
		rev := f.must(store.Create(store.Role, "r", []byte("1"), never))
		f.conflict(2, store.Put(store.Role, "x", nil, never), store.RequireAt(store.Role, "r", rev),
			store.Update(store.Role, "r2", rev, nil, never), store.Require(store.Role, "none"))
		f.conflict(1, store.Clear(store.Role, "r"), store.Require(store.Role, "none"),
			store.Delete(store.Role, "none too"))
		f.has(store.Role, "r", "1")
		f.lacks(store.Role, "x")
	}},
	{"a commit that only checks enforces its conditions and changes nothing", func(f *fixture) {
		watch := f.follow(f.Store)
		rev := f.must(store.Create(store.Role, "r", []byte("1"), never))
		got := f.must(store.Require(store.Role, "r"))
		if got < rev {
			f.Errorf("checks alone gave revision %d, want at least %d", got, rev)
		}
		f.must(store.RequireAt(store.Role, "r", rev))
		f.conflict(0, store.RequireAt(store.Role, "r", rev+1))
		f.conflict(1, store.Require(store.Role, "r"), store.Require(store.Role, "none"))
		if r := f.has(store.Role, "r", "1"); r.Revision != rev {
			f.Errorf("checks moved the record from revision %d to %d", rev, r.Revision)
		}
		if log := watch.upTo(got).log; len(log) > 1 {
			f.Errorf("checks are in the stream: %v", log)
		}
	}},
	{"clearing an absent record is no conflict", func(f *fixture) {
		f.must(store.Clear(store.Lockout, "l"))
		f.must(store.Put(store.Lockout, "l", []byte("1"), never))
		f.must(store.Clear(store.Lockout, "l"), store.Put(store.Lockout, "m", nil, never))
		f.lacks(store.Lockout, "l")
		f.has(store.Lockout, "m", "")
	}},
	{"a touch writes unchanged records, skips the others and creates none", func(f *fixture) {
		expires := f.clock.Now().Add(time.Hour)
		old := f.must(store.Create(store.Session, "a", []byte("1"), expires))
		f.must(store.Create(store.Session, "b", []byte("1"), expires))
		newer := f.must(store.Put(store.Session, "b", []byte("2"), expires))
		record := func(id string, at store.Revision) store.Record {
			return store.Record{
				Kind: store.Session, ID: id, Value: []byte("touched"), Revision: at, Expires: expires.Add(time.Hour),
			}
		}
		revs, err := f.Touch(f.ctx, record("b", newer-1), record("none", 0), record("none", newer),
			record("a", old), record("c", 0))
		if err != nil || len(revs) != 5 {
			f.Fatalf("Touch = %v, %v", revs, err)
		}
		for i, rev := range revs {
			if (rev > newer) != (i == 3) || i != 3 && rev != 0 {
				f.Errorf("touch %d gave revision %d", i, rev)
			}
		}
		r := f.has(store.Session, "a", "touched")
		if r.Revision != revs[3] || !r.Expires.Equal(expires.Add(time.Hour)) {
			f.Errorf("touched record is %+v", r)
		}
		f.has(store.Session, "b", "2")
		f.lacks(store.Session, "none")
		f.lacks(store.Session, "c")
		f.must(store.Update(store.Session, "a", revs[3], nil, expires))
		if revs, err := f.Touch(f.ctx); err != nil || len(revs) != 0 {
			f.Errorf("Touch of nothing = %v, %v", revs, err)
		}
	}},
	{"the newest revision is at least the revision of the last commit", func(f *fixture) {
		for i := range 10 {
			rev := f.must(store.Put(store.Setting, "s", []byte{byte(i)}, never))
			newest, err := f.Newest(f.ctx)
			if err != nil || newest < rev {
				f.Fatalf("Newest = %d, %v after commit %d", newest, err, rev)
			}
			second := f.data.Second(f.T, f.Store)
			if newest, err = second.Newest(f.ctx); err != nil || newest < rev {
				f.Fatalf("Newest of the second handle = %d, %v after commit %d", newest, err, rev)
			}
			f.follow(second).upTo(newest)
		}
	}},
	{"a second handle sees the commits of the first", func(f *fixture) {
		second := f.data.Second(f.T, f.Store)
		watch := f.follow(second)
		put := f.must(store.Create(store.Session, "a", []byte("1"), never))
		if s := watch.upTo(put); s.state[name{store.Session, "a"}].Revision != put {
			f.Errorf("the second handle's stream has %v", s.state)
		}
		if r, err := second.Get(f.ctx, store.Session, "a"); err != nil || string(r.Value) != "1" {
			f.Errorf("Get on the second handle = %+v, %v", r, err)
		}
		deleted := f.must(store.Delete(store.Session, "a"))
		if s := watch.upTo(deleted); len(s.state) != 0 {
			f.Errorf("the second handle's stream still has %v", s.state)
		}
		if r, err := second.Get(f.ctx, store.Session, "a"); !errors.Is(err, store.ErrNotFound) {
			f.Errorf("Get on the second handle = %+v, %v", r, err)
		}
		_, err := second.Commit(f.ctx, store.Update(store.Session, "a", put, nil, never))
		if !errors.Is(err, store.ErrConflict) {
			f.Errorf("the second handle updates a record that the first deleted: %v", err)
		}
	}},
	{"a cancelled context leaves no half write", cancelled},
}

func cancelled(f *fixture) {
	ctx, cancel := context.WithCancel(f.ctx)
	cancel()
	if _, err := f.Commit(ctx, store.Put(store.Session, "a", nil, never)); !errors.Is(err, context.Canceled) {
		f.Fatalf("Commit with a cancelled context = %v", err)
	}
	f.lacks(store.Session, "a")
	for i := range 100 {
		ctx, cancel := context.WithCancel(f.ctx)
		go cancel() // at any time during the commit
		a, b := fmt.Sprint("a", i), fmt.Sprint("b", i)
		_, err := f.Commit(ctx, store.Create(store.Session, a, nil, never), store.Create(store.Session, b, nil, never))
		cancel()
		_, hasA := f.Get(f.ctx, store.Session, a)
		_, hasB := f.Get(f.ctx, store.Session, b)
		switch {
		case (hasA == nil) != (hasB == nil):
			f.Fatalf("half a commit: %v, %v", hasA, hasB)
		case err == nil && hasA != nil:
			f.Fatalf("an acknowledged commit is absent: %v", hasA)
		case err != nil && hasA == nil && !errors.Is(err, store.ErrUncertain):
			f.Fatalf("a commit that returned %v is present", err)
		}
	}
}
