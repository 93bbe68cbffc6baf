package storetest

import (
	"errors"
	"fmt"
	"time"

	"github.com/vigate/vigate/internal/store"
)

var expiry = []test{
	{"a record expires to the nanosecond", func(f *fixture) {
		f.must(store.Create(store.Session, "a", []byte("1"), f.clock.Now().Add(time.Second)))
		f.clock.Advance(time.Second - time.Nanosecond)
		f.has(store.Session, "a", "1")
		f.clock.Advance(time.Nanosecond)
		f.lacks(store.Session, "a")
	}},
	{"an expired record counts as absent", func(f *fixture) {
		rev := f.must(store.Create(store.Session, "a", []byte("1"), f.clock.Now().Add(time.Second)))
		f.clock.Advance(time.Second)
		f.conflict(0, store.Update(store.Session, "a", rev, nil, never))
		f.conflict(0, store.DeleteAt(store.Session, "a", rev))
		f.conflict(0, store.Delete(store.Session, "a"))
		f.conflict(0, store.Require(store.Session, "a"))
		f.conflict(0, store.RequireAt(store.Session, "a", rev))
		revs, err := f.Touch(f.ctx, store.Record{Kind: store.Session, ID: "a", Revision: rev})
		if err != nil || revs[0] != 0 {
			f.Errorf("Touch of an expired record = %v, %v", revs, err)
		}
		f.lacks(store.Session, "a")
		f.must(store.Create(store.Session, "a", []byte("2"), f.clock.Now().Add(time.Second)))
		f.has(store.Session, "a", "2")
		if n := f.sweep(10, store.Session); n != 0 {
			f.Errorf("%d swept, but the record was created again", n)
		}
		f.has(store.Session, "a", "2")
	}},
	{"a record's expiry can be moved and dropped", func(f *fixture) {
		rev := f.must(store.Create(store.Session, "a", []byte("1"), f.clock.Now().Add(time.Second)))
		revs, err := f.Touch(f.ctx, store.Record{
			Kind: store.Session, ID: "a", Value: []byte("2"), Revision: rev, Expires: f.clock.Now().Add(time.Hour),
		})
		if err != nil || revs[0] == 0 {
			f.Fatalf("Touch = %v, %v", revs, err)
		}
		f.must(store.Put(store.Session, "b", []byte("1"), f.clock.Now().Add(time.Second)))
		f.must(store.Put(store.Session, "b", []byte("2"), never))
		f.clock.Advance(time.Minute)
		if n := f.sweep(10, store.Session); n != 0 {
			f.Errorf("%d swept at an expiry that was moved", n)
		}
		f.has(store.Session, "a", "2")
		f.clock.Advance(time.Hour)
		if n := f.sweep(10, store.Session); n != 1 {
			f.Errorf("%d swept, want 1", n)
		}
		f.lacks(store.Session, "a")
		f.has(store.Session, "b", "2")
	}},
	{"far and early expiries are kept", func(f *fixture) {
		far := time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC)
		f.must(store.Put(store.Session, "far", nil, far),
			store.Put(store.Session, "early", nil, time.Date(1601, 1, 1, 0, 0, 0, 1, time.UTC)))
		f.reopen()
		if r := f.has(store.Session, "far", ""); !r.Expires.Equal(far) {
			f.Errorf("expires %v, want %v", r.Expires, far)
		}
		f.lacks(store.Session, "early")
		if n := f.sweep(10, store.Session); n != 1 {
			f.Errorf("%d swept, want 1", n)
		}
	}},
	{"ten thousand sessions are listed, and swept within bounds", sweepMany},
}

// sweep calls Sweep once.
func (f *fixture) sweep(limit int, kinds ...store.Kind) int {
	f.Helper()
	n, err := f.Sweep(f.ctx, limit, kinds...)
	if err != nil {
		f.Fatalf("Sweep: %v", err)
	}
	return n
}

func sweepMany(f *fixture) {
	const sessions, perCommit, limit = 10_000, 50, 700
	early := f.clock.Now().Add(time.Minute)
	for i := 0; i < sessions; i += perCommit {
		var changes []store.Change
		for j := i; j < i+perCommit; j++ {
			expires := early
			if j%2 == 1 {
				expires = early.Add(time.Nanosecond)
			}
			id := fmt.Sprintf("session-%05d", j)
			changes = append(changes, store.Create(store.Session, id, []byte("value"), expires))
		}
		f.must(changes...)
	}
	rev := f.must(store.Create(store.Ticket, "ticket", nil, early), store.Create(store.Account, "account", nil, never))
	watch := f.follow(f.Store)
	if n := len(watch.upTo(rev).state); n != sessions+2 {
		f.Fatalf("%d records listed, want %d", n, sessions+2)
	}
	for _, wanted := range []int{0, sessions / 2, sessions / 2} {
		swept := 0
		for {
			n := f.sweep(limit, store.Session, store.Account)
			if n > limit {
				f.Fatalf("%d swept at once, limit %d", n, limit)
			}
			if swept += n; n == 0 {
				break
			}
		}
		if swept != wanted {
			f.Fatalf("%d swept, want %d", swept, wanted)
		}
		if f.clock.Now().Before(early) {
			f.clock.Advance(time.Minute)
		} else {
			f.clock.Advance(time.Nanosecond)
		}
	}
	newest := f.last()
	if s := watch.upTo(newest); len(s.state) != 2 {
		f.Errorf("%d records remain in the stream, want the ticket and the account", len(s.state))
	}
	if n := f.sweep(0, store.Ticket); n != 0 {
		f.Errorf("%d swept with a limit of 0", n)
	}
	if n := f.sweep(limit, store.Ticket, store.Session); n != 1 {
		f.Errorf("%d swept, want the ticket", n)
	}
	if _, err := f.Get(f.ctx, store.Ticket, "ticket"); !errors.Is(err, store.ErrNotFound) {
		f.Errorf("Get of the swept ticket: %v", err)
	}
}
