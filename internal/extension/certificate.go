package extension

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"github.com/vigate/vigate/internal/trust"
)

var (
	// ErrBadCertificate is returned if the data is not one certificate in PEM or DER.
	ErrBadCertificate = errors.New("not a certificate")
	// ErrBadPublicKey is returned if the text is not one public key in PEM.
	ErrBadPublicKey = errors.New("not a public key")

	// ErrNoCertificate is returned if the client has presented no certificate.
	ErrNoCertificate = errors.New("no client certificate")
	// ErrInvalidCertificate is returned if the client's certificate does not chain to a configured
	// authority, is not valid at this time, is not for clients or is revoked, or if its revocation
	// can't be checked.
	ErrInvalidCertificate = errors.New("client certificate is not valid")
	// ErrNoSubjectName is returned if the extension was registered without a subject name.
	ErrNoSubjectName = errors.New("extension has no subject name")
	// ErrRejected is returned if there is no such extension or the certificate is not the
	// extension's.
	ErrRejected = errors.New("extension or certificate rejected")
)

const (
	maxCertificate = 64 << 10 // bytes, in PEM or DER
	maxPublicKey   = 16 << 10
)

// parseCertificate reads one certificate in PEM or DER.
func parseCertificate(b []byte) (*x509.Certificate, error) {
	if len(b) > maxCertificate {
		return nil, fmt.Errorf("parse certificate: %d bytes: %w", len(b), ErrBadCertificate)
	}
	der := b
	if block, rest := pem.Decode(b); block != nil {
		if block.Type != "CERTIFICATE" || len(bytes.TrimSpace(rest)) > 0 {
			return nil, fmt.Errorf("parse certificate: not one PEM certificate: %w", ErrBadCertificate)
		}
		der = block.Bytes
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("parse certificate: %w: %w", err, ErrBadCertificate)
	}
	return c, nil
}

// checkPublicKey checks that the text is one public key in PEM.
func checkPublicKey(text string) error {
	if len(text) > maxPublicKey {
		return fmt.Errorf("parse public key: %d bytes: %w", len(text), ErrBadPublicKey)
	}
	block, rest := pem.Decode([]byte(text))
	if block == nil || len(bytes.TrimSpace(rest)) > 0 {
		return fmt.Errorf("parse public key: not one PEM block: %w", ErrBadPublicKey)
	}
	var err error
	switch block.Type {
	case "PUBLIC KEY":
		_, err = x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		_, err = x509.ParsePKCS1PublicKey(block.Bytes)
	default:
		err = errors.New("PEM block of another type")
	}
	if err != nil {
		return fmt.Errorf("parse public key: %w: %w", err, ErrBadPublicKey)
	}
	return nil
}

// AuthenticateCertificate returns the extension with the key if its registered certificate is, byte
// for byte, the one that the client has presented and whose private key it has proved to hold.
// Expiry and issuer are not checked, because the certificate was registered explicitly.
//
// Errors: ErrNoCertificate, ErrRejected.
func (t *Table) AuthenticateCertificate(key string, peer *x509.Certificate) (Extension, error) {
	const what = "authenticate extension by certificate"
	if peer == nil || len(peer.Raw) == 0 {
		return Extension{}, fmt.Errorf("%s: %w", what, ErrNoCertificate)
	}
	e, ok := t.Find(key)
	switch {
	case !ok:
		return Extension{}, fmt.Errorf("%s: no such extension: %w", what, ErrRejected)
	case len(e.Certificate) == 0:
		return Extension{}, fmt.Errorf("%s: extension has none: %w", what, ErrRejected)
	case !bytes.Equal(e.Certificate, peer.Raw):
		return Extension{}, fmt.Errorf("%s: not the extension's: %w", what, ErrRejected)
	}
	return e, nil
}

// AuthenticateSubject returns the extension with the key if its subject name is that of the first
// certificate that the client has presented and whose private key it has proved to hold. The
// certificate must be for clients, valid now, issued by a configured authority, and not revoked.
//
// The certificate is checked before the extension is looked up, so that a client without a valid
// certificate can't find out which extensions exist.
//
// Errors: ErrNoCertificate, ErrInvalidCertificate, ErrNoSubjectName, ErrRejected.
func (t *Table) AuthenticateSubject(
	key string, peer []*x509.Certificate, authorities trust.Authorities, now time.Time,
) (Extension, error) {
	const what = "authenticate extension by subject name"
	if len(peer) == 0 {
		return Extension{}, fmt.Errorf("%s: %w", what, ErrNoCertificate)
	}
	if err := authorities.Check(peer, now); err != nil {
		return Extension{}, fmt.Errorf("%s: %w: %w", what, err, ErrInvalidCertificate)
	}
	is, err := subject(peer[0])
	if err != nil {
		return Extension{}, fmt.Errorf("%s: %w: %w", what, err, ErrInvalidCertificate)
	}
	e, ok := t.Find(key)
	switch {
	case !ok:
		return Extension{}, fmt.Errorf("%s: no such extension: %w", what, ErrRejected)
	case e.SubjectName == "":
		return Extension{}, fmt.Errorf("%s: %w", what, ErrNoSubjectName)
	}
	want, err := parseName(e.SubjectName)
	switch {
	case err != nil:
		return Extension{}, fmt.Errorf("%s: %w: %w", what, err, ErrRejected)
	case !want.equal(is):
		return Extension{}, fmt.Errorf("%s: another subject: %w", what, ErrRejected)
	}
	return e, nil
}
