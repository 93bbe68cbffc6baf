package login

import (
	"context"
	"errors"
	"fmt"

	"github.com/vigate/vigate/internal/account"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/session"
	"github.com/vigate/vigate/internal/store"
)

// Local is the way in of local users, by password.
type Local struct{ Accounts *account.Manager }

// Name is part of Method.
func (Local) Name() string { return "password" }

// Authenticate is part of Method. It does the same work whoever is named, also
// where the name can't be anybody's.
func (m Local) Authenticate(ctx context.Context, a Attempt) (session.Grant, error) {
	p, ok := a.Credential.(Password)
	if !ok {
		return session.Grant{}, ErrNotMine
	}
	// A spelling that names nobody is verified as the zero name: nobody's.
	name, _ := principal.Parse(p.User, m.Accounts.Domain())
	who, err := m.Accounts.Verify(ctx, name, account.Caller{Network: a.Peer.Network(), Behind: a.behind}, []byte(p.Secret.Reveal()))
	switch {
	case errors.Is(err, account.ErrUnconfirmed):
		return session.Grant{}, fmt.Errorf("%w: %w", ErrUnconfirmed, err)
	case errors.Is(err, account.ErrRejected):
		return session.Grant{}, fmt.Errorf("%w: %w", ErrRejected, err)
	case errors.Is(err, account.ErrBusy):
		return session.Grant{}, fmt.Errorf("%w: %w", ErrBusy, err)
	case err != nil:
		return session.Grant{}, err
	}
	return session.Grant{
		Identity: session.Identity{Name: who.Name, FullName: who.FullName},
		// A user who is disabled or removed while this login is committed, or
		// whose password is changed, does not get in.
		Changes: []store.Change{who.Require()},
	}, nil
}
