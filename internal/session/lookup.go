package session

import (
	"context"
	"errors"
	"fmt"
)

// Lookup is Find that knows of every session that any node was acknowledged: on
// a shared store another may have started the session an instant ago.
//
// Errors: ErrNoSession, or the store's where that can't be found out.
func (m *Manager) Lookup(ctx context.Context, key string) (*Live, error) {
	l, err := m.Find(key)
	if !errors.Is(err, ErrNoSession) {
		return l, err
	}
	if _, ok := ParseKey(key); !ok {
		return nil, ErrNoSession
	}
	if err := m.mirror.Sync(ctx); err != nil {
		return nil, fmt.Errorf("look up session: %w", err)
	}
	return m.Find(key)
}
