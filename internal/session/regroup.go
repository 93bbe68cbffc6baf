package session

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/store"
)

// regroupBytes is the size of the records that one commit of Regroup may have, because the groups of
// a user may be long. A record that is larger is committed alone.
const regroupBytes = 256 << 10

// errSameGroups means that a session needs no change.
var errSameGroups = errors.New("session has these groups")

// Regroup sets the current groups of the principal in the given sessions, as far as they act as the principal or were
// started by it. It returns how many sessions had other groups. Sessions that have ended are left out. When it
// returns, the change is durable and in force. Groups have the form of principal.Name.String.
func (m *Manager) Regroup(ctx context.Context, who principal.Name, groups []string, all []*Live) (int, error) {
	total := 0
	for len(all) > 0 {
		changes, n := m.regroupings(who, groups, all)
		batch := all[:n]
		all = all[n:]
		if len(changes) == 0 {
			continue
		}
		_, err := m.mirror.Commit(ctx, changes...)
		switch {
		case err == nil:
			total += len(changes)
		case errors.Is(err, store.ErrConflict):
			// One of them has changed or ended in the meantime: change them one by one.
			n, err := m.regroupEach(ctx, who, groups, batch)
			total += n
			if err != nil {
				return total, err
			}
		default:
			return total, fmt.Errorf("change groups of sessions: %w", err)
		}
	}
	return total, nil
}

// regroupings returns the changes of one commit, and for how many of the sessions they are.
func (m *Manager) regroupings(who principal.Name, groups []string, all []*Live) (changes []store.Change, n int) {
	size := 0
	for _, l := range all {
		if len(changes) == endBatch || size >= regroupBytes {
			break
		}
		n++
		at := store.Revision(l.revision.Load())
		s := l.Session()
		s.CallCount = l.base.Load() // as in Update
		if !m.Alive(l) || !s.regroup(who, groups) {
			continue
		}
		value := s.encode()
		size += len(value)
		changes = append(changes, store.Update(store.Session, s.Key.String(), at, value, time.Time{}))
	}
	return changes, n
}

func (m *Manager) regroupEach(
	ctx context.Context, who principal.Name, groups []string, all []*Live,
) (int, error) {
	total := 0
	for _, l := range all {
		err := m.Update(ctx, l, func(s *Session) ([]store.Change, error) {
			if !s.regroup(who, groups) {
				return nil, errSameGroups
			}
			return nil, nil
		})
		switch {
		case err == nil:
			total++
		case !errors.Is(err, errSameGroups) && !errors.Is(err, ErrNoSession):
			return total, err
		}
	}
	return total, nil
}

// regroup changes the groups of the principal, and reports whether they were others.
func (s *Session) regroup(who principal.Name, groups []string) bool {
	changed := false
	for _, i := range []*Identity{&s.Identity, s.Origin} {
		if i != nil && !i.Extension && i.Name.Equal(who) && !sameGroups(i.Groups, groups) {
			i.Groups = slices.Clone(groups)
			changed = true
		}
	}
	return changed
}

// sameGroups reports whether both lists name the same groups.
func sameGroups(a, b []string) bool {
	set := func(names []string) map[string]bool {
		m := map[string]bool{}
		for _, n := range names {
			m[principal.Fold(n)] = true
		}
		return m
	}
	return slices.Equal(a, b) || maps.Equal(set(a), set(b))
}
