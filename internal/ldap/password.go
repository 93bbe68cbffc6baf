package ldap

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"

	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/session"
)

// Verify checks the password of a user by a bind. The directory decides about locks after failed logins and about
// passwords that have expired. For a name that nobody has, Verify makes a bind as well, so that it costs as much. It
// makes the same bind for a caller that is locked, so that the directory does not count the guesses of such a caller
// as failures of the user.
//
// Errors: login.ErrRejected for a wrong password and for every user that may not log in,
// login.ErrBusy, ErrUnavailable.
func (s *Source) Verify(ctx context.Context, name principal.Name, a login.Attempt) (session.Grant, error) {
	p, ok := a.Credential.(login.Password)
	if !ok {
		return session.Grant{}, login.ErrNotMine
	}
	if err := checkPassword(p.Secret); err != nil {
		return session.Grant{}, err
	}
	leave, err := s.turns.Enter(ctx, a.Peer.Network(), a.Behind)
	if err != nil {
		return session.Grant{}, fmt.Errorf("ask directory: %w", err)
	}
	defer leave()
	i, err := s.verify(ctx, name, p.Secret, a.Locked)
	if err := s.reports.of(err); err != nil {
		return session.Grant{}, err
	}
	return session.Grant{Identity: i, Scope: session.Scope{Domain: s.domain}}, nil
}

func (s *Source) verify(
	ctx context.Context, name principal.Name, password secret.Text, locked bool,
) (session.Identity, error) {
	var u user
	unfound := s.search.do(ctx, func(c *connection) (err error) {
		u, err = s.user(c, name.User)
		return err
	})
	switch {
	case unfound == nil && locked:
		unfound = errLocked
	case unfound != nil && !unknown(unfound):
		return session.Identity{}, unfound
	}
	if unfound != nil {
		u = user{dn: "cn=" + rand.Text() + "," + s.base} // nobody has this name either
	}
	err := s.binds.do(ctx, func(c *connection) error { return c.bind(u.dn, password.Reveal()) })
	switch {
	case unfound != nil && (err == nil || errors.Is(err, errRefused)):
		return session.Identity{}, fmt.Errorf("%w: %w", login.ErrRejected, unfound)
	case errors.Is(err, errRefused):
		return session.Identity{}, fmt.Errorf("%w: %w", login.ErrRejected, err)
	case err != nil:
		return session.Identity{}, err
	}
	return s.identify(ctx, u)
}

// identify returns the identity of a user that has proved who it is.
func (s *Source) identify(ctx context.Context, u user) (session.Identity, error) {
	if u.disabled != "" {
		return session.Identity{}, fmt.Errorf("%w: the account %s", login.ErrRejected, u.disabled)
	}
	i := session.Identity{Name: u.name, FullName: u.fullName}
	err := s.search.do(ctx, func(c *connection) (err error) {
		i.Groups, err = s.groupsOf(c, u.dn, u.name.User)
		return err
	})
	return i, err
}

// checkPassword refuses passwords that a directory could mistake for none: a bind without a password
// succeeds for every name.
func checkPassword(p secret.Text) error {
	switch text := p.Reveal(); {
	case text == "":
		return fmt.Errorf("%w: empty password", login.ErrRejected)
	case strings.IndexByte(text, 0) >= 0:
		return fmt.Errorf("%w: zero byte in the password", login.ErrRejected)
	case len(text) > maxPassword:
		return fmt.Errorf("%w: password of more than %d bytes", login.ErrRejected, maxPassword)
	}
	return nil
}
