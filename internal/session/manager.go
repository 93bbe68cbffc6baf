package session

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"time"

	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/store"
)

// Options of a Manager. Mirror, Table, Events, Policy and Thumbprint are needed.
type Options struct {
	Mirror *store.Mirror // feeds Table
	Table  *Table
	Events *event.Log
	Policy func() Policy
	// Thumbprint returns the SHA-1 of the server's certificate as AA-BB-…, for clone tickets.
	Thumbprint func() string
	// Sweeps reports whether this server may end expired sessions for all servers, judging by its
	// own clock and state, and how long after their expiry. If nil, it may do so at once.
	Sweeps func() (grace time.Duration, ok bool)
	// Spares returns the condition that no session of the principal is about to be ended, except
	// the one with the key. ok is false if sessions of the principal are about to be ended. If nil,
	// none ever is.
	Spares func(who principal.Name, key string) (condition store.Change, ok bool)
	Now    func() time.Time // nil: time.Now
	Random io.Reader        // nil: crypto/rand
}

// Manager starts and ends sessions and issues tickets. It is safe for concurrent use.
//
// It sees the sessions of this server itself, or those of the front that it was made for by On.
// Some methods are for the sessions of all fronts, and their comments say so: Manager counts all
// sessions for the limits, sweeps and flushes all, and ends all that EndAll and Evict select.
type Manager struct {
	table      *Table
	mirror     *store.Mirror
	events     *event.Log
	policy     func() Policy
	thumbprint func() string
	sweeps     func() (time.Duration, bool)
	spares     func(principal.Name, string) (store.Change, bool)
	now        func() time.Time
	random     io.Reader
	front      string
}

// NewManager returns a manager of the sessions in o.Table.
func NewManager(o Options) *Manager {
	m := &Manager{
		table: o.Table, mirror: o.Mirror, events: o.Events, policy: o.Policy,
		thumbprint: o.Thumbprint, sweeps: o.Sweeps, spares: o.Spares, now: o.Now, random: randomOr(o.Random),
	}
	if m.now == nil {
		m.now = time.Now
	}
	if m.sweeps == nil {
		m.sweeps = func() (time.Duration, bool) { return 0, true }
	}
	return m
}

// On returns the manager of the sessions of a front. It starts sessions of this front, and finds,
// authenticates and lists no others. Both managers share everything else. An empty name stands for
// this server itself.
func (m *Manager) On(front string) *Manager {
	on := *m
	on.front = front
	return &on
}

// Showing returns the manager whose clone tickets contain another thumbprint: that of the certificate which
// the front shows.
func (m *Manager) Showing(thumbprint func() string) *Manager {
	shows := *m
	shows.thumbprint = thumbprint
	return &shows
}

// Front returns the name of the front whose sessions the manager sees, or "" for this server itself.
func (m *Manager) Front() string { return m.front }

// Grant is the result of a login method's check. Start makes a new session from it and from nothing
// else.
type Grant struct {
	Identity Identity
	Origin   *Identity // set if an impersonating session was cloned
	Method   string
	// Scope is the set of principals that the source of the grant may prove. Package login refuses a
	// grant whose identities are outside of it.
	Scope Scope
	// NotAfter, if not zero, ends the session's life earlier than the policy would.
	NotAfter time.Time
	// Deadline is the absolute end that a clone inherits. If zero, the policy decides.
	Deadline              time.Time
	Locale, MessageLocale string
	Address, UserAgent    string
	// Changes are committed with the session: events, and conditions on the state that the grant
	// depends on. If a condition fails, no session is started and Start returns ErrStale.
	Changes []store.Change
	// Tickets are the one-time tickets that the client presented, as they were read. They are spent
	// in the commit that starts the session. If one was spent already, no session is started and
	// Start returns ErrStale.
	Tickets []store.Record
	// Spent, if set, is called once the session is durable, to remove state outside the store, such
	// as files.
	Spent func()
}

