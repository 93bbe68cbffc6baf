package identity

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/vigate/vigate/internal/config"
	"github.com/vigate/vigate/internal/directory"
	"github.com/vigate/vigate/internal/ldap"
	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/login/jwt"
	"github.com/vigate/vigate/internal/session"
)

// Sources are the identity sources of a Config, ready for use.
type Sources struct {
	directories []*ldap.Source
	jwt         *jwt.Method // nil: no issuer is configured
}

// Open creates the sources. It opens their files, but sends nothing to their servers. The error joins
// a mistake with its line for each source that can't be used. A nil clock is time.Now, and a nil
// logger is slog.Default.
func Open(c Config, now func() time.Time, logger *slog.Logger) (*Sources, error) {
	s := &Sources{}
	var errs []error
	for i := range c.LDAP {
		l := &c.LDAP[i]
		source, err := ldap.New(l.settings(), now, logger)
		if err != nil {
			errs = append(errs, mistakes(&l.Position, err)...)
			continue
		}
		s.directories = append(s.directories, source)
	}
	var issuers []jwt.Issuer
	for i := range c.OIDC {
		o := &c.OIDC[i]
		if _, err := jwt.New([]jwt.Issuer{o.issuer(c.Tokens)}, now, logger); err != nil {
			errs = append(errs, o.Wrong("issuer", "can't be used: %v", errors.Unwrap(err)))
			continue
		}
		issuers = append(issuers, o.issuer(c.Tokens))
	}
	if len(c.SAML) > 0 {
		errs = append(errs, c.SAML[0].Wrong("issuer", "can't be used: this version accepts no SAML tokens"))
	}
	if c.Kerberos.Keytab != "" {
		errs = append(errs, c.Kerberos.Wrong("keytab", "can't be used: this version accepts no Kerberos tickets"))
	}
	if len(errs) > 0 {
		s.Close()
		return nil, errors.Join(errs...)
	}
	if len(issuers) > 0 {
		var err error
		if s.jwt, err = jwt.New(issuers, now, logger); err != nil {
			s.Close()
			return nil, err
		}
	}
	return s, nil
}

// mistakes returns the lines of an error of package ldap, each as a mistake in the key that it begins
// with.
func mistakes(at *config.Position, err error) []error {
	var errs []error
	_, text, _ := strings.Cut(err.Error(), ": ")
	for line := range strings.Lines(text) {
		key, problem, _ := strings.Cut(strings.TrimSpace(line), ": ")
		errs = append(errs, at.Wrong(key, "can't be used: %s", problem))
	}
	return errs
}

func (l *LDAP) settings() ldap.Settings {
	return ldap.Settings{
		Domain: l.Domain, Servers: l.Servers, StartTLS: l.StartTLS, CA: l.CA,
		BindDN: l.BindDN, BindPasswordFile: l.BindPasswordFile,
		UserBase: l.UserBase, UserFilter: l.UserFilter, GroupBase: l.GroupBase, GroupFilter: l.GroupFilter,
		NestedGroups: l.NestedGroups,
	}
}

func (o *OIDC) issuer(t Tokens) jwt.Issuer {
	return jwt.Issuer{
		URL: o.Issuer, JWKSURL: o.JWKS, CA: o.CA, Audience: o.Audience, Algorithms: o.Algorithms,
		NameClaim: o.NameClaim, UPN: o.UPN, GroupsClaim: o.GroupsClaim, Domain: o.Domain, Skew: t.ClockSkew,
		UntilTokenExpires: o.UntilTokenExpires,
	}
}

// Close closes the connections of the sources.
func (s *Sources) Close() {
	for _, d := range s.directories {
		d.Close()
	}
}

// Directories returns the sources of users and groups.
func (s *Sources) Directories() []directory.Source {
	var all []directory.Source
	for _, d := range s.directories {
		all = append(all, d)
	}
	return all
}

// Passwords returns the sources that verify passwords.
func (s *Sources) Passwords() []login.PasswordSource {
	var all []login.PasswordSource
	for _, d := range s.directories {
		all = append(all, d)
	}
	return all
}

// Methods returns the login methods by token and ticket.
func (s *Sources) Methods() []login.Method {
	var all []login.Method
	if s.jwt != nil {
		all = append(all, member{s.jwt, s.directories})
	}
	return all
}

// member is a method whose users have the groups that the directory of their domain reports, besides
// those that the method proved.
type member struct {
	login.Method
	directories []*ldap.Source
}

// Authenticate is part of login.Method. A user that the directory of its domain does not have, or has
// disabled, is rejected. If the directory is not available, nobody of its domain can log in: without
// its groups a user might have more rights than it should, or fewer.
func (m member) Authenticate(ctx context.Context, a login.Attempt) (session.Grant, error) {
	grant, err := m.Method.Authenticate(ctx, a)
	if err != nil {
		return grant, err
	}
	for _, d := range m.directories {
		if grant.Scope.Domain == "" || d.Domain() != strings.ToUpper(grant.Scope.Domain) {
			continue
		}
		groups, err := d.Groups(ctx, grant.Identity.Name)
		if err != nil {
			return session.Grant{}, fmt.Errorf("find groups: %w", err)
		}
		for _, g := range groups {
			same := func(have string) bool { return strings.EqualFold(have, g) }
			if !slices.ContainsFunc(grant.Identity.Groups, same) {
				grant.Identity.Groups = append(grant.Identity.Groups, g)
			}
		}
	}
	return grant, nil
}
