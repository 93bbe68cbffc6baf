package storetest

import (
	"context"
	"testing"

	"github.com/vigate/vigate/internal/store"
)

// Follow feeds the mirror's views until the test ends. It returns once they hold
// what is stored.
func Follow(t testing.TB, m *store.Mirror) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		// A store that a test has closed ends it, too: what depends on it then fails.
		_ = m.Run(ctx)
	}()
	t.Cleanup(func() { stop(); <-done })
	if err := m.Wait(t.Context(), 0); err != nil {
		t.Fatalf("follow store: %v", err)
	}
}