// Scope is the set of principals that an identity source may prove. Exactly one field is set. The
// zero Scope is empty. It follows from the configuration of the source and never from a credential:
// a domain that a token states would allow every token.
type Scope struct {
	// Domain is the one domain of a source outside of this server, in upper case. The source may
	// prove users of this domain, as members of groups of this domain.
	Domain string
	// Local is set for a source that is part of this server. It may prove local users, accounts of the
	// operating system and extensions.
	Local bool
	// Upstream is the name of the front whose upstream server is the source. The source may prove the
	// names of principal.OfUpstream for this front, without groups.
	Upstream string
	// Proved is set if this server has proved the identity before: at the login whose session is
	// cloned, or before it issued the token. The identity may be any.
	Proved bool
}

// Start starts a session. No other function starts one.
//
// Errors: *LimitError, ErrStale, or the store's.
func (m *Manager) Start(ctx context.Context, g Grant) (*Live, Token, error) {
	token, err := newToken(m.random)
	if err != nil {
		return nil, Token{}, err
	}
	key, err := newKey(m.random)
	if err != nil {
		return nil, Token{}, err
	}
	hash, _ := hashToken(m.front, token.Reveal())
	// Times on the wire and on disk have no monotonic part.
	now := m.now().UTC().Round(0)
	policy := m.policy()
	s := Session{
		Key: key, token: hash, Identity: g.Identity, Origin: g.Origin,
		Locale: g.Locale, MessageLocale: g.MessageLocale,
		LoginTime: now, LastActiveTime: now, Deadline: g.Deadline,
		Address: g.Address, UserAgent: g.UserAgent, Method: g.Method, Front: m.front,
	}
	if s.Deadline.IsZero() {
		s.Deadline = now.Add(policy.MaxLifetime)
	}
	if !g.NotAfter.IsZero() && g.NotAfter.Before(s.Deadline) {
		s.Deadline = g.NotAfter
	}
	owner := s.Owner()
	place, err := m.admit(ctx, key, owner.Name.Key(), policy)
	if err != nil {
		return nil, Token{}, err
	}
	defer m.table.release(key)

	if err := m.commitStart(ctx, s, g); err != nil {
		return nil, Token{}, err
	}
	l := m.table.byKey(key)
	if l == nil {
		return nil, Token{}, ErrNoSession // it was ended by somebody else in the meantime
	}
	if err := m.confirm(ctx, l, place, g.Tickets); err != nil {
		return nil, Token{}, err
	}
	return l, token, nil
}

// commitStart commits the session together with its grant's changes.
func (m *Manager) commitStart(ctx context.Context, s Session, g Grant) error {
	changes := append([]store.Change{
		store.Create(store.Session, s.Key.String(), s.encode(), time.Time{}),
		m.events.Change(event.Event{
			Type: "UserLoginSessionEvent", SessionID: s.Key.String(),
			Address: s.Address, UserAgent: s.UserAgent, Locale: s.Locale,
		}.By(s.Actor())),
	}, g.conditions()...)
	_, err := m.mirror.Commit(ctx, changes...)
	_, stands := errors.AsType[*store.CommittedError](err)
	switch {
	case stands:
		// Nobody will get the token, so the session must be ended and must not count.
		return errors.Join(fmt.Errorf("start session: %w", err), m.stepBack(ctx, s, g.Tickets))
	case errors.Is(err, store.ErrConflict):
		return ErrStale
	case err != nil:
		return fmt.Errorf("start session: %w", err)
	}
	return nil
}

// conditions returns the grant's Changes and those that spend its Tickets.
func (g *Grant) conditions() []store.Change {
	changes := slices.Clone(g.Changes)
	for _, r := range g.Tickets {
		changes = append(changes, spend(r))
	}
	return changes
}

