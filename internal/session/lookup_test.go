package session

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/store/storetest"
)

// lagging is a store whose stream withholds commits until a caller asks for the newest revision.
type lagging struct {
	store.Store
	asked chan struct{}
}

func (s lagging) Watch(ctx context.Context, apply func(store.Batch) error) error {
	return s.Store.Watch(ctx, func(b store.Batch) error {
		if !b.Whole {
			select {
			case <-s.asked:
			case <-ctx.Done():
			}
		}
		return apply(b)
	})
}

func (s lagging) Newest(ctx context.Context) (store.Revision, error) {
	select {
	case s.asked <- struct{}{}:
	default:
	}
	return s.Store.Newest(ctx)
}

func TestASessionThatAnotherNodeHasJustStartedIsFoundByItsKey(t *testing.T) {
	c := newClock()
	shared := storetest.NewMemory(c.Now)
	here := newFixture(t, lagging{shared, make(chan struct{}, 1)}, c)
	there := newFixture(t, shared, c)
	l, _ := there.start(t, "ann")
	key := l.Key().String()
	if _, err := here.Find(key); !errors.Is(err, ErrNoSession) {
		t.Fatalf("the node does not lag: %v", err)
	}
	got, err := here.Lookup(t.Context(), key)
	if err != nil || got.Key() != l.Key() {
		t.Errorf("Lookup = %v, %v", got, err)
	}
	if _, err := here.Lookup(t.Context(), "00000000-0000-4000-8000-000000000000"); !errors.Is(err, ErrNoSession) {
		t.Errorf("of no session: %v", err)
	}
}

// cutOff is a store that can't be reached.
type cutOff struct{ store.Store }

func (cutOff) Newest(context.Context) (store.Revision, error) { return 0, store.ErrUnavailable }

func TestASessionIsNotSaidToBeOverWhereThatCannotBeFoundOut(t *testing.T) {
	c := newClock()
	shared := storetest.NewMemory(c.Now)
	there := newFixture(t, shared, c)
	old, token := there.start(t, "ann")
	here := newFixture(t, cutOff{lagging{shared, nil}}, c)
	l, fresh := there.start(t, "bob")
	if got, err := here.Authenticate(t.Context(), fresh.Text, here.now()); got != nil ||
		!errors.Is(err, store.ErrUnavailable) {
		t.Errorf("an unheard-of token: %v, %v, want that the store is out of reach", got, err)
	}
	if _, err := here.Lookup(t.Context(), l.Key().String()); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("an unheard-of key: %v", err)
	}
	if got, err := here.Authenticate(t.Context(), token.Text, here.now()); err != nil || got == nil ||
		got.Key() != old.Key() {
		t.Errorf("a token that is known: %v, %v", got, err)
	}
	if got, err := here.Authenticate(t.Context(), secret.New("not a token"), here.now()); got != nil || err != nil {
		t.Errorf("what no token looks like: %v, %v", got, err)
	}
}

// remote is a store that counts the reads of its newest revision. Each read takes a millisecond.
type remote struct {
	store.Store
	reads atomic.Int32
}

func (r *remote) Newest(ctx context.Context) (store.Revision, error) {
	r.reads.Add(1)
	<-time.After(time.Millisecond)
	return r.Store.Newest(ctx)
}

func TestUnknownTokensShareTheirReadsOfTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClock()
		s := &remote{Store: storetest.NewMemory(c.Now)}
		f := newFixture(t, s, c)
		const callers, each = 20, 100
		var wg sync.WaitGroup
		for i := range callers {
			wg.Go(func() {
				for n := range each {
					if f.found(fmt.Sprintf("%020x%020x", i, n)) != nil {
						t.Error("a made-up token is a session's")
					}
				}
			})
		}
		wg.Wait()
		if n := s.reads.Load(); n > callers*each/5 {
			t.Errorf("%d reads for %d unknown tokens of %d callers", n, callers*each, callers)
		}
	})
}
