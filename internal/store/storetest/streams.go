package storetest

import (
	"context"
	"errors"
	"fmt"

	"github.com/vigate/vigate/internal/store"
)

var streams = []test{
	{"a stream of an empty store is whole at once", func(f *fixture) {
		s := f.follow(f.Store).upTo(0)
		if s.resets != 1 || len(s.state) != 0 {
			f.Errorf("seen %+v", s)
		}
	}},
	{"a stream begins with the whole state and goes on with every commit in order", func(f *fixture) {
		for i := range 20 {
			f.must(store.Put(store.Account, fmt.Sprint(i), []byte("before"), never))
		}
		f.must(store.Delete(store.Account, "7"))
		watch := f.follow(f.Store)
		before := f.last()
		if s := watch.upTo(before); len(s.state) != 19 || len(s.log) != 0 || s.resets != 1 {
			f.Fatalf("a whole state of %d records after %d resets, then %d changes", len(s.state), s.resets, len(s.log))
		}
		var wanted []string
		var last store.Revision
		for i := range 20 {
			id := fmt.Sprint("new", i)
			put := f.must(store.Put(store.Account, id, []byte("after"), never), store.Put(store.Role, id, nil, never))
			last = f.must(store.Delete(store.Account, id))
			wanted = append(wanted, fmt.Sprint(put, store.Account, id, false), fmt.Sprint(put, store.Role, id, false),
				fmt.Sprint(last, store.Account, id, true))
		}
		var got []string
		for _, d := range watch.upTo(last).log {
			got = append(got, fmt.Sprint(d.Record.Revision, d.Record.Kind, d.Record.ID, d.Deleted))
		}
		if !sameInAnyOrderPerThree(got, wanted) {
			f.Errorf("stream %q, want %q", got, wanted)
		}
	}},
	{"a commit is seen whole or not at all", func(f *fixture) {
		torn := make(chan error, 1)
		ctx, cancel := context.WithCancel(f.ctx)
		defer cancel()
		ended := make(chan error, 1)
		counts := map[store.Kind]int{}
		go func() {
			ended <- f.Watch(ctx, func(b store.Batch) error {
				for _, d := range b.Deltas {
					counts[d.Record.Kind]++
				}
				if b.Revision > 0 && counts[store.Session] != counts[store.Ticket] {
					torn <- fmt.Errorf("at revision %d: %v", b.Revision, counts)
					return context.Canceled
				}
				if counts[store.Account] > 0 {
					torn <- nil
				}
				return nil
			})
		}()
		f.follow(f.Store).upTo(0)
		race(8, func(w int) {
			for i := range 20 {
				id := fmt.Sprint(w, "-", i)
				_, err := f.Commit(f.ctx, store.Create(store.Session, id, nil, never),
					store.Create(store.Ticket, id, nil, never))
				if err != nil {
					f.Errorf("Commit: %v", err)
				}
			}
		})
		f.must(store.Put(store.Account, "end", nil, never))
		select {
		case err := <-torn:
			if err != nil {
				f.Error(err)
			}
		case <-f.ctx.Done():
			f.Error("the stream did not reach its end")
		}
		cancel()
		<-ended
	}},
	{"a stream that begins during commits misses none", func(f *fixture) {
		const workers, commits = 4, 50
		var watches [5]*follower
		race(workers+1, func(w int) {
			if w == workers {
				for i := range watches {
					watches[i] = f.follow(f.data.Second(f.T, f.Store))
					if _, err := f.Newest(f.ctx); err != nil {
						f.Errorf("Newest: %v", err)
					}
				}
				return
			}
			for i := range commits {
				if _, err := f.Commit(f.ctx, store.Put(store.Session, fmt.Sprint(w, "-", i), nil, never)); err != nil {
					f.Errorf("Commit: %v", err)
				}
				if i%2 == 1 {
					if _, err := f.Commit(f.ctx, store.Delete(store.Session, fmt.Sprint(w, "-", i-1))); err != nil {
						f.Errorf("Commit: %v", err)
					}
				}
			}
		})
		newest := f.last()
		for _, watch := range watches {
			if n := len(watch.upTo(newest).state); n != workers*commits/2 {
				f.Errorf("the stream leads to %d records, want %d", n, workers*commits/2)
			}
		}
	}},
	{"a stream ends with its context or with an error of apply", func(f *fixture) {
		watch := f.follow(f.Store)
		watch.upTo(f.must(store.Put(store.Setting, "s", nil, never)))
		watch.stop()
		if err := watch.end(); !errors.Is(err, context.Canceled) {
			f.Errorf("Watch ended with %v", err)
		}
		full := errors.New("no room")
		if err := f.Watch(f.ctx, func(store.Batch) error { return full }); !errors.Is(err, full) {
			f.Errorf("Watch ended with %v, want the error of apply", err)
		}
		calls := 0
		err := f.Watch(f.ctx, func(b store.Batch) error {
			if calls++; b.Whole {
				go func() { // a later batch meets the error too
					if _, err := f.Commit(f.ctx, store.Put(store.Setting, "later", nil, never)); err != nil {
						f.Errorf("Commit: %v", err)
					}
				}()
				return nil
			}
			return full
		})
		if !errors.Is(err, full) || calls != 2 {
			f.Errorf("Watch ended with %v after %d batches", err, calls)
		}
	}},
}

// sameInAnyOrderPerThree compares two streams. In each, a commit of two changes alternates with a
// commit of one change. The order within a commit does not matter.
func sameInAnyOrderPerThree(got, wanted []string) bool {
	if len(got) != len(wanted) {
		return false
	}
	for i := 0; i < len(got); i += 3 {
		straight := got[i] == wanted[i] && got[i+1] == wanted[i+1]
		swapped := got[i] == wanted[i+1] && got[i+1] == wanted[i]
		if !straight && !swapped || got[i+2] != wanted[i+2] {
			return false
		}
	}
	return true
}
