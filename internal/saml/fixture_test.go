package saml_test

import (
	"testing"
	"time"

	"github.com/vigate/vigate/internal/saml"
	"github.com/vigate/vigate/internal/saml/samltest"
	"github.com/vigate/vigate/internal/xmlsig/xmlsigtest"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const skew = time.Minute

type fixture struct {
	samltest.Issuer
	client   xmlsigtest.Key
	now      time.Time
	verifier *saml.Verifier
	others   []saml.Issuer // trusted beside the issuer
}

func newFixture(t testing.TB) *fixture {
	f := &fixture{
		Issuer: samltest.NewIssuer(t, "https://idp.example/metadata", "corp.example"),
		client: xmlsigtest.NewKey(t, "client"), now: now,
	}
	f.verifier = &saml.Verifier{
		Issuers: func(name string) (all []saml.Issuer) {
			for _, i := range append([]saml.Issuer{f.Issuer.Issuer}, f.others...) {
				if i.Name == name {
					all = append(all, i)
				}
			}
			return all
		},
		Skew: skew, Now: func() time.Time { return f.now },
	}
	return f
}

// verify verifies a token.
func (f *fixture) verify(token string) (*saml.Assertion, error) {
	a, _, err := f.verifier.VerifyToken([]byte(token))
	return a, err
}
