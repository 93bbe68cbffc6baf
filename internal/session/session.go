// Package session owns sessions, tokens and tickets: what they are, how long
// they live, how many there may be, and the one function that starts one and
// the one that ends one.
//
// Sessions are durable records of a [store.Store]. They are served from a
// [Table] in memory, which is a view of the store's stream: reading never
// leaves the process, and what was acknowledged as ended is gone from the
// table before the answer goes out.
package session

import (
	"errors"
	"fmt"
	"time"

	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/principal"
)

// Identity is who a session acts as.
type Identity struct {
	Name     principal.Name
	FullName string
	// Groups are canonical group names, as the identity source gave them at
	// login. They decide authority together with the name.
	Groups []string
	// Extension: the session belongs to an extension, and Name is its key.
	Extension bool
}

// Session is one session at one instant. It is a copy: changing it changes
// nothing.
type Session struct {
	Key      Key
	Identity Identity
	// Origin is who really logged in, where the session impersonates somebody
	// else; nil otherwise.
	Origin        *Identity
	Locale        string
	MessageLocale string
	LoginTime     time.Time
	// Deadline is the absolute end of its life. Cloning does not prolong it.
	Deadline       time.Time
	LastActiveTime time.Time
	CallCount      int64
	// Address and UserAgent are the peer's at login.
	Address   string
	UserAgent string
	// Method is the way in, such as "password".
	Method string

	token Hash
	// extra holds the fields that a newer version wrote and this one does not
	// know, so that a rewrite keeps them.
	extra string
}

// Summary is what others are shown of a session at one instant.
type Summary struct {
	Key           Key
	Name          string // of who it acts as
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

// Owner is who really logged in: the identity that limits and audit go by.
func (s *Session) Owner() Identity {
	if s.Origin != nil {
		return *s.Origin
	}
	return s.Identity
}

// Actor is who acts, for events and logs: of an impersonating session both who
// is acted as, and by whom.
func (s *Session) Actor() event.Actor {
	a := event.By(s.Identity.Name.String())
	if s.Origin != nil {
		a.Origin = s.Origin.Name.String()
	}
	return a
}

// Policy is the lifetimes and limits in force. It is read anew at each use, so
// that a change of settings holds at once.
type Policy struct {
	Idle            time.Duration // a session unused for so long is dead
	MaxLifetime     time.Duration // of a session since its login
	TicketLifetime  time.Duration // of clone and generic tickets
	MaxSessions     int           // live sessions in all
	MaxPerPrincipal int           // live sessions of one principal
}

var (
	// ErrNoSession: there is no such live session.
	ErrNoSession = errors.New("no live session")
	// ErrBadTicket: unknown, spent, expired, malformed, or its session ended.
	ErrBadTicket = errors.New("ticket not valid")
	// ErrTooManyTickets: there are as many unspent tickets as there may be, of the
	// caller or in all.
	ErrTooManyTickets = errors.New("too many unspent tickets")
	// ErrStale: what a login was granted on changed before it was committed.
	ErrStale = errors.New("grant no longer holds")
	// ErrNotAllowed: the target of an impersonation can't be impersonated.
	ErrNotAllowed = errors.New("impersonation not allowed")
)

// LimitError refuses a login for the number of sessions there are. Its text is
// fit for the client.
type LimitError struct {
	// Limit is "sessions" for all, "user" for one principal's.
	Limit string
	Max   int
	Live  int
}

func (e *LimitError) Error() string {
	if e.Limit == "user" {
		return fmt.Sprintf("the user has %d live sessions of at most %d", e.Live, e.Max)
	}
	return fmt.Sprintf("there are %d live sessions of at most %d", e.Live, e.Max)
}
