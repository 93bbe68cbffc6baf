package session

import (
	"context"
	"errors"
	"testing"

	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/store/storetest"
)

// lagging is a store whose stream holds commits back until somebody asks for the
// newest.
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
	shared := storetest.NewMemory(c.now)
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
