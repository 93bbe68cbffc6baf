package bolt

import (
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/store"
)

func TestEachTransactionIsToldOnceWithTheWritesInIt(t *testing.T) {
	var groups, writes int // only the writing goroutine uses them, until Close
	observe := func(n int, took time.Duration, err error) {
		if groups++; took < 0 || err != nil {
			t.Errorf("took %v: %v", took, err)
		}
		writes += n
	}
	s := openTest(t, filepath.Join(t.TempDir(), "store.db"), Options{Observe: observe})
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Go(func() {
			if _, err := s.Commit(t.Context(), store.Put(store.Session, sessionID(i), nil, time.Time{})); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if _, err := s.Commit(t.Context(), store.Require(store.Session, "nobody")); !errors.Is(err, store.ErrConflict) {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if writes != 100 || groups < 1 || groups > 100 {
		t.Errorf("%d writes in %d transactions", writes, groups)
	}
}