// Spend commits the conditions of the grant and spends its tickets, without starting a session.
//
// Errors: ErrStale if a condition does not hold, or the store's. After a *store.CommittedError the
// tickets are spent.
func (m *Manager) Spend(ctx context.Context, g Grant) error {
	changes := g.conditions()
	if len(changes) == 0 {
		return nil
	}
	switch _, err := m.mirror.Commit(ctx, changes...); {
	case errors.Is(err, store.ErrConflict):
		return ErrStale
	case err != nil:
		return fmt.Errorf("spend proof: %w", err)
	}
	return nil
}

// Authenticate returns the session whose token the caller sent, if it is alive at now, which is the
// caller's reading of the clock. It returns nil if there is none. It returns an error if the store
// can't tell: then the caller must not report that the session is over.
func (m *Manager) Authenticate(ctx context.Context, token secret.Text, now time.Time) (*Live, error) {
	digits := token.Reveal()
	l := m.table.byToken(m.front, digits)
	if l == nil {
		if len(digits) != tokenLength {
			return nil, nil
		}
		// On a shared store another node may have acknowledged the login an instant ago. Catch up
		// and look again.
		if err := m.mirror.Sync(ctx); err != nil {
			return nil, fmt.Errorf("find session of token: %w", err)
		}
		if l = m.table.byToken(m.front, digits); l == nil {
			return nil, nil
		}
		now = m.now() // Sync may have taken a while.
	}
	if !m.AliveAt(l, now) {
		return nil, nil
	}
	return l, nil
}

// Use records now, the start of a call of the session, as its last activity.
func (m *Manager) Use(l *Live, now time.Time) {
	n := now.UnixNano()
	for was := l.active.Load(); n > was && !l.active.CompareAndSwap(was, n); was = l.active.Load() {
	}
}

// Count adds one API call to the session, and records now, the end of the call, as its last
// activity. That does not revive a session that has expired in the meantime.
func (m *Manager) Count(l *Live, now time.Time) {
	if m.AliveAt(l, now) {
		m.table.touch(l, now)
	}
}

// Standing returns the conditions for a commit on behalf of the session: that the session exists,
// and that no earlier commit requires it to end, such as a change of its user's password. If as is
// not zero, the session must also still have that standing. ok is false if the session is over or
// has another standing.
func (m *Manager) Standing(l *Live, as Standing) (conditions []store.Change, ok bool) {
	// Read the revision first: if the standing is newer, the condition fails.
	at := store.Revision(l.revision.Load())
	if !m.Alive(l) || as != (Standing{}) && l.Standing() != as {
		return nil, false
	}
	key := l.Key().String()
	conditions = []store.Change{store.Require(store.Session, key)}
	if as != (Standing{}) {
		conditions[0] = store.RequireAt(store.Session, key, at)
	}
	if m.spares == nil {
		return conditions, true
	}
	identity, origin := l.Who()
	for _, who := range []*Identity{identity, origin} {
		if who == nil {
			continue
		}
		spared, ok := m.spares(who.Name, key)
		if !ok {
			return nil, false
		}
		conditions = append(conditions, spared)
	}
	return conditions, true
}

// Alive reports whether the session is alive now.
func (m *Manager) Alive(l *Live) bool { return m.AliveAt(l, m.now()) }

// AliveAt is like Alive, for a caller that has just read the clock.
func (m *Manager) AliveAt(l *Live, now time.Time) bool { return l.Alive(now, m.policy().Idle) }

// Remaining returns how long the session lives if it is not used again.
func (m *Manager) Remaining(l *Live) time.Duration {
	return l.expiresAt(m.policy().Idle).Sub(m.now())
}

// Find returns the live session with the key.
func (m *Manager) Find(key string) (*Live, error) {
	if k, ok := parseKey(key); ok {
		if l := m.table.byKey(k); l != nil && l.Front() == m.front && m.Alive(l) {
			return l, nil
		}
	}
	return nil, ErrNoSession
}

