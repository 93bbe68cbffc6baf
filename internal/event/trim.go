package event

import (
	"context"
	"errors"
	"fmt"

	"github.com/vigate/vigate/internal/store"
)

// Committer is the part of a store.Mirror that Trim uses. The mirror must update the log.
type Committer interface {
	Commit(ctx context.Context, changes ...store.Change) (store.Revision, error)
}

// trimBatch is the maximum number of events that one commit of Trim removes.
const trimBatch = 256

// Trim removes up to limit of the oldest events from the store, in commits of 256, and returns the
// number of removed events. It removes events that exceeded the limits of their part of the log
// and, if expired is set, events that have expired. An expired event stays as long as an older
// event is stored, because the numbers of events are counted from the oldest one.
//
// An event may have to stay although many newer events can be removed. Trim then moves it to
// store.KeptEvent in the same commit; its number does not change. So the size of the store is
// limited as well, and few events are written twice.
//
// Several servers may trim one store. If another one does so at the same time, Trim returns and
// leaves the rest to it.
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

// changes returns the changes of one step. There are none if nothing is to be removed.
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
