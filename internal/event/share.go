package event

import (
	"strings"

	"github.com/vigate/vigate/internal/principal"
)

// share is the part of the log that an event belongs to. Each part has bounds of
// its own, so that no number of events of one part displaces an event of another.
type share uint8

const (
	// authority: who may do what. Roles, permissions, users, extensions, options,
	// impersonation, sessions that somebody else ended.
	authority share = iota
	// sessions: logins and logouts, and what users change of their own.
	sessions
	// failures: failed logins. Strangers cause them.
	failures
	// others: all else, such as tickets and events that clients post.
	others

	shares
)

// quota bounds a part of the log.
type quota struct {
	events int
	bytes  int // of the events as stored
}

// quotas are 100,000 events and 64 MiB.
var quotas = [shares]quota{
	authority: {25_000, 16 << 20},
	sessions:  {40_000, 24 << 20},
	failures:  {20_000, 8 << 20},
	others:    {15_000, 16 << 20},
}

// shareOf returns the part of the log that the event belongs to. It goes by what
// was decoded, so that all servers find the same.
func shareOf(e *Event) share {
	switch e.Type {
	case "BadUsernameSessionEvent", "NoAccessUserEvent", "AlreadyAuthenticatedSessionEvent":
		return failures
	case "UserLoginSessionEvent", "UserLogoutSessionEvent", "GlobalMessageChangedEvent":
		return sessions
	case "ServerStartedSessionEvent":
		return authority
	case "SessionTerminatedEvent":
		return ofOthers(e)
	case "EventEx":
		return shareOfID(e)
	}
	for t := e.Type; t != ""; t = supertypes[t] {
		if t == "AuthorizationEvent" {
			return authority
		}
	}
	return others
}

// shareOfID is shareOf for the events that the API has no type for. Clients can't
// post events with ids of the form vigate.*.
func shareOfID(e *Event) share {
	id, own := strings.CutPrefix(e.ID, "vigate.")
	if !own {
		return others
	}
	switch about, what, _ := strings.Cut(id, "."); about {
	case "role", "permission", "extension", "setting", "session":
		return authority
	case "login":
		return failures
	case "account":
		if what == "locked" {
			return failures
		}
		return ofOthers(e)
	}
	return others
}

// ofOthers tells what somebody did to others, which needs a privilege, from what
// users do to their own: any user may set its password again and again.
func ofOthers(e *Event) share {
	if e.Origin == "" && principal.Fold(e.User) == principal.Fold(e.Subject) {
		return sessions
	}
	return authority
}
