package identity

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/vigate/vigate/internal/budget"
	"github.com/vigate/vigate/internal/directory"
	"github.com/vigate/vigate/internal/ldap"
	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/login/jwt"
	"github.com/vigate/vigate/internal/login/samltoken"
	"github.com/vigate/vigate/internal/login/sspi"
	"github.com/vigate/vigate/internal/recheck"
	"github.com/vigate/vigate/internal/saml"
	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/secret/secretfile"
	"github.com/vigate/vigate/internal/session"
	"github.com/vigate/vigate/internal/trust"
)

// Sources are the identity sources of a Config, ready for use.
type Sources struct {
	config      Config
	directories []*ldap.Source
	saml        []saml.Issuer
	jwt         *jwt.Method  // nil: no issuer is configured
	kerberos    *sspi.Method // nil: likewise
	clients     []*jwt.Client
	now         func() time.Time
}

// Open creates the sources. It opens their files, but sends nothing to their servers. The error joins
// a mistake with its line for each source that can't be used, except those that Check reports. A nil
// clock is time.Now, and a nil logger is slog.Default.
func Open(c Config, now func() time.Time, logger *slog.Logger) (*Sources, error) {
	logger = cmp.Or(logger, slog.Default())
	s := &Sources{config: c, now: now}
	errs := slices.Concat(s.openLDAP(logger), s.openJWT(logger), s.openSAML(), s.openKerberos(logger))
	if len(errs) > 0 {
		s.Close()
		return nil, errors.Join(errs...)
	}
	return s, nil
}

func (s *Sources) openLDAP(logger *slog.Logger) (mistakes []error) {
	for i := range s.config.LDAP {
		l := &s.config.LDAP[i]
		if len(l.Check()) > 0 {
			continue
		}
		source, err := ldap.New(l.settings(), s.now, logger)
		if found, ok := errors.AsType[ldap.Mistakes](err); ok {
			for _, m := range found {
				mistakes = append(mistakes, l.Wrong(m.Key, "can't be used: %v", m.Err))
			}
		} else if err != nil {
			mistakes = append(mistakes, err)
		} else {
			s.directories = append(s.directories, source)
		}
	}
	return mistakes
}

func (s *Sources) openJWT(logger *slog.Logger) (mistakes []error) {
	var issuers []jwt.Issuer
	for i := range s.config.OIDC {
		o := &s.config.OIDC[i]
		if len(o.Check()) > 0 {
			continue
		}
		issuer := o.issuer(s.config.Tokens)
		if err := issuer.Check(); err != nil {
			mistakes = append(mistakes, o.Wrong("issuer", "can't be used: %v", err))
		}
		issuers = append(issuers, issuer)
		if o.Console {
			text, err := o.clientSecret(logger)
			if err != nil {
				mistakes = append(mistakes, o.Wrong("client-secret-file", "can't be used: %v", err))
			}
			s.clients = append(s.clients, jwt.NewClient(issuer, text))
		}
	}
	if len(issuers) == 0 || len(mistakes) > 0 {
		return mistakes
	}
	var err error
	if s.jwt, err = jwt.New(issuers, s.now, logger); err != nil {
		mistakes = append(mistakes, err)
	}
	return mistakes
}

func (s *Sources) openSAML() (mistakes []error) {
	for i := range s.config.SAML {
		c := &s.config.SAML[i]
		if len(c.Check()) > 0 {
			continue
		}
		certificates, err := trust.ReadCertificates(c.Certificates)
		if err != nil {
			mistakes = append(mistakes, c.Wrong("certificates", "can't be used: %v", err))
			continue
		}
		s.saml = append(s.saml, saml.Issuer{
			Name: c.Issuer, Certificates: certificates, Domain: strings.ToUpper(c.Domain), Audience: c.Audience,
		})
	}
	return mistakes
}

