package login

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/vigate/vigate/internal/extension"
	"github.com/vigate/vigate/internal/session"
	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/trust"
)

// ByCertificate is the login method for extensions whose certificate is registered. Extensions is
// required.
type ByCertificate struct{ Extensions *extension.Table }

// Name implements Method.
func (ByCertificate) Name() string { return "extension certificate" }

// Challenge implements Method.
func (ByCertificate) Challenge() string { return "" }

// Authenticate implements Method.
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

// BySubject is the login method for extensions whose subject name is registered, and whose certificate
// was issued by a configured authority. Extensions is required.
type BySubject struct {
	Extensions *extension.Table
	Trust      func() trust.Authorities // nil: no authority is trusted
	Now        func() time.Time         // nil: time.Now
}

// Name implements Method.
func (BySubject) Name() string { return "extension subject" }

// Challenge implements Method.
func (BySubject) Challenge() string { return "" }

// Authenticate implements Method.
func (m BySubject) Authenticate(_ context.Context, a Attempt) (session.Grant, error) {
	c, ok := a.Credential.(ExtensionSubject)
	if !ok {
		return session.Grant{}, ErrNotMine
	}
	var believed trust.Authorities
	if m.Trust != nil {
		believed = m.Trust()
	}
	now := time.Now
	if m.Now != nil {
		now = m.Now
	}
	return extensionGrant(m.Extensions.AuthenticateSubject(c.Key, a.Peer.Certificates, believed, now()))
}

// extensionGrant returns the grant of an authenticated extension, or the corresponding error of this package.
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
		Scope:    session.Scope{Local: true},
		// The commit of the login fails if the extension is unregistered, or gets another certificate,
		// before it.
		Changes: []store.Change{e.Require()},
	}, nil
}
