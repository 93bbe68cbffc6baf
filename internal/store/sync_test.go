package store_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/store/storetest"
)

// distant is a store that reads the newest revision at once but answers later. So the answer is the
// state at the time when the read began.
type distant struct {
	store.Store
	answers chan error // one answer to each read; nil: the revision that was read
	reads   atomic.Int32
	running atomic.Int32
	most    atomic.Int32 // the most reads that ran at once
}

func newDistant() *distant {
	return &distant{Store: storetest.NewMemory(time.Now), answers: make(chan error)}
}

func (d *distant) Newest(ctx context.Context) (store.Revision, error) {
	d.reads.Add(1)
	defer d.running.Add(-1)
	for n := d.running.Add(1); n > d.most.Load(); {
		d.most.Store(n)
	}
	rev, err := d.Store.Newest(ctx)
	if err != nil {
		return 0, err
	}
	select {
	case err := <-d.answers:
		return rev, err
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// syncing calls Sync, and returns the channel that receives its result.
func syncing(ctx context.Context, m *store.Mirror) <-chan error {
	done := make(chan error, 1)
	go func() { done <- m.Sync(ctx) }()
	synctest.Wait()
	return done
}

func TestCallsOfSyncAtOnceShareTheNextRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newDistant()
		m, stop := follow(t, s, &view{})
		defer stop()
		first := syncing(t.Context(), m)
		var all []<-chan error
		for range 100 {
			all = append(all, syncing(t.Context(), m))
		}
		if n := s.reads.Load(); n != 1 {
			t.Fatalf("%d reads while the first is running", n)
		}
		s.answers <- nil
		if err := <-first; err != nil {
			t.Error(err)
		}
		synctest.Wait()
		s.answers <- nil
		for _, done := range all {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		if n := s.reads.Load(); n != 2 {
			t.Errorf("%d reads for 101 calls", n)
		}
		again := syncing(t.Context(), m)
		s.answers <- nil
		if err := <-again; err != nil || s.reads.Load() != 3 {
			t.Errorf("after all that: %v, %d reads", err, s.reads.Load())
		}
	})
}

// late is a view that handles a Put only when let is closed.
type late struct {
	*view
	let chan struct{}
}

func (l *late) Put(r store.Record) {
	<-l.let
	l.view.Put(r)
}

// The running read may have reached the store before a commit that a later call must see.
func TestSyncDoesNotJoinAReadThatBeganBeforeIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, v := newDistant(), &late{&view{}, make(chan struct{})}
		m, stop := follow(t, s, v)
		defer stop()
		first := syncing(t.Context(), m)
		if _, err := s.Commit(t.Context(), store.Create(store.Role, "a", []byte("1"), never)); err != nil {
			t.Fatal(err)
		}
		second := syncing(t.Context(), m)
		s.answers <- nil
		if err := <-first; err != nil {
			t.Error(err)
		}
		synctest.Wait()
		select {
		case err := <-second:
			t.Fatalf("it returned before the view shows what was acknowledged before the call: %v", err)
		case s.answers <- nil:
		}
		synctest.Wait()
		select {
		case err := <-second:
			t.Fatalf("its own read knows of the commit, and it did not wait for the view: %v", err)
		default:
		}
		close(v.let)
		if err := <-second; err != nil {
			t.Error(err)
		}
		if got, ok := v.get("a"); !ok || got != "1" {
			t.Errorf("after Sync: %q %v", got, ok)
		}
	})
}

func TestNoAcknowledgedCommitIsMissedByManyCallsOfSync(t *testing.T) {
	s, v := newDistant(), &view{}
	m, stop := follow(t, s, v)
	stopped := make(chan struct{})
	var answering sync.WaitGroup
	answering.Go(func() {
		for {
			select {
			case s.answers <- nil:
			case <-stopped:
				return
			}
		}
	})
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			for n := range 100 {
				id, want := fmt.Sprint(i), fmt.Sprint(n)
				if _, err := s.Commit(t.Context(), store.Put(store.Role, id, []byte(want), never)); err != nil {
					t.Error(err)
					return
				}
				if err := m.Sync(t.Context()); err != nil {
					t.Error(err)
					return
				}
				if got, ok := v.get(id); !ok || got != want {
					t.Errorf("%s is %q, %t after Sync, want %q", id, got, ok, want)
				}
			}
		})
	}
	wg.Wait()
	close(stopped)
	answering.Wait()
	stop()
	if n := s.most.Load(); n != 1 {
		t.Errorf("%d reads at once", n)
	}
}

func TestACallerOfSyncThatGivesUpTakesNobodyWithIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newDistant()
		m, stop := follow(t, s, &view{})
		defer stop()
		leaving, leave := context.WithCancel(t.Context())
		first := syncing(t.Context(), m)
		gone, stays := syncing(leaving, m), syncing(t.Context(), m)
		s.answers <- nil
		if err := <-first; err != nil {
			t.Error(err)
		}
		synctest.Wait()
		leave()
		if err := <-gone; !errors.Is(err, context.Canceled) {
			t.Errorf("the caller that left: %v", err)
		}
		s.answers <- nil
		if err := <-stays; err != nil {
			t.Errorf("the caller that shared its read: %v", err)
		}

		// The caller whose read is running leaves. The caller that waits for the next read gets
		// that read.
		leaving, leave = context.WithCancel(t.Context())
		gone, stays = syncing(leaving, m), syncing(t.Context(), m)
		leave()
		if err := <-gone; !errors.Is(err, context.Canceled) {
			t.Errorf("the caller that left: %v", err)
		}
		s.answers <- nil
		if err := <-stays; err != nil {
			t.Errorf("the caller that came later: %v", err)
		}
	})
}

func TestAReadThatNobodyWaitsForIsCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newDistant()
		m, stop := follow(t, s, &view{})
		defer stop()
		first := syncing(t.Context(), m)
		leaving, leave := context.WithCancel(t.Context())
		before, during := syncing(leaving, m), syncing(leaving, m)
		leave() // before it begins
		<-before
		<-during
		s.answers <- nil
		if err := <-first; err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if n := s.reads.Load(); n != 1 {
			t.Errorf("%d reads, one of them for no caller", n)
		}
		first = syncing(t.Context(), m)
		leaving, leave = context.WithCancel(t.Context())
		during = syncing(leaving, m)
		s.answers <- nil
		<-first
		synctest.Wait()
		leave() // while it is running
		<-during
		synctest.Wait()
		if n := s.running.Load(); n != 0 {
			t.Errorf("%d reads go on for no caller", n)
		}
		again := syncing(t.Context(), m)
		s.answers <- nil
		if err := <-again; err != nil {
			t.Errorf("after a cancelled read: %v", err)
		}
	})
}

func TestWhoWaitsForTheNextReadHearsOfAnUnavailableStoreWithTheOneOnItsWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newDistant()
		m, stop := follow(t, s, &view{})
		defer stop()
		first := syncing(t.Context(), m)
		second := syncing(t.Context(), m)
		s.answers <- store.ErrUnavailable
		for _, done := range []<-chan error{first, second} {
			if err := <-done; !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("got %v", err)
			}
		}
		again := syncing(t.Context(), m)
		s.answers <- nil
		if err := <-again; err != nil || s.reads.Load() != 2 {
			t.Errorf("when it is back: %v after %d reads", err, s.reads.Load())
		}
	})
}
