package session

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/vigate/vigate/internal/store"
)

// Limits hold in two steps. A claim, made before the commit, keeps the logins of
// this process within them, and refuses before anything is spent. On a shared
// store other processes may have taken the place meanwhile: so once a session
// is committed, its place is judged in the order of commits, which is the same
// for all. What is beyond a limit is ended again before anybody has its token.
//
// So no session whose token was handed out is ever beyond a limit: each had,
// itself included, no more sessions than allowed in what was committed up to
// some point at or after its own commit, and of any that live at the same time
// the one judged at the latest point counted all of them.

// stepBackTime bounds how long it is tried to end a session again that is
// beyond a limit, whether or not the caller still waits.
const stepBackTime = 10 * time.Second

// claim is the place kept for a session that is about to be.
type claim struct {
	owner  string // principal.Name.Key
	policy Policy // in force when the claim was made
	// fits: when the session was put into the table, in the order of commits, it
	// was within the limits of policy. False too where that order was not seen.
	// Guarded by Table.mu.
	fits bool
}

// admit reserves a place for the session, sweeping expired ones away first if
// that is what it takes.
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

// confirm returns nil if the committed session is within the limits. If not it
// ends the session, gives back the tickets that it was made with, and returns
// *LimitError, or why it could not, which is store.ErrUncertain: then there is a
// session that nobody has the token of, until it expires.
func (m *Manager) confirm(ctx context.Context, l *Live, c *claim, tickets []store.Record) error {
	if m.table.fits(c) {
		return nil
	}
	// A caller that no longer waits must not leave the session behind.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stepBackTime)
	defer cancel()
	// Expired sessions count until they are swept. Whether or not that works, the
	// number that remains decides.
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

// stepBack ends a session whose token nobody gets, and gives back the tickets
// that it was made with. It does not depend on the caller, who may be gone. If
// the session can't be ended the error is store.ErrUncertain.
func (m *Manager) stepBack(ctx context.Context, s Session, tickets []store.Record) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stepBackTime)
	defer cancel()
	back := make([]store.Change, 0, len(tickets))
	for _, r := range tickets {
		back = append(back, store.Create(r.Kind, r.ID, r.Value, r.Expires))
	}
	err := m.commitEnd(ctx, store.Delete(store.Session, s.Key.String()), Logout(s), back...)
	if err != nil && !errors.Is(err, ErrNoSession) { // then another has ended it, and what it spent stays spent
		// There may be a session now: the store's word that its end was not written
		// must not be taken for one that nothing was.
		return fmt.Errorf("step back from session: %w: %w", store.ErrUncertain, err)
	}
	return nil
}

// reserve claims a place for a session that is about to be, so that no number
// of logins at the same time exceeds the limits in this process.
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

// release gives a claim back, if the session did not come to be.
func (t *Table) release(key Key) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if c := t.claims[key]; c != nil {
		delete(t.claims, key)
		t.add(c.owner, -1)
	}
}

// load notes whether a whole state is being loaded. It comes in no order, so
// that nothing can be said meanwhile of a session's place.
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

// exceeded is beyond as of now.
func (t *Table) exceeded(owner string, p Policy) *LimitError {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.beyond(owner, p)
}

// beyond returns the limit that the sessions in the table exceed, those about
// to be left out; nil: none. Callers hold mu.
func (t *Table) beyond(owner string, p Policy) *LimitError {
	if t.size <= p.MaxSessions && t.owners[owner] <= p.MaxPerPrincipal {
		return nil // with those about to be, even
	}
	own := t.owners[owner]
	for _, c := range t.claims {
		if c.owner == owner {
			own--
		}
	}
	// The one beyond is about to go.
	if all := t.size - len(t.claims); all > p.MaxSessions {
		return &LimitError{Limit: "sessions", Max: p.MaxSessions, Live: all - 1}
	}
	if own > p.MaxPerPrincipal {
		return &LimitError{Limit: "user", Max: p.MaxPerPrincipal, Live: own - 1}
	}
	return nil
}
