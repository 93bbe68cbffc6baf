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

// endBatch is how many sessions one commit ends, and flushBatch how many one
// write of activity holds: enough to share the cost of an fsync, few enough
// for the operations that an etcd transaction takes by default (128).
const (
	endBatch   = 60
	flushBatch = 1000
)

// EndAll ends every live session that match selects, each with the event that
// of gives for it, and returns how many. When it returns without an error no
// such session is left, those cloned meanwhile included: the caller has made
// sure that no new one can come by other ways.
func (m *Manager) EndAll(ctx context.Context, match func(*Session) bool, of func(Session) event.Event) (int, error) {
	total := 0
	for {
		// On a shared store, see what other nodes have started.
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

// Evict ends all sessions of who lost its access but the one with the key keep,
// those in which another acts as it, and those in which it acts as another,
// included. Empty keep: all.
func (m *Manager) Evict(ctx context.Context, who principal.Name, keep string) error {
	_, err := m.EndAll(ctx, func(s *Session) bool {
		owner := s.Owner()
		return s.Key.String() != keep && (s.Identity.Name.Equal(who) || owner.Name.Equal(who))
	}, func(s Session) event.Event { return Terminated(s, event.By(who.String())) })
	return err
}

// SweepExpired ends the sessions whose time is over and returns how many.
func (m *Manager) SweepExpired(ctx context.Context) (int, error) {
	return m.sweep(ctx, 0, shards)
}

// A table of more than smallTable sessions is swept in sweepTurns turns, so that
// looking at a million sessions does not take a tenth of a core for good. That
// a session is swept late changes nothing for its holder: it is dead.
const (
	smallTable = 20_000
	sweepTurns = 16
)

// SweepTurn sweeps its share of the table: all of it if it is small. turn counts
// the calls.
func (m *Manager) SweepTurn(ctx context.Context, turn int) (int, error) {
	if m.table.Size() <= smallTable {
		return m.SweepExpired(ctx)
	}
	const share = shards / sweepTurns
	from := turn % sweepTurns * share
	return m.sweep(ctx, from, from+share)
}

// sweep ends what has expired in some shards. That was found out from what this
// server knows: it is ended as it was known, so that a session whose use another
// has written down meanwhile lives on.
func (m *Manager) sweep(ctx context.Context, from, to int) (int, error) {
	grace, ok := m.sweeps()
	if !ok {
		return 0, nil
	}
	now, idle := m.now().Add(-grace), m.policy().Idle
	var dead []ending
	for i := from; i < to; i++ {
		for _, l := range m.table.shard(i) {
			at := store.Revision(l.revision.Load()) // before what it says
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
			// One of them was ended, or used, by another: go through them one by one.
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

// Flush writes down the activity since the last flush. It is called every few
// seconds and at the end, by one goroutine at a time. It never creates: activity
// of a session that ended meanwhile is passed over.
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
		// The revision first: a record that changes after it makes the touch
		// lose instead of overwriting the change.
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

// requeue has the sessions flushed again next time.
func (m *Manager) requeue(all []*Live) {
	for _, l := range all {
		m.table.markDirty(l)
	}
}
