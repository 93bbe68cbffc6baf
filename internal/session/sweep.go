package session

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/store"
)

// endBatch is how many sessions one commit ends. flushBatch is how many sessions' activity one
// commit writes. They are large enough to share the cost of an fsync, and small enough for an etcd
// transaction, which has at most 128 operations by default.
const (
	endBatch   = 60
	flushBatch = 1000
)

// EndAll ends every live session that match selects, each with the event that of returns for it,
// and returns their number. If it returns no error, no such session is left, including sessions
// that were cloned in the meantime. The caller must have made sure that no new ones can be started
// by a login.
func (m *Manager) EndAll(ctx context.Context, match func(*Session) bool, of func(Session) event.Event) (int, error) {
	total := 0
	for {
		// On a shared store, catch up with the sessions that other nodes have started.
		if err := m.mirror.Sync(ctx); err != nil {
			return total, fmt.Errorf("end sessions: %w", err)
		}
		var found []ending
		for l := range m.table.all() {
			if s := l.Session(); match(&s) {
				found = append(found, ending{l, store.Delete(store.Session, s.Key.String())})
			}
		}
		if len(found) == 0 {
			return total, nil
		}
		n, err := m.endEach(ctx, found, of)
		total += n
		if err != nil {
			return total, err
		}
	}
}

// Evict ends the sessions of a principal that has lost its access: its own, those in which another
// principal acts as it, and those in which it acts as another. It spares the session with the key
// keep, if keep is not empty.
func (m *Manager) Evict(ctx context.Context, who principal.Name, keep string) error {
	_, err := m.EndAll(ctx, func(s *Session) bool {
		owner := s.Owner()
		return s.Key.String() != keep && (s.Identity.Name.Equal(who) || owner.Name.Equal(who))
	}, func(s Session) event.Event { return Terminated(s, event.By(who.String())) })
	return err
}

// SweepExpired ends the expired sessions and returns their number.
func (m *Manager) SweepExpired(ctx context.Context) (int, error) {
	return m.sweep(ctx, 0, shards)
}

// A table of more than smallTable sessions is swept in sweepTurns turns, because to check a million
// sessions at each sweep would keep a tenth of a core busy. A late sweep makes no difference to a
// session's holder: an expired session can't be used.
const (
	smallTable = 20_000
	sweepTurns = 16
)

// SweepTurn sweeps one part of the table, or all of it if it is small. turn counts the calls.
func (m *Manager) SweepTurn(ctx context.Context, turn int) (int, error) {
	if m.table.Size() <= smallTable {
		return m.SweepExpired(ctx)
	}
	const share = shards / sweepTurns
	from := turn % sweepTurns * share
	return m.sweep(ctx, from, from+share)
}

// sweep ends the expired sessions in some shards. This server may not know the latest use of a
// session that another server has recorded. So a session is ended only if its record is still at
// the revision that was judged.
func (m *Manager) sweep(ctx context.Context, from, to int) (int, error) {
	grace, ok := m.sweeps()
	if !ok {
		return 0, nil
	}
	now, idle := m.now().Add(-grace), m.policy().Idle
	var dead []ending
	for i := from; i < to; i++ {
		for _, l := range m.table.shard(i) {
			// read before the state, so that a newer state makes the change fail
			at := store.Revision(l.revision.Load())
			if !l.Alive(now, idle) {
				dead = append(dead, ending{l, store.DeleteAt(store.Session, l.Key().String(), at)})
			}
		}
	}
	return m.endEach(ctx, dead, Logout)
}

// ending is a session and the change that ends it.
type ending struct {
	*Live
	change store.Change
}

func (m *Manager) endEach(ctx context.Context, all []ending, of func(Session) event.Event) (int, error) {
	ended := 0
	for len(all) > 0 {
		n := min(endBatch, len(all))
		batch := all[:n]
		all = all[n:]
		var changes []store.Change
		for _, e := range batch {
			changes = append(changes, e.change, m.events.Change(of(e.Session())))
		}
		_, err := m.mirror.Commit(ctx, changes...)
		switch {
		case err == nil:
			ended += n
		case errors.Is(err, store.ErrConflict):
			// Another server has ended or used one of them: end them one by one.
			for _, e := range batch {
				switch err := m.commitEnd(ctx, e.change, of(e.Session())); {
				case err == nil:
					ended++
				case !errors.Is(err, ErrNoSession):
					return ended, err
				}
			}
		default:
			return ended, fmt.Errorf("end sessions: %w", err)
		}
	}
	return ended, nil
}

// Flush writes the activity since the last flush to the store. It is called every few seconds and
// at shutdown, by one goroutine at a time. It never creates a record: the activity of a session
// that has ended is dropped.
func (m *Manager) Flush(ctx context.Context) error {
	dirty := m.table.takeDirty()
	for len(dirty) > 0 {
		batch := dirty[:min(flushBatch, len(dirty))]
		if err := m.flush(ctx, batch); err != nil {
			m.requeue(dirty)
			return fmt.Errorf("flush activity: %w", err)
		}
		dirty = dirty[len(batch):]
	}
	return nil
}

func (m *Manager) flush(ctx context.Context, batch []*Live) error {
	records := make([]store.Record, 0, len(batch))
	for _, l := range batch {
		// Read the revision first: if the record changes afterwards, the write fails instead of
		// overwriting the change.
		rev := store.Revision(l.revision.Load())
		n, base := min(l.calls.Load(), math.MaxUint32), l.base.Load()
		l.flushing.Store(uint32(n))
		s := l.Session()
		s.CallCount = base + n
		records = append(records, store.Record{Kind: store.Session, ID: s.Key.String(), Value: s.encode(),
			Revision: rev})
	}
	revs, err := m.mirror.Touch(ctx, records...)
	if err != nil {
		return err
	}
	var lost []*Live
	for i, l := range batch {
		if revs[i] == 0 {
			l.flushing.Store(0)
			if m.Alive(l) {
				lost = append(lost, l)
			}
		}
	}
	m.requeue(lost)
	return nil
}

// requeue marks the sessions to be flushed again next time.
func (m *Manager) requeue(all []*Live) {
	for _, l := range all {
		m.table.markDirty(l)
	}
}
