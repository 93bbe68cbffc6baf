package session

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/store"
)

// Ids of ticket records: what the ticket is for, and the SHA-256 of its text. A
// ticket of one sort is unknown as another.
const (
	cloneTicket = "clone/"
	httpTicket  = "http/"
)

// Field numbers of a ticket's record; on disk, never renumber.
const (
	fieldTicketSession = iota + 1 // key of the session that acquired it, absent for anonymous
	fieldTicketMethod             // HTTP method, absent for any
	fieldTicketTarget             // path and query
)

func ticketID(sort, text string) string {
	h := sha256.Sum256([]byte(text))
	return sort + hex.EncodeToString(h[:])
}

// ticketText is 16 secure random bytes in UUID form, all of them random.
func ticketText(random io.Reader) (string, error) {
	var u uuid.UUID
	if _, err := io.ReadFull(random, u[:]); err != nil {
		return "", fmt.Errorf("make ticket: %w", err)
	}
	return u.String(), nil
}

// AcquireCloneTicket issues a one-time ticket that CloneGrant takes. It lives
// no longer than its session.
func (m *Manager) AcquireCloneTicket(ctx context.Context, l *Live) (string, error) {
	u, err := ticketText(m.random)
	if err != nil {
		return "", err
	}
	text := "cst-VCT-" + u + "--tp-" + m.thumbprint()
	s := l.Session()
	value := appendText(nil, fieldTicketSession, s.Key.String())
	return text, m.issue(ctx, ticketID(cloneTicket, text), value, &s, event.Event{
		Type: "EventEx", ID: "vigate.ticket.clone.issued", SessionID: s.Key.String(),
	}.By(s.Actor()))
}

// issue stores a ticket, on the condition that its session, if any, is live.
func (m *Manager) issue(ctx context.Context, id string, value []byte, s *Session, e event.Event) error {
	expires := m.now().Add(m.policy().TicketLifetime)
	changes := []store.Change{m.events.Change(e)}
	if s != nil {
		if s.Deadline.Before(expires) {
			expires = s.Deadline
		}
		changes = append(changes, store.Require(store.Session, s.Key.String()))
	}
	_, err := m.mirror.Commit(ctx, append(changes, store.Create(store.Ticket, id, value, expires))...)
	switch {
	case errors.Is(err, store.ErrConflict):
		return ErrNoSession
	case err != nil:
		return fmt.Errorf("issue ticket: %w", err)
	}
	return nil
}

var cloneForm = regexp.MustCompile(`^cst-VCT-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}--tp-[0-9A-F]{2}(-[0-9A-F]{2}){19}$`)

// CloneGrant is the grant that a clone ticket gives: the identity, authority,
// impersonation, locale and deadline of its session. The ticket is spent when
// the grant is committed by Start, and by nobody else.
//
// ErrBadTicket: unknown, spent, expired, malformed, or its session is over.
func (m *Manager) CloneGrant(ctx context.Context, text string) (Grant, error) {
	if len(text) > 256 || !cloneForm.MatchString(text) {
		return Grant{}, ErrBadTicket
	}
	r, err := m.mirror.Get(ctx, store.Ticket, ticketID(cloneTicket, text))
	if errors.Is(err, store.ErrNotFound) {
		return Grant{}, ErrBadTicket
	} else if err != nil {
		return Grant{}, fmt.Errorf("read ticket: %w", err)
	}
	t, err := decodeTicket(r.Value)
	if err != nil {
		return Grant{}, err
	}
	l, err := m.ticketSession(ctx, t.session)
	if err != nil {
		return Grant{}, err
	}
	s := l.Session()
	return Grant{
		Identity: s.Identity, Origin: s.Origin, Method: "clone", Deadline: s.Deadline,
		Locale: s.Locale, MessageLocale: s.MessageLocale,
		Tickets: []store.Record{r},
		Changes: []store.Change{
			store.Require(store.Session, s.Key.String()),
			m.events.Change(event.Event{
				Type: "EventEx", ID: "vigate.ticket.clone.used", SessionID: s.Key.String(),
			}.By(s.Actor())),
		},
	}, nil
}

// ticketSession finds the session that a ticket belongs to.
func (m *Manager) ticketSession(ctx context.Context, key string) (*Live, error) {
	l, err := m.Lookup(ctx, key)
	if errors.Is(err, ErrNoSession) {
		return nil, ErrBadTicket
	}
	return l, err
}

