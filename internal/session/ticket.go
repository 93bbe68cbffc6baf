package session

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"regexp"

	"github.com/google/uuid"

	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/store"
)

// Prefixes of the ids of ticket records. An id is the prefix of the ticket's kind and the SHA-256
// of its text, so that a ticket of one kind is unknown as another kind.
const (
	cloneTicket = "clone/"
	httpTicket  = "http/"
)

// Field numbers of a ticket's record. They are stored: never renumber them.
const (
	fieldTicketSession = iota + 1 // key of the session that acquired it; absent if anonymous
	fieldTicketMethod             // HTTP method; absent if any
	fieldTicketTarget             // path and query
	fieldTicketActor              // principal that the session acted as, see actorOf; absent if anonymous
	fieldTicketOrigin             // principal that logged in; absent if it is fieldTicketActor
)

// ticketID returns the id of a ticket's record. A ticket is unknown at any front but its own.
func (m *Manager) ticketID(sort string, text secret.Text) string {
	h := hashAt(m.front, []byte(text.Reveal()))
	return sort + hex.EncodeToString(h[:])
}

// ticketText returns 16 secure random bytes in the form of a UUID. All bits are random.
func ticketText(random io.Reader) (secret.Text, error) {
	var u uuid.UUID
	if _, err := io.ReadFull(random, u[:]); err != nil {
		return secret.Text{}, fmt.Errorf("make ticket: %w", err)
	}
	return secret.New(u.String()), nil
}

// AcquireCloneTicket issues a one-time ticket for CloneGrant. It expires with its session at the
// latest.
func (m *Manager) AcquireCloneTicket(ctx context.Context, l *Live) (secret.Text, error) {
	u, err := ticketText(m.random)
	if err != nil {
		return secret.Text{}, err
	}
	text := secret.New("cst-VCT-" + u.Reveal() + "--tp-" + m.thumbprint())
	s := l.Session()
	value := appendActor(nil, &s)
	return text, m.issue(ctx, m.ticketID(cloneTicket, text), value, &s, event.Event{
		Type: "EventEx", ID: "vigate.ticket.clone.issued", SessionID: s.Key.String(),
	}.By(s.Actor()))
}

// issue stores a ticket, on the condition that its session, if it has one, is alive.
//
// Errors: ErrNoSession, ErrTooManyTickets, or the store's.
func (m *Manager) issue(ctx context.Context, id string, value []byte, s *Session, e event.Event) error {
	now, holder := m.now(), ticket{}
	expires := now.Add(m.policy().TicketLifetime)
	changes := []store.Change{m.events.Change(e)}
	if s != nil {
		holder = ticketOf(s)
		if s.Deadline.Before(expires) {
			expires = s.Deadline
		}
		changes = append(changes, store.Require(store.Session, s.Key.String()))
	}
	release, err := m.table.tickets.reserve(holder, now)
	if err != nil {
		return err
	}
	defer release()
	_, err = m.mirror.Commit(ctx, append(changes, store.Create(store.Ticket, id, value, expires))...)
	switch {
	case errors.Is(err, store.ErrConflict):
		return ErrNoSession
	case err != nil:
		return fmt.Errorf("issue ticket: %w", err)
	}
	return nil
}

var cloneForm = regexp.MustCompile(`^cst-VCT-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}` +
	`--tp-[0-9A-F]{2}(-[0-9A-F]{2}){19}$`)

// CloneGrant returns the grant of a clone ticket: the identity, authority, impersonation, locale
// and deadline of the ticket's session. Only Start spends the ticket, when it commits the grant.
//
// CloneGrant returns ErrBadTicket if the ticket is unknown, spent, expired or malformed, or if its
// session is over. It may return a grant for a ticket that another node has spent an instant ago;
// Start then returns ErrStale.
func (m *Manager) CloneGrant(ctx context.Context, text secret.Text) (Grant, error) {
	if s := text.Reveal(); len(s) > 256 || !cloneForm.MatchString(s) {
		return Grant{}, ErrBadTicket
	}
	r, err := m.Ticket(ctx, m.ticketID(cloneTicket, text))
	if err != nil {
		return Grant{}, err
	}
	t, err := decodeTicket(r.Value)
	if err != nil {
		return Grant{}, err
	}
	s, unchanged, _, err := m.ticketSession(ctx, t)
	if err != nil {
		return Grant{}, err
	}
	return Grant{
		Identity: s.Identity, Origin: s.Origin, Method: "clone", Scope: Scope{Proved: true}, Deadline: s.Deadline,
		Locale: s.Locale, MessageLocale: s.MessageLocale,
		Tickets: []store.Record{r},
		Changes: []store.Change{
			unchanged,
			m.events.Change(event.Event{
				Type: "EventEx", ID: "vigate.ticket.clone.used", SessionID: s.Key.String(),
			}.By(s.Actor())),
		},
	}, nil
}

// ticketSession returns the session that a ticket belongs to, the condition that the session is
// unchanged, and its standing. If the session now acts as another principal than when it acquired
// the ticket, the ticket is not valid: it must not give that principal's authority.
func (m *Manager) ticketSession(ctx context.Context, t ticket) (Session, store.Change, Standing, error) {
	l, err := m.Lookup(ctx, t.session)
	if errors.Is(err, ErrNoSession) {
		return Session{}, store.Change{}, Standing{}, ErrBadTicket
	} else if err != nil {
		return Session{}, store.Change{}, Standing{}, err
	}
	// Read standing and revision first: if the identity is newer, the condition fails.
	standing, at := l.Standing(), store.Revision(l.revision.Load())
	s := l.Session()
	if now := ticketOf(&s); t.actor != now.actor || t.origin != now.origin {
		return Session{}, store.Change{}, Standing{}, ErrBadTicket
	}
	return s, store.RequireAt(store.Session, t.session, at), standing, nil
}

