package login

import (
	"context"

	"github.com/vigate/vigate/internal/session"
)

// Clone is the login method for tickets of live sessions. The new session has the identity of the one
// that acquired the ticket. Sessions is required.
type Clone struct{ Sessions *session.Manager }

// Name implements Method.
func (Clone) Name() string { return "clone" }

// Challenge implements Method.
func (Clone) Challenge() string { return "" }

// Authenticate implements Method.
func (m Clone) Authenticate(ctx context.Context, a Attempt) (session.Grant, error) {
	t, ok := a.Credential.(CloneTicket)
	if !ok {
		return session.Grant{}, ErrNotMine
	}
	return m.Sessions.CloneGrant(ctx, t.Ticket)
}