// AcquireHTTPTicket issues a ticket for one HTTP request with the method (empty:
// any) to the path and query, to run with the authority of l; nil: anonymous.
func (m *Manager) AcquireHTTPTicket(ctx context.Context, l *Live, method, target string) (string, error) {
	text, err := ticketText(m.random)
	if err != nil {
		return "", err
	}
	value := appendText(appendText(nil, fieldTicketMethod, method), fieldTicketTarget, target)
	e := event.Event{Type: "EventEx", ID: "vigate.ticket.generic.issued"}
	if l == nil {
		if !m.strangers.take(m.now(), m.policy().TicketLifetime) {
			return "", ErrTooManyTickets
		}
		return text, m.issue(ctx, ticketID(httpTicket, text), value, nil, e)
	}
	s := l.Session()
	value = appendText(value, fieldTicketSession, s.Key.String())
	e.SessionID = s.Key.String()
	return text, m.issue(ctx, ticketID(httpTicket, text), value, &s, e.By(s.Actor()))
}

// maxStrangers is how many unexpired tickets callers without a session may have
// been given at a time: each is a record, and anybody can ask.
const maxStrangers = 1000

// strangers counts the tickets given to callers without a session.
type strangers struct {
	mu      sync.Mutex // guards expires
	expires []time.Time
}

// take reports whether one more may be given at now.
func (s *strangers) take(now time.Time, lifetime time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expires = slices.DeleteFunc(s.expires, func(t time.Time) bool { return !now.Before(t) })
	if len(s.expires) >= maxStrangers {
		return false
	}
	s.expires = append(s.expires, now.Add(lifetime))
	return true
}

// RedeemHTTPTicket spends a ticket on the request and returns the session whose
// authority the request has; nil: anonymous. A request that the ticket is not
// for is ErrBadTicket and leaves it unspent.
func (m *Manager) RedeemHTTPTicket(ctx context.Context, text, method, target string) (*Live, error) {
	if len(text) != 36 {
		return nil, ErrBadTicket
	}
	r, err := m.mirror.Get(ctx, store.Ticket, ticketID(httpTicket, text))
	if errors.Is(err, store.ErrNotFound) {
		return nil, ErrBadTicket
	} else if err != nil {
		return nil, fmt.Errorf("read ticket: %w", err)
	}
	t, err := decodeTicket(r.Value)
	if err != nil {
		return nil, err
	}
	if t.method != "" && t.method != method || t.target != target {
		return nil, ErrBadTicket
	}
	changes := []store.Change{spend(r)}
	e := event.Event{Type: "EventEx", ID: "vigate.ticket.generic.used"}
	var l *Live
	if t.session != "" {
		if l, err = m.ticketSession(ctx, t.session); err != nil {
			return nil, err
		}
		s := l.Session()
		e = e.By(s.Actor())
		e.SessionID = t.session
		changes = append(changes, store.Require(store.Session, t.session))
	}
	_, err = m.mirror.Commit(ctx, append(changes, m.events.Change(e))...)
	if errors.Is(err, store.ErrConflict) {
		return nil, ErrBadTicket
	} else if err != nil {
		return nil, fmt.Errorf("spend ticket: %w", err)
	}
	return l, nil
}

// spend returns the change that uses a ticket up. Of all commits that hold it for
// one ticket, exactly one succeeds.
func spend(r store.Record) store.Change { return store.DeleteAt(store.Ticket, r.ID, r.Revision) }

// SweepTickets removes expired tickets, at most limit, and returns how many.
func (m *Manager) SweepTickets(ctx context.Context, limit int) (int, error) {
	return m.mirror.Sweep(ctx, limit, store.Ticket)
}

type ticket struct{ session, method, target string }

func decodeTicket(b []byte) (ticket, error) {
	var t ticket
	err := fields(b, func(f field) error {
		switch f.num {
		case fieldTicketSession:
			t.session = string(f.bytes)
		case fieldTicketMethod:
			t.method = string(f.bytes)
		case fieldTicketTarget:
			t.target = string(f.bytes)
		}
		return nil
	})
	if err != nil {
		return ticket{}, fmt.Errorf("decode ticket: %w", err)
	}
	return t, nil
}
