package storetest

import (
	"testing"
	"time"

	"github.com/vigate/vigate/internal/store"
)

func TestMemoryServesAnAcknowledgedCommit(t *testing.T) {
	s := NewMemory(nil)
	rev, err := s.Commit(t.Context(), store.Create(store.Session, "a", []byte("v"), time.Time{}))
	if err != nil || rev == 0 {
		t.Fatalf("Commit = %d, %v", rev, err)
	}
	r, err := s.Get(t.Context(), store.Session, "a")
	if err != nil || string(r.Value) != "v" || r.Revision != rev {
		t.Fatalf("Get = %+v, %v", r, err)
	}
}
