package session

import (
	"context"
	"errors"
	"fmt"
)

// Lookup is like Find, but also knows every session whose start any node has acknowledged: on a
// shared store another node may have started it an instant ago.
//
// It returns ErrNoSession, or the store's error if the session's state can't be determined.
func (m *Manager) Lookup(ctx context.Context, key string) (*Live, error) {
	l, err := m.Find(key)
	if !errors.Is(err, ErrNoSession) {
		return l, err
	}
	if _, ok := parseKey(key); !ok {
		return nil, ErrNoSession
	}
	if err := m.mirror.Sync(ctx); err != nil {
		return nil, fmt.Errorf("look up session: %w", err)
	}
	return m.Find(key)
}
