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
// 256, and returns how many it removed: those that had to make room and, if asked
// to, those that have expired. An expired event stays for as long as one before it
// does: the numbers of events are counted from the oldest.
//
// An event that stays while many after it have made room is moved out of their way
// in the same commit, and keeps its number. So what the store holds is bounded
// too, and few events are ever written twice.
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
		t := l.window.front(min(trimBatch, limit-done), now)
		l.mu.Unlock()
		if n.damaged != nil {
			return done, fmt.Errorf("trim events: %w", n.damaged)
		}
		changes := t.changes(n)
		if len(changes) == 0 {
			break
		}
		switch _, err := c.Commit(ctx, changes...); {
		case errors.Is(err, store.ErrConflict):
			return done, nil
		case err != nil:
			return done, fmt.Errorf("trim events: %w", err)
		}
		done += len(t.ids)
	}
	return done, nil
}

// changes are the commit of a step, nothing if there is nothing to do.
func (t *trimming) changes(n numbering) []store.Change {
	var changes []store.Change
	for _, seq := range t.stale {
		changes = append(changes, store.Clear(store.KeptEvent, store.NumberedID(seq)))
	}
	if len(t.ids) == 0 {
		return changes
	}
	for _, e := range t.moved {
		changes = append(changes, e.kept())
	}
	return append(changes, n.Trim(store.Event, n.at, t.last, t.ids...)...)
}