// All yields the sessions that are alive now. A session that ends during the iteration may be among
// them.
func (m *Manager) All() iter.Seq[*Live] {
	return func(yield func(*Live) bool) {
		for l := range m.AllFronts() {
			if l.Front() == m.front && !yield(l) {
				return
			}
		}
	}
}

// AllFronts is All for the sessions of this server and of all fronts.
func (m *Manager) AllFronts() iter.Seq[*Live] {
	return func(yield func(*Live) bool) {
		now, idle := m.now(), m.policy().Idle
		for l := range m.table.all() {
			if l.Alive(now, idle) && !yield(l) {
				return
			}
		}
	}
}

// List returns the sessions that are alive now, sorted by login time.
func (m *Manager) List() []*Live {
	// A list may be long. The times are beside the pointers, so that sorting seldom follows the
	// pointers.
	type aged struct {
		login int64
		live  *Live
	}
	all := make([]aged, 0, m.table.at(m.front))
	for l := range m.All() {
		all = append(all, aged{l.login.Load(), l})
	}
	slices.SortFunc(all, func(a, b aged) int {
		if c := cmp.Compare(a.login, b.login); c != 0 {
			return c
		}
		return bytes.Compare(a.live.key[:], b.live.key[:])
	})
	list := make([]*Live, len(all))
	for i, a := range all {
		list[i] = a.live
	}
	return list
}

// Update changes the session's identity or locale. change edits a copy of the session's state and
// returns the changes to commit with it: events, and conditions on other records. If a condition
// does not hold, change is called again. Update returns an error of change unwrapped.
func (m *Manager) Update(ctx context.Context, l *Live, change func(*Session) ([]store.Change, error)) error {
	const tries = 20 // each one failed because of another writer
	for range tries {
		at := store.Revision(l.revision.Load())
		s := l.Session()
		// Only Flush writes what this process has counted.
		s.CallCount = l.base.Load()
		with, err := change(&s)
		if err != nil {
			return err
		}
		changes := []store.Change{store.Update(store.Session, s.Key.String(), at, s.encode(), time.Time{})}
		_, err = m.mirror.Commit(ctx, append(changes, with...)...)
		if err == nil {
			return nil
		}
		if !errors.Is(err, store.ErrConflict) {
			return fmt.Errorf("update session: %w", err)
		}
		if !m.Alive(l) {
			return ErrNoSession
		}
	}
	return fmt.Errorf("update session: %w", store.ErrConflict)
}

// End ends the session and posts e in the same commit. It returns when the end is durable and no
// request can use the session any more. It returns ErrNoSession if the session was over already.
func (m *Manager) End(ctx context.Context, l *Live, e event.Event) error {
	return m.commitEnd(ctx, store.Delete(store.Session, l.Key().String()), e)
}

// commitEnd commits a change that ends a session, with the event and more changes. Only commitEnd
// and endEach, its counterpart for many sessions, end sessions: for End and EndAll, for expired
// sessions, and for sessions beyond a limit.
func (m *Manager) commitEnd(ctx context.Context, change store.Change, e event.Event, more ...store.Change) error {
	_, err := m.mirror.Commit(ctx, append(more, change, m.events.Change(e))...)
	switch {
	case errors.Is(err, store.ErrConflict):
		return ErrNoSession
	case err != nil:
		return fmt.Errorf("end session: %w", err)
	}
	return nil
}

// Logout returns the event of a session that logs out or expires.
func Logout(s Session) event.Event {
	return event.Event{
		Type: "UserLogoutSessionEvent", SessionID: s.Key.String(),
		Address: s.Address, UserAgent: s.UserAgent, CallCount: s.CallCount, LoginTime: s.LoginTime,
	}.By(s.Actor())
}

// Terminated returns the event of a session that is terminated by another one.
func Terminated(s Session, by event.Actor) event.Event {
	return event.Event{
		Type: "SessionTerminatedEvent", User: by.User, Origin: by.Origin, SessionID: s.Key.String(),
		Subject: s.Identity.Name.String(),
	}
}
