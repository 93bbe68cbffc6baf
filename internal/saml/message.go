package saml

import (
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/xmlsig"
)

// Message is a SOAP message with a WS-Security header. ReadMessage makes it. It is parsed, but
// nothing of it is verified.
type Message struct {
	// Body is the Body element, and Operation the only element in it.
	Body, Operation xmlsig.Element
	// Assertion is the assertion in the header. It is the zero Element if there is none.
	Assertion xmlsig.Element
	// Certificate is the certificate in the header's BinarySecurityToken, or nil.
	Certificate *x509.Certificate
	// User and Password are those of the header's UsernameToken. HasUser reports whether there is one.
	User     string
	Password secret.Text
	HasUser  bool
	// SignatureID is the id of the signature, by which a request for a token names the key.
	SignatureID string

	document         *xmlsig.Document
	timestamp        xmlsig.Element
	signature        xmlsig.Element
	created, expires time.Time
}

// ReadMessage reads a SOAP 1.1 message. It has one Header with one Security header, and one Body with
// one element. The Security header has at most one of each: Timestamp, UsernameToken,
// BinarySecurityToken, Assertion, Signature, in any order. The errors are xmlsig.ErrDocument and
// ErrForm, wrapped.
func ReadMessage(raw []byte) (*Message, error) {
	d, err := xmlsig.Parse(raw)
	if err != nil {
		return nil, err
	}
	m := &Message{document: d}
	if !d.Root().Is(nsEnvelope, "Envelope") {
		return nil, bad("want an envelope of SOAP 1.1")
	}
	parts, err := children(d.Root())
	if err != nil {
		return nil, err
	}
	header := parts.take(nsEnvelope, "Header")
	if m.Body = parts.take(nsEnvelope, "Body"); header.IsZero() || m.Body.IsZero() || len(parts) > 0 {
		return nil, bad("the envelope must have one Header and one Body")
	}
	operations, err := children(m.Body)
	if err != nil || len(operations) != 1 {
		return nil, bad("the Body must have one element")
	}
	m.Operation = operations[0]
	entries, err := children(header)
	if err != nil {
		return nil, err
	}
	var security xmlsig.Element
	for _, e := range entries {
		if e.Name() != "Security" {
			continue
		}
		if !security.IsZero() || !e.Is(nsSecurity, "Security") {
			return nil, bad("there must be one Security header, of WS-Security 1.0")
		}
		security = e
	}
	if security.IsZero() {
		return nil, bad("there must be one Security header, of WS-Security 1.0")
	}
	return m, m.security(security)
}

func (m *Message) security(e xmlsig.Element) error {
	parts, err := children(e)
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, p := range parts {
		if seen[p.Name()] {
			return bad("an element of the Security header is repeated")
		}
		seen[p.Name()] = true
		switch {
		case p.Is(nsUtility, "Timestamp"):
			err = m.readTimestamp(p)
		case p.Is(nsSecurity, "UsernameToken"):
			err = m.readUser(p)
		case p.Is(nsSecurity, "BinarySecurityToken"):
			err = m.readCertificate(p)
		case p.Is(nsAssertion, "Assertion"):
			m.Assertion = p
		case p.Is(nsSignature, "Signature"):
			m.signature, m.SignatureID = p, p.Attribute("", "Id")
		default:
			err = bad("the Security header has an element that is not known")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (m *Message) readTimestamp(e xmlsig.Element) error {
	parts, err := children(e)
	if err != nil {
		return err
	}
	created, err := text(parts.take(nsUtility, "Created"))
	if err != nil {
		return err
	}
	if m.created, err = parseTime(created); err != nil {
		return err
	}
	m.expires = m.created.Add(proofLife)
	if end := parts.take(nsUtility, "Expires"); !end.IsZero() {
		expires, err := text(end)
		if err != nil {
			return err
		}
		if m.expires, err = parseTime(expires); err != nil {
			return err
		}
	}
	if most := m.created.Add(maxProofLife); m.expires.After(most) {
		m.expires = most
	}
	if len(parts) > 0 {
		return bad("the Timestamp has an element that is not known")
	}
	m.timestamp = e
	return nil
}

// passwordText is the type of passwords that are sent as they are. It is the default.
const passwordText = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-username-token-profile-1.0#PasswordText"

func (m *Message) readUser(e xmlsig.Element) error {
	parts, err := children(e)
	if err != nil {
		return err
	}
	if m.User, err = text(parts.take(nsSecurity, "Username")); err != nil {
		return err
	}
	password := parts.take(nsSecurity, "Password")
	value, ok := password.Text()
	if typ := password.Attribute("", "Type"); !ok || typ != "" && typ != passwordText {
		return bad("the password must be sent as it is")
	}
	m.Password, m.HasUser = secret.New(value), true
	return nil
}

// certificateType is the end of the value type of a certificate.
const certificateType = "#X509v3"

func (m *Message) readCertificate(e xmlsig.Element) error {
	value, err := text(e)
	if err != nil {
		return err
	}
	der, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(value), ""))
	if err != nil || !strings.HasSuffix(e.Attribute("", "ValueType"), certificateType) {
		return bad("a BinarySecurityToken must be a certificate")
	}
	if m.Certificate, err = x509.ParseCertificate(der); err != nil {
		return bad("a BinarySecurityToken must be a certificate")
	}
	return nil
}

// Signed reports whether the message has a signature. It may be wrong.
func (m *Message) Signed() bool { return !m.signature.IsZero() }

// Fresh checks the Timestamp, if there is one. A signed message must have one. Errors: ErrForm and
// ErrTime, wrapped.
func (m *Message) Fresh(now time.Time, skew time.Duration) error {
	switch {
	case !m.timestamp.IsZero():
		return fresh(m.created, m.expires, now, skew)
	case m.Signed():
		return bad("a signed message must have a Timestamp")
	}
	return nil
}

// Verify verifies the signature of the message with the public key of its sender, which must cover
// the Timestamp and the Body. The caller also calls Fresh. The signature's own KeyInfo is not used:
// the caller takes the key from the verified assertion, or from Certificate.
//
// Errors: ErrProof, xmlsig.ErrForm and xmlsig.ErrInvalid, wrapped.
func (m *Message) Verify(key crypto.PublicKey) (Proof, error) {
	if !m.Signed() || m.timestamp.IsZero() {
		return Proof{}, fmt.Errorf("%w: the message has no signature or no Timestamp", ErrProof)
	}
	info, err := m.document.VerifyDetached(m.signature, key, m.timestamp, m.Body)
	if err != nil {
		return Proof{}, fmt.Errorf("%w: %w", ErrProof, err)
	}
	return Proof{info, m.expires}, nil
}
