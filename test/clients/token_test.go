package clients

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"testing"

	"github.com/vmware/govmomi/fault"
	"github.com/vmware/govmomi/session"
	"github.com/vmware/govmomi/sts"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// In a holder-of-key login, govmomi signs the body, whose element has no namespace.
func TestGovmomisLoginByTokenIsAcceptedWithAndWithoutAKey(t *testing.T) {
	s := newServer(t)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	token := `<saml2:Assertion xmlns:saml2="urn:oasis:names:tc:SAML:2.0:assertion" ID="_1"></saml2:Assertion>`
	for name, signer := range map[string]*sts.Signer{
		"bearer":        {Token: token},
		"holder of key": {Token: token, Certificate: &tls.Certificate{PrivateKey: key}},
	} {
		c := s.client(t, false)
		ctx := c.WithHeader(t.Context(), soap.Header{Security: signer})
		var refused *types.InvalidLogin
		if _, ok := fault.As(session.NewManager(c).LoginByToken(ctx), &refused); !ok {
			t.Errorf("%s: %v, want InvalidLogin: no issuer is trusted", name, session.NewManager(c).LoginByToken(ctx))
		}
	}
}
