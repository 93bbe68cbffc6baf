package session

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/vigate/vigate/internal/store"
)

// The limits are enforced in two steps.
//
// First, before the commit, a claim reserves a place in this process. It keeps this process's
// concurrent logins within the limits and refuses a login before its tickets are spent.
//
// Second, after the commit, the session's place is checked again in the order of commits, which is
// the same in all processes: on a shared store another process may have taken the place in between.
// A session beyond a limit is ended before anybody has its token.
//
// So the sessions whose tokens were handed out never exceed a limit:
//
//  1. Each of them was checked against all sessions, itself included, that were committed up to
//     some point at or after its own commit, and was within the limits.
//  2. Of any sessions that are alive at the same time, the one that was checked at the latest point
//     counted all of them.

// stepBackTime limits how long the server tries to end a session that is beyond a limit. It applies
// even if the caller no longer waits.
const stepBackTime = 10 * time.Second

// claim is the place that is reserved for a session that is about to be committed.
type claim struct {
	owner  string // principal.Name.Key
	policy Policy // in force when the claim was made
	// fits reports whether the session was within the limits of policy when it was put into the
	// table, in the order of commits. It is false if that order is unknown, because a whole state
	// was being loaded. Guarded by Table.mu.
	fits bool
}

// admit reserves a place for the session. If there is none, it sweeps expired sessions and tries
// again.
func (m *Manager) admit(ctx context.Context, key Key, owner string, p Policy) (*claim, error) {
	c, err := m.table.reserve(key, owner, p)
	if err == nil {
		return c, nil
	}
	if n, sweepErr := m.SweepExpired(ctx); n == 0 || sweepErr != nil {
		return nil, err
	}
	return m.table.reserve(key, owner, p)
}

// confirm returns nil if the committed session is within the limits. Otherwise it ends the session,
// restores the tickets that it was started with, and returns a *LimitError. If it can't end the
// session, it returns store.ErrUncertain: the session then exists until it expires, but nobody has
// its token.
func (m *Manager) confirm(ctx context.Context, l *Live, c *claim, tickets []store.Record) error {
	if m.table.fits(c) {
		return nil
	}
	// Even if the caller no longer waits, the session must be ended.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stepBackTime)
	defer cancel()
	// Expired sessions count until they are swept. If the sweep fails, the number that remains
	// decides.
	_, _ = m.SweepExpired(ctx)
	limit := m.table.exceeded(c.owner, m.policy())
	if limit == nil {
		return nil
	}
	if err := m.stepBack(ctx, l.Session(), tickets); err != nil {
		return err
	}
	return limit
}

// stepBack ends a session whose token nobody will get, and restores the tickets that it was started
// with. It continues if the caller has gone. If the session can't be ended, the error is
// store.ErrUncertain.
func (m *Manager) stepBack(ctx context.Context, s Session, tickets []store.Record) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stepBackTime)
	defer cancel()
	back := make([]store.Change, 0, len(tickets))
	for _, r := range tickets {
		back = append(back, store.Create(r.Kind, r.ID, r.Value, r.Expires))
	}
	err := m.commitEnd(ctx, store.Delete(store.Session, s.Key.String()), Logout(s), back...)
	// If there is no session, another server has ended it: the tickets then stay spent.
	if err != nil && !errors.Is(err, ErrNoSession) {
		// The session may exist. The store's error says only that its end was not written, and must
		// not be read as "nothing was written".
		return fmt.Errorf("undo session: %w: %w", store.ErrUncertain, err)
	}
	return nil
}

// reserve claims a place for a session that is about to be committed, so that concurrent logins of
// this process can't exceed the limits.
func (t *Table) reserve(key Key, owner string, p Policy) (*claim, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.size >= p.MaxSessions {
		return nil, &LimitError{Limit: "sessions", Max: p.MaxSessions, Live: t.size}
	}
	if n := t.owners[owner]; n >= p.MaxPerPrincipal {
		return nil, &LimitError{Limit: "user", Max: p.MaxPerPrincipal, Live: n}
	}
	c := &claim{owner: owner, policy: p}
	t.claims[key] = c
	t.add(owner, 1)
	return c, nil
}

// release gives up the claim of a session that was not committed.
func (t *Table) release(key Key) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if c := t.claims[key]; c != nil {
		delete(t.claims, key)
		t.add(c.owner, -1)
	}
}

// load records whether a whole state is being loaded. A whole state has no order of commits, so the
// place of a session can't be determined during that time.
func (t *Table) load(begins bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.loading = begins
}

func (t *Table) fits(c *claim) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return c.fits
}

// exceeded returns the limit that is exceeded now, or nil.
func (t *Table) exceeded(owner string, p Policy) *LimitError {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.beyond(owner, p)
}

// beyond returns the limit that the sessions in the table exceed, or nil. Sessions that are about
// to be committed don't count. Callers hold mu.
func (t *Table) beyond(owner string, p Policy) *LimitError {
	if t.size <= p.MaxSessions && t.owners[owner] <= p.MaxPerPrincipal {
		return nil // within the limit even with the claimed places
	}
	own := t.owners[owner]
	for _, c := range t.claims {
		if c.owner == owner {
			own--
		}
	}
	// The session that exceeds the limit is about to be ended.
	if all := t.size - len(t.claims); all > p.MaxSessions {
		return &LimitError{Limit: "sessions", Max: p.MaxSessions, Live: all - 1}
	}
	if own > p.MaxPerPrincipal {
		return &LimitError{Limit: "user", Max: p.MaxPerPrincipal, Live: own - 1}
	}
	return nil
}
