package login

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/vigate/vigate/internal/account"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/session"
	"github.com/vigate/vigate/internal/store"
)

// PasswordSource verifies the passwords of one domain. All methods are safe for concurrent use.
type PasswordSource interface {
	// Domain returns the domain in upper case. It is always the same.
	Domain() string
	// Verify verifies the password of a user of the domain. The credential of the attempt is a
	// Password. Verify changes nothing; the rules of Method.Authenticate apply to its results.
	//
	// It returns ErrNotMine if it can see that the password is not one of its own without the work of
	// a verification. The caller then does that work.
	Verify(ctx context.Context, name principal.Name, a Attempt) (session.Grant, error)
}

// Passwords is the login method for a user name and a password. It parses the name and asks the one
// source of the name's domain. For a name without a domain, that is the source of the default domain,
// unless the password is a ticket of an account of the operating system.
//
// For a domain without a source, and for a text that is not a name, it does the work of verifying a
// password of a local user that does not exist. So such a login costs the caller as much as others,
// and takes its turn among them.
type Passwords struct {
	local   localUsers
	sources map[string]PasswordSource // by domain, besides local
}

// NewPasswords returns the method for local users and the users of the other sources. It returns an
// error if a domain has two sources, or would never be found because it is not in upper case. The domain
// account.DefaultDomain belongs to the local users even if another domain is configured for them.
func NewPasswords(local *account.Manager, others ...PasswordSource) (*Passwords, error) {
	p := &Passwords{local: localUsers{local}, sources: map[string]PasswordSource{}}
	for _, s := range others {
		domain := s.Domain()
		switch {
		case domain == "" || domain != strings.ToUpper(domain):
			return nil, fmt.Errorf("add password source: domain %q is not in upper case", domain)
		case domain == local.Domain(), domain == account.DefaultDomain, p.sources[domain] != nil:
			return nil, fmt.Errorf("add password source: domain %q has two sources", domain)
		}
		p.sources[domain] = s
	}
	return p, nil
}

// Name implements Method.
func (*Passwords) Name() string { return "password" }

// Challenge implements Method.
func (*Passwords) Challenge() string { return "Basic" }

// Authenticate implements Method.
func (m *Passwords) Authenticate(ctx context.Context, a Attempt) (session.Grant, error) {
	p, ok := a.Credential.(Password)
	if !ok {
		return session.Grant{}, ErrNotMine
	}
	// If the text is not a name, this is the zero name, which nobody has.
	name, _ := principal.Parse(p.User, m.local.Domain())
	for _, name := range candidates(p.User, name) {
		s := m.sources[name.Domain]
		if s == nil {
			continue
		}
		grant, err := s.Verify(ctx, name, a)
		if !errors.Is(err, ErrNotMine) {
			return grant, err
		}
	}
	return m.local.Verify(ctx, name, a)
}

// candidates returns the principals that the text, which was parsed as name, can mean. A text without
// a domain can mean an account of the operating system that uses a ticket.
func candidates(text string, name principal.Name) []principal.Name {
	if name.IsZero() || strings.ContainsAny(text, `\@`) {
		return []principal.Name{name}
	}
	return []principal.Name{{Domain: principal.SystemDomain, User: name.User}, name}
}

// localUsers is the PasswordSource of local users.
type localUsers struct{ *account.Manager }

// Verify implements PasswordSource. It does the same work for every name.
func (s localUsers) Verify(ctx context.Context, name principal.Name, a Attempt) (session.Grant, error) {
	p, ok := a.Credential.(Password)
	if !ok {
		return session.Grant{}, ErrNotMine
	}
	caller := account.Caller{Network: a.Peer.Network(), Behind: a.Behind}
	who, err := s.Manager.Verify(ctx, name, caller, []byte(p.Secret.Reveal()))
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
		Scope:    session.Scope{Local: true},
		// The commit of the login fails if the user is disabled or removed, or gets another password,
		// before it.
		Changes: []store.Change{who.Require()},
	}, nil
}
