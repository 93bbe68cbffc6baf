package event

import (
	"strconv"
	"strings"

	"github.com/vigate/vigate/internal/principal"
)

// Actor is who acts: a principal, and, where its session impersonates it, the
// principal that logged in. The zero value is the server itself.
type Actor struct {
	// User is the principal with whose authority is acted.
	User string
	// Origin is the principal that really logged in; empty: User itself.
	Origin string
}

// By is an actor that nobody impersonates.
func By(user string) Actor { return Actor{User: user} }

// impersonated joins the two names of an actor for display.
const impersonated = " (impersonated by "

// String is for display where there is one place for both names. Nothing reads
// it back. A user that is only claimed may contain the words that join the
// names: it is quoted, so that it can't look like an impersonation.
func (a Actor) String() string {
	switch {
	case a.Origin != "":
		return a.User + impersonated + a.Origin + ")"
	case strings.Contains(principal.Look(a.User), "impersonated by "):
		return strconv.QuoteToASCII(a.User)
	}
	return a.User
}

// Actor is who acted.
func (e Event) Actor() Actor { return Actor{User: e.User, Origin: e.Origin} }

// By is the event with a as who acted.
func (e Event) By(a Actor) Event {
	e.User, e.Origin = a.User, a.Origin
	return e
}