// ticketOf returns a ticket with the fields that describe the session.
func ticketOf(s *Session) ticket {
	t := ticket{session: s.Key.String(), actor: actorOf(s.Identity)}
	if s.Origin != nil {
		t.origin = actorOf(*s.Origin)
	}
	return t
}

// appendActor appends the fields of a ticket that describe the session.
func appendActor(b []byte, s *Session) []byte {
	t := ticketOf(s)
	b = appendText(appendText(b, fieldTicketSession, t.session), fieldTicketActor, t.actor)
	if t.origin != "" {
		b = appendText(b, fieldTicketOrigin, t.origin)
	}
	return b
}

// actorOf returns a text that identifies a principal. An extension's name has no domain, so it
// differs from every user's.
func actorOf(i Identity) string { return i.Name.Key() }

// AcquireHTTPTicket issues a ticket for one HTTP request with the method, or any method if it is
// empty, to the path and query. The request has the authority of l, or is anonymous if l is nil.
func (m *Manager) AcquireHTTPTicket(ctx context.Context, l *Live, method, target string) (secret.Text, error) {
	text, err := ticketText(m.random)
	if err != nil {
		return secret.Text{}, err
	}
	value := appendText(appendText(nil, fieldTicketMethod, method), fieldTicketTarget, target)
	e := event.Event{Type: "EventEx", ID: "vigate.ticket.generic.issued"}
	if l == nil {
		return text, m.issue(ctx, m.ticketID(httpTicket, text), value, nil, e)
	}
	s := l.Session()
	value = appendActor(value, &s)
	e.SessionID = s.Key.String()
	return text, m.issue(ctx, m.ticketID(httpTicket, text), value, &s, e.By(s.Actor()))
}

// RedeemHTTPTicket spends a ticket on the request and returns the session whose authority the
// request has, or nil if it is anonymous. The request has this authority only as long as the session
// has the returned standing: an instant later the session may act as another principal. If the
// ticket is not for this request, RedeemHTTPTicket returns ErrBadTicket and the ticket stays unspent.
func (m *Manager) RedeemHTTPTicket(
	ctx context.Context, text secret.Text, method, target string,
) (_ *Live, standing Standing, _ error) {
	if len(text.Reveal()) != 36 {
		return nil, standing, ErrBadTicket
	}
	r, err := m.Ticket(ctx, m.ticketID(httpTicket, text))
	if err != nil {
		return nil, standing, err
	}
	t, err := decodeTicket(r.Value)
	if err != nil {
		return nil, standing, err
	}
	if t.method != "" && t.method != method || t.target != target {
		return nil, standing, ErrBadTicket
	}
	if t.session == "" {
		return nil, standing, m.spendTicket(ctx, r, event.Event{}, nil)
	}
	for range ticketTries {
		var s Session
		var unchanged store.Change
		if s, unchanged, standing, err = m.ticketSession(ctx, t); err != nil {
			return nil, standing, err
		}
		err = m.spendTicket(ctx, r, event.Event{SessionID: t.session}.By(s.Actor()), &unchanged)
		if !errors.Is(err, errTouched) {
			break
		}
	}
	if err != nil {
		return nil, standing, err
	}
	l, err := m.Find(t.session)
	return l, standing, err
}

// ticketTries is how often a ticket is checked again because its session's record was written in
// between. Activity is written every few seconds.
const ticketTries = 20

// errTouched is returned if the session of a ticket was written in between.
var errTouched = fmt.Errorf("spend ticket: session changed: %w", store.ErrUnavailable)

// spendTicket spends the ticket on the condition that its session is unchanged. unchanged is nil
// for a ticket without a session.
func (m *Manager) spendTicket(ctx context.Context, r store.Record, e event.Event, unchanged *store.Change) error {
	e.Type, e.ID = "EventEx", "vigate.ticket.generic.used"
	changes := []store.Change{spend(r), m.events.Change(e)}
	if unchanged != nil {
		changes = append(changes, *unchanged)
	}
	_, err := m.mirror.Commit(ctx, changes...)
	var conflict *store.ConflictError
	switch {
	case errors.As(err, &conflict) && conflict.Index == len(changes)-1 && unchanged != nil:
		return errTouched
	case errors.Is(err, store.ErrConflict):
		return ErrBadTicket
	case err != nil:
		return fmt.Errorf("spend ticket: %w", err)
	}
	return nil
}

// spend returns the change that spends a ticket. Of all commits that contain it for one ticket,
// exactly one succeeds.
func spend(r store.Record) store.Change { return store.DeleteAt(store.Ticket, r.ID, r.Revision) }

type ticket struct{ session, method, target, actor, origin string }

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
		case fieldTicketActor:
			t.actor = string(f.bytes)
		case fieldTicketOrigin:
			t.origin = string(f.bytes)
		}
		return nil
	})
	if err != nil {
		return ticket{}, fmt.Errorf("decode ticket: %w", err)
	}
	return t, nil
}
