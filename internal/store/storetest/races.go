package storetest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/vigate/vigate/internal/store"
)

// race calls run n times concurrently. run must not use the helpers of the fixture that end the
// test.
func race(n int, run func(i int)) {
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			<-start
			run(i)
		})
	}
	close(start)
	wg.Wait()
}

var races = []test{
	{"two updates from one revision have one winner", func(f *fixture) {
		rev := f.must(store.Create(store.Session, "a", []byte("0"), never))
		for range 100 {
			var won [2]store.Revision
			race(2, func(i int) {
				got, err := f.Commit(f.ctx, store.Update(store.Session, "a", rev, []byte{byte('0' + i)}, never))
				if err == nil {
					won[i] = got
				} else if !errors.Is(err, store.ErrConflict) {
					f.Errorf("Commit: %v", err)
				}
			})
			if (won[0] == 0) == (won[1] == 0) {
				f.Fatalf("winners at revisions %v, want one", won)
			}
			rev = max(won[0], won[1])
			winner := "0"
			if won[1] != 0 {
				winner = "1"
			}
			if r := f.has(store.Session, "a", winner); r.Revision != rev {
				f.Fatalf("revision %d, want %d", r.Revision, rev)
			}
		}
	}},
	{"a touch that races a delete never leaves a record", touchRacesDelete},
	{"a ticket is taken once by 32 racers", func(f *fixture) {
		for round := range 10 {
			ticket := fmt.Sprint("ticket", round)
			f.must(store.Create(store.Ticket, ticket, []byte("for"), f.clock.Now().Add(1)))
			var winners atomic.Int32
			race(32, func(i int) {
				r, err := f.Get(f.ctx, store.Ticket, ticket)
				if err == nil {
					_, err = f.Commit(f.ctx, store.DeleteAt(store.Ticket, ticket, r.Revision),
						store.Create(store.Session, fmt.Sprint("session", round, "-", i), r.Value, never))
				}
				if err == nil {
					winners.Add(1)
				} else if !errors.Is(err, store.ErrConflict) && !errors.Is(err, store.ErrNotFound) {
					f.Errorf("racer %d: %v", i, err)
				}
			})
			if n := winners.Load(); n != 1 {
				f.Fatalf("%d racers took the ticket", n)
			}
			f.lacks(store.Ticket, ticket)
		}
		newest := f.last()
		if n := len(f.follow(f.Store).upTo(newest).state); n != 10 {
			f.Errorf("%d records after 10 tickets were taken, want 10 sessions", n)
		}
	}},
	{"random operations agree with the model", randomOperations},
}

func touchRacesDelete(f *fixture) {
	watch := f.follow(f.data.Second(f.T, f.Store))
	const workers, rounds = 10, 100
	race(workers, func(w int) {
		for i := range rounds {
			id := fmt.Sprintf("session-%d-%d", w, i)
			rev, err := f.Commit(f.ctx, store.Create(store.Session, id, []byte("1"), never))
			if err != nil {
				f.Errorf("Commit: %v", err)
				return
			}
			race(2, func(racer int) {
				var err error
				if racer == 0 {
					touched := store.Record{Kind: store.Session, ID: id, Value: []byte("2"), Revision: rev}
					_, err = f.Touch(f.ctx, touched)
				} else {
					_, err = f.Commit(f.ctx, store.Delete(store.Session, id))
				}
				if err != nil {
					f.Errorf("racer %d: %v", racer, err)
				}
			})
			if r, err := f.Get(f.ctx, store.Session, id); !errors.Is(err, store.ErrNotFound) {
				f.Errorf("a deleted session is present: %+v, %v", r, err)
			}
		}
	})
	newest := f.last()
	if s := watch.upTo(newest); len(s.state) != 0 {
		f.Errorf("%d deleted sessions remain in the stream", len(s.state))
	}
}
