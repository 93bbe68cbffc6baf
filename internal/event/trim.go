package event

import (
	"context"
	"errors"
	"fmt"

	"github.com/vigate/vigate/internal/store"
)

// Committer is what Trim needs of a mirror that feeds the log.
type Committer interface {
	Commit(ctx context.Context, changes ...store.Change) (store.Revision, error)
}

// trimBatch is how many events one commit of Trim removes.
const trimBatch = 256

// Trim removes from the store up to limit of the oldest events, in commits of
// 256, and returns how many it removed: those past the number to keep and, if
// asked to, those that have expired. An expired event stays for as long as one
// before it does: the numbers of events are counted from the oldest.
//
// Several servers may trim one store. If another one does so at the same time,
// Trim leaves the rest to it.
func (l *Log) Trim(ctx context.Context, c Committer, limit int, expired bool) (int, error) {
	done := 0
	for done < limit {
		var now int64
		if expired {
			now = l.now().UnixNano()
		}
		l.mu.Lock()
		n := l.window.numbering
		ids, last := l.window.oldest(min(trimBatch, limit-done), now)
		l.mu.Unlock()
		if n.damaged != nil {
			return done, fmt.Errorf("trim events: %w", n.damaged)
		}
		if len(ids) == 0 {
			break
		}
		switch _, err := c.Commit(ctx, n.Trim(store.Event, n.at, last, ids...)...); {
		case errors.Is(err, store.ErrConflict):
			return done, nil
		case err != nil:
			return done, fmt.Errorf("trim events: %w", err)
		}
		done += len(ids)
	}
	return done, nil
}
