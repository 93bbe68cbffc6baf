package login

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/vigate/vigate/internal/extension"
	"github.com/vigate/vigate/internal/session"
	"github.com/vigate/vigate/internal/store"
)

// ByCertificate is the way in of extensions whose certificate is registered.
type ByCertificate struct{ Extensions *extension.Table }

// Name is part of Method.
func (ByCertificate) Name() string { return "extension certificate" }

// Authenticate is part of Method.
func (m ByCertificate) Authenticate(_ context.Context, a Attempt) (session.Grant, error) {
	c, ok := a.Credential.(ExtensionCertificate)
	if !ok {
		return session.Grant{}, ErrNotMine
	}
	var leaf *x509.Certificate
	if len(a.Peer.Certificates) > 0 {
		leaf = a.Peer.Certificates[0]
	}
	return extensionGrant(m.Extensions.AuthenticateCertificate(c.Key, leaf))
}

// BySubject is the way in of extensions whose subject name is registered, with
// a certificate of a configured authority.
type BySubject struct {
	Extensions *extension.Table
	Trust      extension.Trust
	Now        func() time.Time
}

// Name is part of Method.
func (BySubject) Name() string { return "extension subject" }

// Authenticate is part of Method.
func (m BySubject) Authenticate(_ context.Context, a Attempt) (session.Grant, error) {
	c, ok := a.Credential.(ExtensionSubject)
	if !ok {
		return session.Grant{}, ErrNotMine
	}
	return extensionGrant(m.Extensions.AuthenticateSubject(c.Key, a.Peer.Certificates, m.Trust, m.Now()))
}

func extensionGrant(e extension.Extension, err error) (session.Grant, error) {
	for _, known := range []struct{ is, as error }{
		{extension.ErrNoCertificate, ErrNoCertificate},
		{extension.ErrInvalidCertificate, ErrBadCertificate},
		{extension.ErrNoSubjectName, ErrNoSubject},
		{extension.ErrRejected, ErrRejected},
	} {
		if errors.Is(err, known.is) {
			return session.Grant{}, fmt.Errorf("%w: %w", known.as, err)
		}
	}
	if err != nil {
		return session.Grant{}, err
	}
	return session.Grant{
		Identity: session.Identity{Name: e.Principal(), FullName: e.Key, Extension: true},
		// An extension that is unregistered while this login is committed, or
		// gets another certificate, does not get in.
		Changes: []store.Change{e.Require()},
	}, nil
}

// maxTrustFile bounds a file of authorities or revocations.
const maxTrustFile = 16 << 20

// LoadTrust reads the authorities of client certificates and their revocation
// lists from files, in PEM, or DER for a list.
func LoadTrust(authorities, revocations []string) (extension.Trust, error) {
	var t extension.Trust
	if len(authorities) > 0 {
		t.Roots = x509.NewCertPool()
	}
	for _, path := range authorities {
		b, err := readTrust(path)
		if err != nil {
			return extension.Trust{}, err
		}
		if !t.Roots.AppendCertsFromPEM(b) {
			return extension.Trust{}, fmt.Errorf("read authorities in %s: no certificate in PEM", path)
		}
	}
	for _, path := range revocations {
		b, err := readTrust(path)
		if err != nil {
			return extension.Trust{}, err
		}
		lists, err := parseRevocations(b)
		if err != nil {
			return extension.Trust{}, fmt.Errorf("read revocations in %s: %w", path, err)
		}
		t.Revoked = append(t.Revoked, lists...)
	}
	return t, nil
}

// revocationBlock is the type of a list in PEM.
const revocationBlock = "X509 CRL"

var errTrailing = errors.New("there is more behind the list")

// parseRevocations reads the revocation lists of a file: one in DER, or all in
// PEM. A list that was passed over would let revoked certificates in, so a file
// with anything else in it is refused.
func parseRevocations(b []byte) ([]*x509.RevocationList, error) {
	block, rest := pem.Decode(b)
	if block == nil {
		block, rest = &pem.Block{Type: revocationBlock, Bytes: b}, nil
	}
	var lists []*x509.RevocationList
	for ; block != nil; block, rest = pem.Decode(rest) {
		if block.Type != revocationBlock {
			return nil, fmt.Errorf("a %q is no revocation list", block.Type)
		}
		list, err := x509.ParseRevocationList(block.Bytes)
		if err != nil {
			return nil, err
		}
		if len(list.Raw) != len(block.Bytes) {
			return nil, errTrailing
		}
		lists = append(lists, list)
	}
	if len(bytes.TrimSpace(rest)) > 0 {
		return nil, errTrailing
	}
	return lists, nil
}

func readTrust(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read trust: %w", err)
	}
	if info.Size() > maxTrustFile {
		return nil, fmt.Errorf("read trust: %s has %d bytes, more than %d", path, info.Size(), maxTrustFile)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read trust: %w", err)
	}
	return b, nil
}
