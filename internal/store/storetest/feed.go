package storetest

import (
	"context"
	"testing"

	"github.com/vigate/vigate/internal/store"
)

// Follow runs the mirror until the test ends, so that it feeds its views. Follow returns once the
// views hold a whole state.
func Follow(t testing.TB, m *store.Mirror) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		// Run also ends if the test closes the store. Whatever needs the views then fails.
		_ = m.Run(ctx)
	}()
	t.Cleanup(func() { stop(); <-done })
	if err := m.Wait(t.Context(), 0); err != nil {
		t.Fatalf("follow store: %v", err)
	}
}
