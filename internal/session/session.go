// Package session owns sessions, tokens and tickets: what they are, how long they live and how many there may be.
// [Manager.Start] is the only function that starts a session. [Manager.End] and [Manager.EndAll] end sessions.
//
// Sessions are durable records of a [store.Store]. Requests are served from a [Table] in memory,
// which is a view of the store's stream of commits, so reading never leaves the process. A session
// whose end was acknowledged is gone from the table before the caller gets the response.
//
// Each session belongs to this server itself or to one front, where it is valid and nowhere else. A
// Manager sees the sessions of one of them, see [Manager.On]; the hashes of tokens and tickets contain
// the name of the front.
//
// A [Live] is a session in the table; a [Session] is a copy of its state. The package does not
// check credentials: the caller does, and passes the result to Start as a [Grant].
package session

import (
	"errors"
	"fmt"
	"time"

	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/principal"
)

// Identity is the principal that a session acts as.
type Identity struct {
	Name     principal.Name
	FullName string
	// Groups are canonical group names, as the identity source gave them at
	// login. They decide authority together with the name.
	Groups []string
	// Extension is set if the session belongs to an extension. Name is then the extension's key.
	Extension bool
}

// Session is a copy of a session's state at one instant. Changing it does not change the session.
type Session struct {
	Key      Key
	Identity Identity
	// Origin is the principal that logged in, if the session impersonates another one; otherwise
	// nil.
	Origin        *Identity
	Locale        string
	MessageLocale string
	LoginTime     time.Time
	// Deadline is the absolute end of the session's life. A clone inherits it, so cloning never
	// extends a session.
	Deadline       time.Time
	LastActiveTime time.Time
	CallCount      int64
	// Address and UserAgent are those of the client at login.
	Address   string
	UserAgent string
	// Method is the login method, such as "password".
	Method string
	// Front is the name of the front that the session belongs to, or empty for this server itself.
	// It never changes: see Manager.On.
	Front string

	token Hash
	// extra holds fields of the record that a newer version wrote and this one does not know, so
	// that they survive when the record is written again.
	extra string
}

// Summary is the part of a session's state that other users may see, at one instant.
type Summary struct {
	Key           Key
	Name          string // of the principal that the session acts as, see principal.Name.Shown
	FullName      string
	Extension     bool
	Locale        string
	MessageLocale string
	Address       string
	UserAgent     string

	LoginTime      time.Time
	LastActiveTime time.Time
	CallCount      int64
}

// Owner returns the principal that logged in. Limits and audit records apply to this identity.
func (s *Session) Owner() Identity {
	if s.Origin != nil {
		return *s.Origin
	}
	return s.Identity
}

// Actor returns the acting principal for events and logs. For an impersonating session that
// includes both principals.
func (s *Session) Actor() event.Actor {
	a := event.By(s.Identity.Name.String())
	if s.Origin != nil {
		a.Origin = s.Origin.Name.String()
	}
	return a
}

// Policy holds the lifetimes and limits in force. It is read at each use, so that a change of
// settings takes effect immediately.
type Policy struct {
	Idle            time.Duration // a session that is unused for this long has expired
	MaxLifetime     time.Duration // of a session since its login
	TicketLifetime  time.Duration // of clone and generic tickets
	MaxSessions     int           // live sessions in all
	MaxPerPrincipal int           // live sessions of one principal
}

var (
	// ErrNoSession is returned if there is no such live session.
	ErrNoSession = errors.New("no live session")
	// ErrBadTicket is returned if a ticket is unknown, spent, expired or malformed, or if its
	// session has ended.
	ErrBadTicket = errors.New("ticket not valid")
	// ErrTooManyTickets is a LimitError about tickets: the caller has, or all callers together have, the
	// maximum number of unspent ones.
	ErrTooManyTickets = errors.New("too many unspent tickets")
	// ErrStale is returned if a condition of the login's grant changed before the session was
	// committed.
	ErrStale = errors.New("grant no longer holds")
	// ErrNotAllowed is returned if the target of an impersonation may not be impersonated.
	ErrNotAllowed = errors.New("impersonation not allowed")
)

// LimitError is returned for a login that would exceed a limit on the number of sessions, and for a
// ticket that would exceed one on the number of unspent tickets. Its text may be shown to the client.
type LimitError struct {
	// Limit is "sessions" for the limit of all sessions, "user" for that of one principal, and
	// "tickets" for one of tickets.
	Limit string
	Max   int
	Live  int
}

// Is reports whether target is ErrTooManyTickets and the limit is one of tickets.
func (e *LimitError) Is(target error) bool {
	return target == ErrTooManyTickets && e.Limit == "tickets"
}

func (e *LimitError) Error() string {
	switch e.Limit {
	case "user":
		return fmt.Sprintf("the user has %d live sessions of at most %d", e.Live, e.Max)
	case "tickets":
		return fmt.Sprintf("there are %d unspent tickets of at most %d", e.Live, e.Max)
	}
	return fmt.Sprintf("there are %d live sessions of at most %d", e.Live, e.Max)
}
