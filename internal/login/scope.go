package login

import (
	"context"
	"fmt"
	"slices"

	"github.com/vigate/vigate/internal/account"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/session"
)

// inScope returns ErrRejected, and logs an error, if the grant names a principal that its source may
// not prove. A source that is configured wrongly, or has been taken over, must not get anybody in as
// a user of another source.
func (g *Gate) inScope(ctx context.Context, m Method, grant session.Grant) error {
	identities := []session.Identity{grant.Identity}
	if grant.Origin != nil {
		identities = append(identities, *grant.Origin)
	}
	for _, i := range identities {
		if g.proves(grant.Scope, i) {
			continue
		}
		g.logger.ErrorContext(ctx, "login refused: the identity source may not prove this principal",
			"method", m.Name(), "principal", i.Name.String(), "groups", len(i.Groups), "domain", grant.Scope.Domain)
		return fmt.Errorf("log in by %s: principal or group outside the domains of its source: %w",
			m.Name(), ErrRejected)
	}
	return nil
}

// proves reports whether a source with the scope may prove the identity.
func (g *Gate) proves(s session.Scope, i session.Identity) bool {
	front, _, upstream := i.Name.Upstream()
	switch {
	case i.Name.IsZero():
		return false
	case upstream != (g.upstream != "") || front != g.upstream:
		return false // a user of an upstream server passes the gate of its front, and no other principal does
	case upstream:
		return (s == session.Scope{Upstream: front} || s == session.Scope{Proved: true}) &&
			!i.Extension && len(i.Groups) == 0
	case s == session.Scope{Proved: true}:
		return true
	case s == session.Scope{Local: true}:
		if i.Extension || i.Name.Domain == "" {
			return i.Extension && i.Name.Domain == "" && len(i.Groups) == 0
		}
		return g.local(i.Name.Domain) && inDomains(i.Groups, g.local)
	case s == session.Scope{Domain: s.Domain} && s.Domain != "":
		own := func(domain string) bool { return domain == s.Domain && !g.local(domain) }
		return !i.Extension && own(i.Name.Domain) && inDomains(i.Groups, own)
	}
	return false // none, or a contradiction
}

// local reports whether only sources that are part of this server may prove principals of the domain.
func (g *Gate) local(domain string) bool {
	locals := []string{g.defaultDomain, account.DefaultDomain, principal.SystemDomain}
	return slices.ContainsFunc(locals, func(local string) bool {
		return principal.Fold(local) == principal.Fold(domain)
	})
}

// inDomains reports whether all groups have the form of principal.Name.String and are in a domain that
// is accepted.
func inDomains(groups []string, accepted func(domain string) bool) bool {
	for _, group := range groups {
		n, err := principal.Parse(group, "")
		if err != nil || n.String() != group || !accepted(n.Domain) {
			return false
		}
	}
	return true
}
