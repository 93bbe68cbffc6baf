package identity

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/vigate/vigate/internal/ldap"
	"github.com/vigate/vigate/internal/trust"
)

// Finding is what Try found out about one source.
type Finding struct {
	// Source names the source by its key in the file, and says what it is for.
	Source string
	// Found says what the source answered. It is empty if Err is set.
	Found string
	Err   error
}

// tryTime limits how long one source is tried.
const tryTime = 20 * time.Second

// Try connects to each source and returns what it found, in the order of the file. It logs what is unwise about the
// files of the sources. A nil logger is slog.Default.
func Try(ctx context.Context, c Config, logger *slog.Logger) []Finding {
	var all []Finding
	try := func(source string, ask func(context.Context) (string, error)) {
		ctx, cancel := context.WithTimeout(ctx, tryTime)
		defer cancel()
		found, err := ask(ctx)
		if err != nil {
			found = ""
		}
		all = append(all, Finding{Source: source, Found: found, Err: err})
	}
	for i := range c.LDAP {
		l := &c.LDAP[i]
		source, err := ldap.New(l.settings(), nil, logger)
		if err != nil {
			all = append(all, Finding{Source: fmt.Sprintf("ldap[%d]", i), Err: err})
			continue
		}
		for _, f := range source.Probe(ctx) {
			try(fmt.Sprintf("ldap[%d]: %s for users of %s", i, f.Server, l.Domain),
				func(context.Context) (string, error) {
					return fmt.Sprintf("has %s and %s", count(f.Users, "user"), count(f.Groups, "group")), f.Err
				})
		}
	}
	for i := range c.SAML {
		s := &c.SAML[i]
		try(fmt.Sprintf("saml[%d]: tokens of %s for users of %s", i, s.Issuer, s.Domain),
			func(context.Context) (string, error) { return s.describe(time.Now()) })
	}
	for i := range c.OIDC {
		o := &c.OIDC[i]
		try(fmt.Sprintf("oidc[%d]: tokens of %s for users of %s", i, o.Issuer, o.Domain),
			func(ctx context.Context) (string, error) {
				n, address, err := o.issuer(c.Tokens).Probe(ctx)
				return fmt.Sprintf("%s has %s", address, count(n, "usable key")), err
			})
	}
	if k := &c.Kerberos; k.Keytab != "" {
		source := "kerberos: users of " + strings.Join(k.sorted(), ", ")
		try(source, func(context.Context) (string, error) {
			names, err := k.service(c.Tokens).Probe()
			return fmt.Sprintf("%s has keys of %s", k.Keytab, strings.Join(names, ", ")), err
		})
	}
	return all
}

func count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

// describe says until when the issuer's certificates are valid. It returns an error if none is.
func (s *SAML) describe(now time.Time) (string, error) {
	all, err := trust.ReadCertificates(s.Certificates)
	if err != nil {
		return "", err
	}
	var found []string
	valid := false
	for _, c := range all {
		ok := now.After(c.NotBefore) && now.Before(c.NotAfter)
		valid = valid || ok
		text := fmt.Sprintf("certificate of %s, valid from %s until %s", c.Subject,
			c.NotBefore.Format(time.DateOnly), c.NotAfter.Format(time.DateOnly))
		if c.IsCA {
			text += " (an authority: name the certificate that signs tokens instead)"
		}
		found = append(found, text)
	}
	if !valid {
		return "", fmt.Errorf("no certificate is valid now: %s", strings.Join(found, "; "))
	}
	return strings.Join(found, "; "), nil
}
