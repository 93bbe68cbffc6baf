package event

import (
	"context"
	"fmt"
	"slices"

	"github.com/vigate/vigate/internal/store"
)

// Committer is what Trim needs of a store or a mirror.
type Committer interface {
	Commit(ctx context.Context, changes ...store.Change) (store.Revision, error)
}

// trimBatch is how many events one commit of Trim removes.
const trimBatch = 256

// Trim removes from the store up to limit of the oldest events past the number
// to keep, in commits of 256, and returns how many it removed. Several servers
// may trim one store: an event that is gone already is none.
func (l *Log) Trim(ctx context.Context, c Committer, limit int) (int, error) {
	l.mu.Lock()
	excess := slices.Clone(l.window.excess[:min(max(limit, 0), len(l.window.excess))])
	l.mu.Unlock()
	done := 0
	for batch := range slices.Chunk(excess, trimBatch) {
		changes := make([]store.Change, len(batch))
		for i, seq := range batch {
			changes[i] = store.Clear(store.Event, store.SequenceID(seq))
		}
		if _, err := c.Commit(ctx, changes...); err != nil {
			return done, fmt.Errorf("trim events: %w", err)
		}
		done += len(batch)
	}
	return done, nil
}
