package event

import (
	"strconv"
	"strings"

	"github.com/vigate/vigate/internal/principal"
)

// Actor is the principal that acts and, if its session impersonates that principal, the principal
// that logged in. The zero value is the server itself.
type Actor struct {
	// User is the principal whose privileges apply.
	User string
	// Origin is the principal that logged in. It is empty if that is User.
	Origin string
}

// By returns an actor without an impersonation.
func By(user string) Actor { return Actor{User: user} }

// impersonated joins the two names of an actor for display.
const impersonated = " (impersonated by "

// String returns a text for display that contains both names. It is never parsed. The user of a
// failed login may be any text. If it contains the words that join the names, it is quoted, so that
// it can't look like an impersonation.
func (a Actor) String() string {
	switch {
	case a.Origin != "":
		return a.User + impersonated + a.Origin + ")"
	case strings.Contains(principal.Look(a.User), "impersonated by "):
		return strconv.QuoteToASCII(a.User)
	}
	return a.User
}

// Actor returns the actor of the event.
func (e Event) Actor() Actor { return Actor{User: e.User, Origin: e.Origin} }

// By returns a copy of the event with a as its actor.
func (e Event) By(a Actor) Event {
	e.User, e.Origin = a.User, a.Origin
	return e
}
