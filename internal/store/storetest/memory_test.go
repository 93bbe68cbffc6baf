package storetest

import (
	"testing"
	"time"

	"github.com/vigate/vigate/internal/store"
)

// shared is data on which any number of handles can be open.
type shared struct{ b *backing }

func (s shared) Open(*testing.T) store.Store { return s.b.open() }

func (s shared) Second(t *testing.T, _ store.Store) store.Store {
	second := s.b.open()
	t.Cleanup(func() { second.Close() })
	return second
}

func TestMemoryIsAStore(t *testing.T) {
	Run(t, func(_ *testing.T, now func() time.Time) Data { return shared{newBacking(now)} })
}

func TestMemoryNeedsNoClock(t *testing.T) {
	s := NewMemory(nil)
	defer s.Close()
	if _, err := s.Commit(t.Context(), store.Create(store.Session, "a", nil, time.Now().Add(time.Hour))); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(t.Context(), store.Session, "a"); err != nil {
		t.Fatal(err)
	}
}
