package store_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/store/storetest"
)

// view keeps the records of one kind.
type view struct {
	mu      sync.Mutex // guards the fields below
	records map[string]store.Record
	whole   bool
}

func (v *view) Kinds() []store.Kind { return []store.Kind{store.Role} }

func (v *view) Reset() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.records, v.whole = map[string]store.Record{}, false
}

func (v *view) Put(r store.Record) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.records[r.ID] = r
}

func (v *view) Delete(_ store.Kind, id string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.records, id)
}

func (v *view) Whole() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.whole = true
}

func (v *view) get(id string) (string, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	r, ok := v.records[id]
	return string(r.Value), ok && v.whole
}

// follow runs a mirror of s until the test or stop ends it.
func follow(t *testing.T, s store.Store, v store.View) (m *store.Mirror, stop func()) {
	t.Helper()
	m = store.NewMirror(s, v)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = m.Run(ctx) }()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return m, stop
}

var never time.Time

func TestACommitReturnsWhenTheViewsShowIt(t *testing.T) {
	v := &view{}
	m, _ := follow(t, storetest.NewMemory(time.Now), v)
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			id := fmt.Sprint(i)
			rev, err := m.Commit(t.Context(), store.Create(store.Role, id, []byte(id), never))
			if got, ok := v.get(id); err != nil || !ok || got != id {
				t.Errorf("%s: %q %v, %v", id, got, ok, err)
			}
			revs, err := m.Touch(t.Context(), store.Record{Kind: store.Role, ID: id, Value: []byte("t"), Revision: rev})
			if got, _ := v.get(id); err != nil || revs[0] == 0 || got != "t" {
				t.Errorf("touch of %s: %q, %v", id, got, err)
			}
			if _, err := m.Commit(t.Context(), store.Delete(store.Role, id)); err != nil {
				t.Error(err)
			}
			if _, ok := v.get(id); ok {
				t.Errorf("%s is still shown", id)
			}
		})
	}
	wg.Wait()
}

// slow is a view that handles a deletion only when let is closed.
type slow struct {
	*view
	let chan struct{}
}

func (s *slow) Delete(k store.Kind, id string) {
	<-s.let
	s.view.Delete(k, id)
}

func TestAConflictIsToldOnceTheViewsShowWhatWasInTheWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &slow{&view{}, make(chan struct{})}
		m, stop := follow(t, storetest.NewMemory(time.Now), v)
		defer stop()
		if _, err := m.Commit(t.Context(), store.Create(store.Role, "a", []byte("1"), never)); err != nil {
			t.Fatal(err)
		}
		deleted, refused := make(chan error, 1), make(chan error, 1)
		go func() {
			_, err := m.Commit(t.Context(), store.Delete(store.Role, "a"))
			deleted <- err
		}()
		synctest.Wait()
		go func() {
			_, err := m.Commit(t.Context(), store.Require(store.Role, "a"), store.Put(store.Role, "b", nil, never))
			if _, ok := v.get("a"); ok {
				t.Error("a conflict with a deletion that the view does not show")
			}
			refused <- err
		}()
		synctest.Wait()
		close(v.let)
		if err := <-deleted; err != nil {
			t.Error(err)
		}
		if err := <-refused; !errors.Is(err, store.ErrConflict) {
			t.Errorf("want a conflict, got %v", err)
		}
	})
}

func TestAConflictOfWhoFollowsNoMoreIsNotTold(t *testing.T) {
	m, stop := follow(t, storetest.NewMemory(time.Now), &view{})
	if err := m.Wait(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	stop()
	if _, err := m.Commit(t.Context(), store.Create(store.Role, "a", nil, never)); !errors.Is(err, store.ErrUncertain) {
		t.Fatal(err)
	}
	_, err := m.Commit(t.Context(), store.Create(store.Role, "a", nil, never))
	if !errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrConflict) {
		t.Errorf("got %v", err)
	}
}

func TestAMirrorBeginsWithTheWholeStateAndSeesWhatOthersWrite(t *testing.T) {
	s := storetest.NewMemory(time.Now)
	if _, err := s.Commit(t.Context(), store.Create(store.Role, "before", []byte("1"), never)); err != nil {
		t.Fatal(err)
	}
	v := &view{}
	m, _ := follow(t, s, v)
	if err := m.Wait(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if got, ok := v.get("before"); !ok || got != "1" || !m.Whole() {
		t.Errorf("at the start: %q %v", got, ok)
	}
	if _, err := s.Commit(t.Context(), store.Put(store.Role, "other", []byte("2"), never)); err != nil {
		t.Fatal(err)
	}
	if err := m.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, ok := v.get("other"); !ok || got != "2" {
		t.Errorf("after Sync: %q %v", got, ok)
	}
}

func TestAMirrorThatFollowsNoMoreSaysSo(t *testing.T) {
	v := &view{}
	m, stop := follow(t, storetest.NewMemory(time.Now), v)
	if err := m.Wait(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	stop()
	if m.Whole() {
		t.Error("it says that it is whole")
	}
	_, err := m.Commit(t.Context(), store.Put(store.Role, "late", nil, never))
	if !errors.Is(err, store.ErrUncertain) || errors.Is(err, store.ErrUnavailable) {
		t.Errorf("a commit that no view shows: %v", err)
	}
}

func TestWaitingIsGivenUpWithItsContext(t *testing.T) {
	m := store.NewMirror(storetest.NewMemory(time.Now)) // follows nothing
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := m.Wait(ctx, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestEachWaitEndsWithTheCommitThatItIsFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := storetest.NewMemory(time.Now)
		m, stop := follow(t, s, &view{})
		synctest.Wait()
		const commits = 5
		ended := make([][]error, commits+1) // by the revision that the waits are for
		var mu sync.Mutex
		wait := func(ctx context.Context, rev store.Revision) {
			go func() {
				err := m.Wait(ctx, rev)
				mu.Lock()
				defer mu.Unlock()
				ended[rev] = append(ended[rev], err)
			}()
			synctest.Wait()
		}
		impatient, cancel := context.WithCancel(t.Context())
		for _, rev := range []store.Revision{3, 1, 5, 2, 3, 1, 4} {
			wait(t.Context(), rev)
			wait(impatient, rev)
		}
		cancel()
		synctest.Wait()
		for rev, errs := range ended[1:] {
			for _, err := range errs {
				if !errors.Is(err, context.Canceled) {
					t.Errorf("a wait for commit %d ended with %v", rev+1, err)
				}
			}
		}
		clear(ended)
		want := []int{0, 2, 1, 2, 1, 0}
		for rev := range store.Revision(4) {
			if _, err := s.Commit(t.Context(), store.Put(store.Role, "a", nil, never)); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			for i, errs := range ended {
				ahead := i > int(rev)+1
				if ahead && len(errs) > 0 || !ahead && (len(errs) != want[i] || errors.Join(errs...) != nil) {
					t.Errorf("after commit %d the waits for %d ended with %v", rev+1, i, errs)
				}
			}
		}
		stop()
		synctest.Wait()
		if len(ended[5]) != 1 || !errors.Is(ended[5][0], store.ErrUnavailable) {
			t.Errorf("the wait for a commit that never comes ended with %v", ended[5])
		}
	})
}

func TestTwoViewsOfOneKindAreAMistake(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("it did not panic")
		}
	}()
	store.NewMirror(storetest.NewMemory(time.Now), &view{}, &view{})
}
