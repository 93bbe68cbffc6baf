package identity

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/vigate/vigate/internal/config"
	"github.com/vigate/vigate/internal/datadir"
	"github.com/vigate/vigate/internal/directory"
	"github.com/vigate/vigate/internal/ldap"
	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/login/jwt"
	"github.com/vigate/vigate/internal/login/samltoken"
	"github.com/vigate/vigate/internal/login/sspi"
	"github.com/vigate/vigate/internal/recheck"
	"github.com/vigate/vigate/internal/saml"
	"github.com/vigate/vigate/internal/session"
)

// Sources are the identity sources of a Config, ready for use.
type Sources struct {
	config      Config
	directories []*ldap.Source
	logger      *slog.Logger
	now         func() time.Time
}

// Open creates the sources. It opens their files, but sends nothing to their servers. The error joins
// a mistake with its line for each source that can't be used. A nil clock is time.Now, and a nil
// logger is slog.Default.
func Open(c Config, now func() time.Time, logger *slog.Logger) (*Sources, error) {
	s := &Sources{config: c, now: now, logger: logger}
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
	// Every mistake is reported at once, so the methods are tried here as well.
	trial := &Sources{config: c, now: now, logger: slog.New(slog.DiscardHandler)}
	if _, err := trial.Methods(MethodOptions{Spent: &login.Spent{}}); err != nil {
		errs = append(errs, err)
	}
	if len(errs) > 0 {
		s.Close()
		return nil, flat(errs)
	}
	return s, nil
}

// flat joins errors, of which some are joined themselves.
func flat(errs []error) error {
	var all []error
	for _, err := range errs {
		if several, ok := err.(interface{ Unwrap() []error }); ok {
			all = append(all, several.Unwrap()...)
		} else {
			all = append(all, err)
		}
	}
	return errors.Join(all...)
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
	// Own returns the issuers of the server's own token service, see samltoken.Options. It is nil if
	// there is no such service.
	Own func(issuer string) []saml.Issuer
	// Confirm confirms the subject of a token of Own, see samltoken.Options. It is nil if Own is nil.
	Confirm func(context.Context, *saml.Assertion) (session.Grant, error)
}

// Methods returns the login methods by token and ticket. The error joins a mistake with its line for
// each source that can't be used.
func (s *Sources) Methods(o MethodOptions) ([]login.Method, error) {
	var all []login.Method
	var errs []error
	add := func(m login.Method) { all = append(all, member{m, s.directories}) }
	if issuers, mistakes := s.jwtIssuers(); len(mistakes) > 0 {
		errs = append(errs, mistakes...)
	} else if len(issuers) > 0 {
		m, err := jwt.New(issuers, s.now, s.logger)
		if err != nil {
			return nil, err
		}
		add(m)
	}
	if issuers, mistakes := s.samlIssuers(); len(mistakes) > 0 {
		errs = append(errs, mistakes...)
	} else if len(issuers) > 0 || o.Own != nil {
		t := s.config.Tokens
		m, err := samltoken.New(samltoken.Options{
			Issuers: issuers, Own: o.Own, Confirm: o.Confirm, Spent: o.Spent, Skew: t.ClockSkew,
			BearerMax: t.BearerMax, KeyMax: t.HolderOfKeyMax, BearerReuse: t.BearerReuse, Now: s.now,
		})
		if err != nil {
			return nil, err
		}
		add(m)
	}
	if k := &s.config.Kerberos; k.Keytab != "" {
		m, err := sspi.New(k.service(s.config.Tokens), o.Spent, s.now, s.logger)
		if err != nil {
			errs = append(errs, k.Wrong("keytab", "can't be used: %v", err))
		} else {
			add(m)
		}
	}
	return all, errors.Join(errs...)
}

// jwtIssuers returns the issuers of JSON Web Tokens, and the mistakes in those that can't be used.
func (s *Sources) jwtIssuers() (issuers []jwt.Issuer, mistakes []error) {
	for i := range s.config.OIDC {
		o := &s.config.OIDC[i]
		issuer := o.issuer(s.config.Tokens)
		if _, err := jwt.New([]jwt.Issuer{issuer}, s.now, s.logger); err != nil {
			mistakes = append(mistakes, o.Wrong("issuer", "can't be used: %v", errors.Unwrap(err)))
		}
		issuers = append(issuers, issuer)
	}
	return issuers, mistakes
}

// samlIssuers returns the issuers of SAML tokens, and the mistakes in those that can't be used.
func (s *Sources) samlIssuers() (issuers []saml.Issuer, mistakes []error) {
	for i := range s.config.SAML {
		c := &s.config.SAML[i]
		certificates, err := readCertificates(c.Certificates)
		if err != nil {
			mistakes = append(mistakes, c.Wrong("certificates", "can't be used: %v", err))
			continue
		}
		issuers = append(issuers, saml.Issuer{
			Name: c.Issuer, Certificates: certificates, Domain: strings.ToUpper(c.Domain), Audience: c.Audience,
		})
	}
	return issuers, mistakes
}

// maxCertificates is the maximum size of a file of certificates, in bytes.
const maxCertificates = 1 << 20

// readCertificates reads a PEM file of certificates.
func readCertificates(path string) ([]*x509.Certificate, error) {
	f, err := datadir.OpenFile(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxCertificates+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxCertificates {
		return nil, fmt.Errorf("%s has more than %d bytes", path, maxCertificates)
	}
	var all []*x509.Certificate
	for block, rest := pem.Decode(b); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("%s has a block of type %.32q", path, block.Type)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("read certificate in %s: %w", path, err)
		}
		all = append(all, c)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s has no certificate in PEM", path)
	}
	return all, nil
}

func (k *Kerberos) service(t Tokens) sspi.Service {
	return sspi.Service{Keytab: k.Keytab, Realms: k.Realms, Skew: t.ClockSkew}
}

// Recheck returns the sources for package recheck, and how often it asks them.
func (s *Sources) Recheck() ([]recheck.Source, time.Duration) {
	var all []recheck.Source
	for _, d := range s.directories {
		all = append(all, d)
	}
	return all, s.config.Recheck
}

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
