package event

import (
	"strings"

	"github.com/vigate/vigate/internal/principal"
)

// share is the part of the log to which an event belongs. Each part has its own limits, so events
// of one part never evict an event of another.
type share uint8

const (
	// authority is for changes of authority: roles, permissions, users, extensions, options,
	// impersonations, and sessions that another user ended.
	authority share = iota
	// sessions is for logins, logouts, and changes that users make to their own data.
	sessions
	// failures is for failed logins. Anyone can cause them.
	failures
	// others is for all other events, such as tickets and events that clients post.
	others

	shares
)

// quota limits a part of the log.
type quota struct {
	events int
	bytes  int // size of the stored events
}

// quotas are the default limits. Their totals are 100,000 events and 64 MiB.
var quotas = [shares]quota{
	authority: {25_000, 16 << 20},
	sessions:  {40_000, 24 << 20},
	failures:  {20_000, 8 << 20},
	others:    {15_000, 16 << 20},
}

// shareOf returns the part of the log to which the event belongs. It depends on the stored event
// only, so that all servers get the same result.
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

// shareOfID does the work of shareOf for events for which the API has no type. Clients can't post
// events with ids of the form vigate.*.
func shareOfID(e *Event) share {
	id, own := strings.CutPrefix(e.ID, "vigate.")
	if !own {
		return others
	}
	switch about, what, _ := strings.Cut(id, "."); about {
	case "role", "permission", "extension", "setting", "session", "signingkey":
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

// ofOthers distinguishes actions on other users, which need a privilege, from actions of users on
// their own data. Any user may set its own password again and again.
func ofOthers(e *Event) share {
	if e.Origin == "" && principal.Fold(e.User) == principal.Fold(e.Subject) {
		return sessions
	}
	return authority
}
