// Package saml reads, verifies and makes SAML 2.0 assertions, which are the security tokens of vCenter. It also reads
// the two forms in which clients send them: in the WS-Security header of a SOAP message, and in the HTTP header
// Authorization with the scheme SIGN.
//
// A [Verifier] verifies an assertion: the signature of a trusted [Issuer], the form, and the
// conditions. It returns an [Assertion], which is read from the verified bytes alone. [Assertion.Sign]
// makes a token in exactly the form of vCenter's own tokens. [ReadMessage] and [ParseSign] read what
// carries a token. Their results verify the proof that a client has the token's key.
//
// The package knows no accounts and no sessions, and remembers nothing: the caller spends assertions
// and proofs that may be used only once. Errors wrap one of the errors below, or one of package
// xmlsig. Their texts contain nothing from the input, so they may be logged.
package saml

import (
	"errors"
	"fmt"

	"github.com/vigate/vigate/internal/xmlsig"
)

var (
	// ErrForm means that an assertion, a header or a message does not have the accepted form.
	ErrForm = errors.New("security token or header of a form that is not accepted")
	// ErrIssuer means that the issuer of an assertion is not trusted, or that it may not speak for
	// the subject.
	ErrIssuer = errors.New("issuer not trusted")
	// ErrTime means that an assertion, a timestamp or a proof is not valid yet or not any more.
	ErrTime = errors.New("security token or proof not valid at this time")
	// ErrAudience means that an assertion is for other services.
	ErrAudience = errors.New("security token for another audience")
	// ErrSignature means that an assertion or a message has no valid signature of a trusted
	// certificate.
	ErrSignature = xmlsig.ErrInvalid
	// ErrProof means that a client has not proved that it has the key of a token.
	ErrProof = errors.New("proof of the key not valid")
)

func bad(reason string) error { return fmt.Errorf("%w: %s", ErrForm, reason) }

// The namespaces that the package knows.
const (
	nsAssertion  = "urn:oasis:names:tc:SAML:2.0:assertion"
	nsDelegation = "urn:oasis:names:tc:SAML:2.0:conditions:delegation"
	nsRenewal    = "http://www.rsa.com/names/2009/12/std-ext/SAML2.0"
	nsSignature  = "http://www.w3.org/2000/09/xmldsig#"
	nsInstance   = "http://www.w3.org/2001/XMLSchema-instance"
	nsSchema     = "http://www.w3.org/2001/XMLSchema"
	nsEnvelope   = "http://schemas.xmlsoap.org/soap/envelope/"
	nsSecurity   = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
	nsUtility    = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd"
)
