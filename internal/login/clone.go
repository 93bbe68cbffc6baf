package login

import (
	"context"

	"github.com/vigate/vigate/internal/session"
)

// Clone is the way in by a ticket of a live session.
type Clone struct{ Sessions *session.Manager }

// Name is part of Method.
func (Clone) Name() string { return "clone" }

// Challenge is part of Method.
func (Clone) Challenge() string { return "" }

// Authenticate is part of Method.
func (m Clone) Authenticate(ctx context.Context, a Attempt) (session.Grant, error) {
	t, ok := a.Credential.(CloneTicket)
	if !ok {
		return session.Grant{}, ErrNotMine
	}
	return m.Sessions.CloneGrant(ctx, t.Ticket)
}
