package saml

import (
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/xmlsig"
)

// Issuer is an issuer of assertions that is trusted.
type Issuer struct {
	// Name is the text of the assertions' Issuer element.
	Name string
	// Certificates are those of the keys that sign. An authority's certificate does not make the
	// certificates trusted that it has issued.
	Certificates []*x509.Certificate
	// Authorities, together with Signer, also trust certificates that they issue. It is for issuers
	// that get a new key often. Signer is the common name that such a certificate must have: the same
	// authority may issue certificates for others.
	Authorities *x509.CertPool
	Signer      string
	// Domain is the domain of users and groups that have none in an assertion. The issuer may only
	// speak for users of this domain. If it is empty, every name must have a domain, and every domain
	// is accepted: this is for the server's own token service.
	Domain string
	// Audience is the name of this server in assertions. If it is set, an assertion must name it. If
	// it is empty, an assertion must not be restricted to an audience.
	Audience string
}

// Verifier verifies assertions. It is safe for concurrent use.
type Verifier struct {
	// Issuers returns the trusted issuers with a name. Several issuers may have the same name, during
	// a change of keys. It is called for each assertion.
	Issuers func(name string) []Issuer
	// Skew is by how much the clocks of issuers and clients may differ from this server's.
	Skew time.Duration
	// BearerMax and KeyMax limit how long after its issue a bearer token and a holder-of-key token are
	// accepted. If they are 0, only the token says so.
	BearerMax, KeyMax time.Duration
	// Now is the clock. If it is nil, it is time.Now.
	Now func() time.Time
}

// Verify verifies an assertion, such as that of a message, and reads it. NotOnOrAfter of the result
// is the end of its use here: it respects the limits of the Verifier. The caller checks the proof of
// the key if the assertion is not a bearer token.
//
// Errors: xmlsig.ErrForm, xmlsig.ErrInvalid, ErrForm, ErrIssuer, ErrTime, ErrAudience, all wrapped.
func (v *Verifier) Verify(e xmlsig.Element) (*Assertion, Issuer, error) {
	now := v.now()
	parts, err := children(e)
	if err != nil {
		return nil, Issuer{}, err
	}
	// The issuer's name is not verified yet. It chooses whose certificates can verify it.
	name, err := text(parts.take(nsAssertion, "Issuer"))
	if err != nil || !e.Is(nsAssertion, "Assertion") {
		return nil, Issuer{}, bad("want an assertion with an issuer")
	}
	var issuers []Issuer
	if v.Issuers != nil {
		issuers = v.Issuers(name)
	}
	if len(issuers) == 0 {
		return nil, Issuer{}, fmt.Errorf("%w: it is not known", ErrIssuer)
	}
	for _, i := range issuers {
		choose := func(sent []*x509.Certificate) []*x509.Certificate { return i.trusted(sent, now) }
		var verified xmlsig.Element
		var signer *x509.Certificate
		if verified, signer, err = xmlsig.VerifyEnveloped(e, now, choose); err != nil {
			continue
		}
		r := &reader{domain: i.Domain}
		if err := r.read(verified); err != nil {
			return nil, Issuer{}, err
		}
		if err := v.check(r, i, now); err != nil {
			return nil, Issuer{}, err
		}
		r.Signer = signer
		return &r.Assertion, i, nil
	}
	return nil, Issuer{}, err
}

// VerifyToken is Verify for a token that is a document of its own.
func (v *Verifier) VerifyToken(token []byte) (*Assertion, Issuer, error) {
	d, err := xmlsig.Parse(token)
	if err != nil {
		return nil, Issuer{}, err
	}
	return v.Verify(d.Root())
}

func (v *Verifier) now() time.Time {
	if v.Now != nil {
		return v.Now()
	}
	return time.Now()
}

// trusted returns the certificates that may have signed an assertion, given those sent with it.
func (i Issuer) trusted(sent []*x509.Certificate, now time.Time) []*x509.Certificate {
	if i.Authorities == nil || i.Signer == "" || len(sent) == 0 {
		return i.Certificates
	}
	leaf, others := sent[0], x509.NewCertPool()
	for _, c := range sent[1:] {
		others.AddCert(c)
	}
	_, err := leaf.Verify(x509.VerifyOptions{
		Roots: i.Authorities, Intermediates: others, CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	if err != nil || leaf.Subject.CommonName != i.Signer {
		return i.Certificates
	}
	return append(slices.Clone(i.Certificates), leaf)
}

// check checks the conditions of a verified assertion.
func (v *Verifier) check(r *reader, i Issuer, now time.Time) error {
	if r.Issuer != i.Name {
		return fmt.Errorf("%w: the verified assertion is from another issuer", ErrIssuer)
	}
	if i.Domain != "" && r.Subject.Domain != strings.ToUpper(i.Domain) {
		return fmt.Errorf("%w: the subject belongs to another domain", ErrIssuer)
	}
	if !r.NotBefore.Before(r.NotOnOrAfter) {
		return fmt.Errorf("%w: the assertion ends before it begins", ErrTime) // the skew could hide that
	}
	most := v.BearerMax
	if !r.Bearer() {
		most = v.KeyMax
	}
	if end := r.Issued.Add(most); most > 0 && end.Before(r.NotOnOrAfter) {
		r.NotOnOrAfter = end
	}
	if !r.end.IsZero() && r.end.Before(r.NotOnOrAfter) {
		r.NotOnOrAfter = r.end
	}
	soon := now.Add(v.Skew)
	switch {
	case r.NotBefore.After(soon) || r.start.After(soon) || r.Issued.After(soon):
		return fmt.Errorf("%w: the assertion is not valid yet", ErrTime)
	case !now.Add(-v.Skew).Before(r.NotOnOrAfter):
		return fmt.Errorf("%w: the assertion has expired", ErrTime)
	case !r.SessionEnd.IsZero() && !now.Before(r.SessionEnd):
		return fmt.Errorf("%w: the session of the assertion has ended", ErrTime)
	}
	if i.Audience != "" && len(r.audience) == 0 {
		return fmt.Errorf("%w: the assertion names none", ErrAudience)
	}
	for _, audience := range r.audience {
		if i.Audience == "" || !slices.Contains(audience, i.Audience) {
			return fmt.Errorf("%w: the assertion does not name this server", ErrAudience)
		}
	}
	if r.Key != nil && (now.Before(r.Key.NotBefore) || now.After(r.Key.NotAfter)) {
		return fmt.Errorf("%w: the certificate of the key has expired or is not valid yet", ErrTime)
	}
	return nil
}

// In returns the names that belong to a domain. An issuer's groups of other domains count for
// nothing.
func In(domain string, names []principal.Name) []principal.Name {
	return slices.DeleteFunc(slices.Clone(names),
		func(n principal.Name) bool { return n.Domain != strings.ToUpper(domain) })
}