func (s *Sources) openKerberos(logger *slog.Logger) []error {
	k := &s.config.Kerberos
	if k.Keytab == "" || len(k.Check()) > 0 {
		return nil
	}
	var err error
	if s.kerberos, err = sspi.New(k.service(s.config.Tokens), s.now, logger); err != nil {
		return []error{k.Wrong("keytab", "can't be used: %v", err)}
	}
	return nil
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

// Verifier returns what verifies tokens of the configured OpenID Connect issuers, without a login. It is nil
// if there is no issuer.
func (s *Sources) Verifier() func(context.Context, secret.Text) (jwt.Verified, error) {
	if s.jwt == nil {
		return nil
	}
	return s.jwt.Verify
}

// Clients returns the clients of the issuers at which browsers log in.
func (s *Sources) Clients() []*jwt.Client { return s.clients }

// clientSecret reads the secret of the client. It is empty if there is no file.
func (o *OIDC) clientSecret(logger *slog.Logger) (secret.Text, error) {
	if o.ClientSecretFile == "" {
		return secret.Text{}, nil
	}
	return secretfile.Read(o.ClientSecretFile, "secret", logger)
}

// Close closes the connections of the sources.
func (s *Sources) Close() {
	for _, d := range s.directories {
		d.Close()
	}
}

// Directories returns the sources of users and groups. A domain whose users can't be looked up has an
// open source, so that its users and groups can get permissions.
func (s *Sources) Directories() []directory.Source {
	var all []directory.Source
	known := map[string]bool{}
	for _, d := range s.directories {
		all = append(all, d)
		known[d.Domain()] = true
	}
	for _, c := range s.config.claims() {
		if domain := strings.ToUpper(c.domain); !known[domain] {
			all = append(all, directory.Open(domain))
			known[domain] = true
		}
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

// MethodOptions are what the methods need besides the configuration. Spent is required.
type MethodOptions struct {
	// Spent shows which tokens and proofs were used.
	Spent *login.Spent
	// Turns are for the verification of SAML tokens, see samltoken.Options.
	Turns *budget.Turns
	// Own returns the issuers of the server's own token service, see samltoken.Options. It is nil if
	// there is no such service.
	Own func(issuer string) []saml.Issuer
	// Confirm confirms the subject of a token of Own, see samltoken.Options. It is nil if Own is nil.
	Confirm func(context.Context, *saml.Assertion) (session.Grant, error)
	// Again verifies a token again if the keys of Own have changed, see samltoken.Options. It is nil if
	// Own is nil.
	Again func(ctx context.Context, verify func() error) error
}

// Methods returns the login methods by token and ticket. It must be called once.
func (s *Sources) Methods(o MethodOptions) ([]login.Method, error) {
	var all []login.Method
	add := func(m login.Method) { all = append(all, member{m, s.directories}) }
	if s.jwt != nil {
		add(s.jwt)
	}
	if len(s.saml) > 0 || o.Own != nil {
		t := s.config.Tokens
		m, err := samltoken.New(samltoken.Options{
			Issuers: s.saml, Own: o.Own, Confirm: o.Confirm, Again: o.Again, Spent: o.Spent, Turns: o.Turns,
			Skew: t.ClockSkew, BearerMax: t.BearerMax, KeyMax: t.HolderOfKeyMax, BearerReuse: t.BearerReuse, Now: s.now,
		})
		if err != nil {
			return nil, err
		}
		add(m)
	}
	if s.kerberos != nil {
		s.kerberos.Attach(o.Spent)
		add(s.kerberos)
	}
	return all, nil
}

func (k *Kerberos) service(t Tokens) sspi.Service {
	return sspi.Service{Keytab: k.Keytab, Realms: k.Realms, Skew: t.ClockSkew}
}

// Recheck returns the sources for package recheck.
func (s *Sources) Recheck() []recheck.Source {
	var all []recheck.Source
	for _, d := range s.directories {
		all = append(all, d)
	}
	return all
}

// RecheckEvery returns how often the users of live sessions are looked up again.
func (s *Sources) RecheckEvery() time.Duration { return cmp.Or(s.config.Recheck, Defaults().Recheck) }

// member is a method whose users have the groups that the directory of their domain reports, if it has
// one. They replace the groups that the method proved, as they do whenever the user is looked up again.
type member struct {
	login.Method
	directories []*ldap.Source
}

// Authenticate is part of login.Method. A user that the directory of its domain does not have, or has
// disabled, is rejected, also if a token of this server's own token service names it, or if it acts as
// another. If the directory is not available, nobody of its domain can log in: without its groups a
// user might have more rights than it should, or fewer.
func (m member) Authenticate(ctx context.Context, a login.Attempt) (session.Grant, error) {
	grant, err := m.Method.Authenticate(ctx, a)
	if err != nil {
		return grant, err
	}
	for _, i := range []*session.Identity{&grant.Identity, grant.Origin} {
		if i == nil || i.Extension {
			continue
		}
		for _, d := range m.directories {
			if d.Domain() != i.Name.Domain {
				continue
			}
			if i.Groups, err = d.Groups(ctx, i.Name); err != nil {
				return session.Grant{}, fmt.Errorf("find groups: %w", err)
			}
		}
	}
	return grant, nil
}
