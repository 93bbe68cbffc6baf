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

// ByCertificate is the way in of extensions whose certificate is registered.
type ByCertificate struct{ Extensions *extension.Table }

// Name is part of Method.
func (ByCertificate) Name() string { return "extension certificate" }

// Challenge is part of Method.
func (ByCertificate) Challenge() string { return "" }

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
	Trust      func() trust.Authorities // nil: nobody is believed
	Now        func() time.Time         // nil: time.Now
}

// Name is part of Method.
func (BySubject) Name() string { return "extension subject" }

// Challenge is part of Method.
func (BySubject) Challenge() string { return "" }

// Authenticate is part of Method.
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
		// An extension that is unregistered while this login is committed, or
		// gets another certificate, does not get in.
		Changes: []store.Change{e.Require()},
	}, nil
}
