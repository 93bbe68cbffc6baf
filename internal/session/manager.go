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
	// Thumbprint is the SHA-1 of the server's certificate as AA-BB-…, which
	// clone tickets carry.
	Thumbprint func() string
	// Sweeps says whether this server may end for all what has expired by its
	// clock and as far as it knows, and how long after. nil: at once.
	Sweeps func() (grace time.Duration, ok bool)
	// Spares returns the condition that no session of the principal is about to be
	// ended, but for that with the key. ok is false if they are. nil: none ever is.
	Spares func(who principal.Name, key string) (condition store.Change, ok bool)
	Now    func() time.Time // nil: time.Now
	Random io.Reader        // nil: crypto/rand
}

// Manager starts and ends sessions and issues tickets. All methods may be
// called at the same time.
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
}

// NewManager makes the manager of the sessions in o.Table.
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

// Grant is what a way in has proved, and all that a new session is made of.
type Grant struct {
	Identity Identity
	Origin   *Identity // set for the clone of an impersonating session
	Method   string
	// NotAfter ends the session's life earlier than the policy would. Zero: no.
	NotAfter time.Time
	// Deadline is the absolute end that a clone inherits. Zero: by policy.
	Deadline              time.Time
	Locale, MessageLocale string
	Address, UserAgent    string
	// Changes are committed with the session: conditions that must still hold
	// of what the proof was made on, and events. If one of their conditions
	// fails there is no session, and Start returns ErrStale.
	Changes []store.Change
	// Tickets are the one-time artefacts that the proof was made with, as they
	// were read: they are spent in the commit of the session, or there is none and
	// Start returns ErrStale.
	Tickets []store.Record
	// Spent, if set, is called once the session is durable, to clear away what
	// no commit can reach.
	Spent func()
}

// Start makes a session. It is the only function that does.
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
	hash, _ := hashToken(token.Reveal())
	// Times on the wire and on disk have no monotonic part.
	now := m.now().UTC().Round(0)
	policy := m.policy()
	s := Session{
		Key: key, token: hash, Identity: g.Identity, Origin: g.Origin,
		Locale: g.Locale, MessageLocale: g.MessageLocale,
		LoginTime: now, LastActiveTime: now, Deadline: g.Deadline,
		Address: g.Address, UserAgent: g.UserAgent, Method: g.Method,
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
		return nil, Token{}, ErrNoSession // ended by another in the same instant
	}
	if err := m.confirm(ctx, l, place, g.Tickets); err != nil {
		return nil, Token{}, err
	}
	return l, token, nil
}

// commitStart commits the session with all that its grant asks for.
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
		// Nobody will get the token: the session must not live on and count.
		return errors.Join(fmt.Errorf("start session: %w", err), m.stepBack(ctx, s, g.Tickets))
	case errors.Is(err, store.ErrConflict):
		return ErrStale
	case err != nil:
		return fmt.Errorf("start session: %w", err)
	}
	return nil
}

// conditions are the grant's Changes, and those that spend its Tickets.
func (g *Grant) conditions() []store.Change {
	changes := slices.Clone(g.Changes)
	for _, r := range g.Tickets {
		changes = append(changes, spend(r))
	}
	return changes
}

// Spend commits what the grant's proof spends, and the conditions that it holds
// under, without a session.
//
// Errors: ErrStale if a condition does not hold, or the store's. After a
// *store.CommittedError the proof is spent.
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

// Authenticate returns the session of what a caller sent as token that lives at
// now, the caller's reading of the clock, or nil where there is none. The error
// is the store's, where that can't be found out: a caller must not hear then that
// its session is over.
func (m *Manager) Authenticate(ctx context.Context, token secret.Text, now time.Time) (*Live, error) {
	digits := token.Reveal()
	l := m.table.byToken(digits)
	if l == nil {
		if len(digits) != TokenLength {
			return nil, nil
		}
		// On a shared store the login may have been acknowledged by another
		// node an instant ago: look again once this one has caught up.
		if err := m.mirror.Sync(ctx); err != nil {
			return nil, fmt.Errorf("find session of token: %w", err)
		}
		if l = m.table.byToken(digits); l == nil {
			return nil, nil
		}
		now = m.now() // that may have taken its time
	}
	if !m.AliveAt(l, now) {
		return nil, nil
	}
	return l, nil
}

// Use makes now, when a call of the session begins, its last activity.
func (m *Manager) Use(l *Live, now time.Time) {
	n := now.UnixNano()
	for was := l.active.Load(); n > was && !l.active.CompareAndSwap(was, n); was = l.active.Load() {
	}
}

// Count adds one API call to the session, and makes now, when the call ends, its
// last activity. That does not bring back a session that has expired meanwhile.
func (m *Manager) Count(l *Live, now time.Time) {
	if m.AliveAt(l, now) {
		m.table.touch(l, now)
	}
}

// Standing returns what a commit on behalf of the session is held to: that the
// session is there, and that nothing that was committed before must end it, such
// as another password of its user. ok is false if it is over.
func (m *Manager) Standing(l *Live) (conditions []store.Change, ok bool) {
	if !m.Alive(l) {
		return nil, false
	}
	key := l.Key().String()
	conditions = []store.Change{store.Require(store.Session, key)}
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

// Alive reports whether the session lives now.
func (m *Manager) Alive(l *Live) bool { return m.AliveAt(l, m.now()) }

// AliveAt is Alive for who has just read the clock.
func (m *Manager) AliveAt(l *Live, now time.Time) bool { return l.Alive(now, m.policy().Idle) }

// Remaining is how long the session lives if it is not used again.
func (m *Manager) Remaining(l *Live) time.Duration {
	return l.ExpiresAt(m.policy().Idle).Sub(m.now())
}

// Find returns the live session with the key.
func (m *Manager) Find(key string) (*Live, error) {
	if k, ok := ParseKey(key); ok {
		if l := m.table.byKey(k); l != nil && m.Alive(l) {
			return l, nil
		}
	}
	return nil, ErrNoSession
}

// All yields the sessions that live now. What ends meanwhile may be among them.
func (m *Manager) All() iter.Seq[*Live] {
	return func(yield func(*Live) bool) {
		now, idle := m.now(), m.policy().Idle
		for l := range m.table.all() {
			if l.Alive(now, idle) && !yield(l) {
				return
			}
		}
	}
}

// List is the sessions that live now, the oldest login first.
func (m *Manager) List() []*Live {
	list := slices.AppendSeq(make([]*Live, 0, m.table.Size()), m.All())
	slices.SortFunc(list, func(a, b *Live) int {
		return cmp.Or(cmp.Compare(a.login.Load(), b.login.Load()), bytes.Compare(a.key[:], b.key[:]))
	})
	return list
}

// Update changes the session's identity or locale. change sees the session as it
// is and returns what is committed with it: events, and conditions on other
// records. It is called again if one of them does not hold. Its error is
// returned as it is.
func (m *Manager) Update(ctx context.Context, l *Live, change func(*Session) ([]store.Change, error)) error {
	const tries = 20 // each lost to another writer
	for range tries {
		at := store.Revision(l.revision.Load())
		s := l.Session()
		// What this process has counted reaches the record by Flush only.
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

// End ends the session and posts e in the same commit. It returns once the end
// is durable and no request can use the session any more. ErrNoSession: it was
// over already.
func (m *Manager) End(ctx context.Context, l *Live, e event.Event) error {
	return m.commitEnd(ctx, store.Delete(store.Session, l.Key().String()), e)
}

// commitEnd makes the change that ends a session, with the event and more changes.
// It and its twin for many sessions, endEach, are the only ones that end one:
// for End and EndAll, for what has expired, and for what is beyond a limit.
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

// Logout is the event of a session that ends by its own will or by expiry.
func Logout(s Session) event.Event {
	return event.Event{
		Type: "UserLogoutSessionEvent", SessionID: s.Key.String(),
		Address: s.Address, UserAgent: s.UserAgent, CallCount: s.CallCount, LoginTime: s.LoginTime,
	}.By(s.Actor())
}

// Terminated is the event of a session that another ends.
func Terminated(s Session, by event.Actor) event.Event {
	return event.Event{
		Type: "SessionTerminatedEvent", User: by.User, Origin: by.Origin, SessionID: s.Key.String(),
		Subject: s.Identity.Name.String(),
	}
}
