// Package trust decides which client certificates are trusted: those that were issued by an
// authority that the operator has configured, and that are not revoked.
//
// [Authorities] checks certificates against authorities and revocation lists. [Files] loads both
// from files and reloads them when they change, and [Token] does so with a secret that a client
// presents instead of a certificate. [ReadCertificates] reads the files of all that the
// server trusts, also of issuers and of other servers. The package does not decide which principal
// a certificate belongs to.
package trust

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"time"
)

// maxChain is how many certificates a client may send.
const maxChain = 10

// Authorities are the authorities whose client certificates are trusted, with their revocation
// lists. The zero Authorities trusts no certificate.
type Authorities struct {
	all map[string][]*x509.Certificate // by subject
	// anchors are the authorities that are trusted by themselves. intermediates are the authorities
	// whose issuer is also configured: they must chain to it, so that they can be revoked. anchors
	// is nil if there are none.
	anchors, intermediates *x509.CertPool
	// revoked holds the revocation lists by the name of their issuer. If an authority has lists,
	// its certificates are trusted only while a list that it issued itself is current.
	revoked map[string][]*revocations
}

// revocations is a revocation list whose signature was verified.
type revocations struct {
	issuer     []byte // public key, DER
	serials    map[string]struct{}
	this, next time.Time
	whole      bool // certificates that it does not list are not revoked elsewhere
}

var errNoAnchor = errors.New("no root among the authorities: each is issued by another of them")

// New returns Authorities that trust certificates that the authorities, or intermediates below
// them, have issued.
func New(authorities []*x509.Certificate) (Authorities, error) {
	a := Authorities{all: map[string][]*x509.Certificate{}, revoked: map[string][]*revocations{}}
	for _, c := range authorities {
		a.all[string(c.RawSubject)] = append(a.all[string(c.RawSubject)], c)
	}
	intermediates := x509.NewCertPool()
	for _, c := range authorities {
		if a.issued(c) {
			intermediates.AddCert(c)
			continue
		}
		if a.anchors == nil {
			a.anchors = x509.NewCertPool()
		}
		a.anchors.AddCert(c)
	}
	if a.anchors == nil && len(authorities) > 0 {
		return Authorities{}, errNoAnchor
	}
	a.intermediates = intermediates
	return a, nil
}

// issued reports whether another of the authorities has issued c.
func (a Authorities) issued(c *x509.Certificate) bool {
	if bytes.Equal(c.RawIssuer, c.RawSubject) && c.CheckSignatureFrom(c) == nil {
		return false // self-signed, even if another authority has cross-signed it
	}
	for _, p := range a.all[string(c.RawIssuer)] {
		if !p.Equal(c) && c.CheckSignatureFrom(p) == nil {
			return true
		}
	}
	return false
}

// Revoke adds a revocation list. It returns an error if none of the authorities issued the list,
// because such a list would silently revoke nothing.
func (a Authorities) Revoke(list *x509.RevocationList) error {
	err := errors.New("none has the name of its issuer")
	for _, c := range a.all[string(list.RawIssuer)] {
		if err = list.CheckSignatureFrom(c); err != nil {
			continue
		}
		r := &revocations{
			issuer: c.RawSubjectPublicKeyInfo, serials: make(map[string]struct{}, len(list.RevokedCertificateEntries)),
			this: list.ThisUpdate, next: list.NextUpdate, whole: true,
		}
		for _, e := range list.RevokedCertificateEntries {
			if e.SerialNumber != nil {
				r.serials[serialKey(e.SerialNumber)] = struct{}{}
			}
		}
		for _, e := range list.Extensions {
			// A critical extension, such as that of a list for some of the certificates only, means
			// that other certificates may be revoked elsewhere (RFC 5280 §5.2).
			r.whole = r.whole && !e.Critical
		}
		a.revoked[string(list.RawIssuer)] = append(a.revoked[string(list.RawIssuer)], r)
		return nil
	}
	return fmt.Errorf("the list of %q is of no configured authority: %w", list.Issuer, err)
}

func serialKey(n *big.Int) string {
	return string(append([]byte{byte(n.Sign())}, n.Bytes()...))
}

// Check checks the certificates that a client presented, its own first. The client's certificate
// must be issued below an authority, for client authentication, be valid at now, and not be
// revoked. The cost does not depend on the length of the lists.
func (a Authorities) Check(peer []*x509.Certificate, now time.Time) error {
	// Without roots, x509 would use those of the system.
	if a.anchors == nil {
		return errors.New("no authority is configured")
	}
	if len(peer) == 0 || len(peer) > maxChain {
		return errors.New("no certificate, or too many")
	}
	between := a.intermediates
	if len(peer) > 1 {
		between = between.Clone()
		for _, c := range peer[1:] {
			between.AddCert(c)
		}
	}
	chains, err := peer[0].Verify(x509.VerifyOptions{
		Roots: a.anchors, Intermediates: between, CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return err
	}
	for _, chain := range chains {
		if err = a.unrevoked(chain, now); err == nil {
			return nil
		}
	}
	return err
}

var errRevoked = errors.New("certificate is revoked")

// unrevoked checks that no certificate of the chain, except the root, is revoked.
func (a Authorities) unrevoked(chain []*x509.Certificate, now time.Time) error {
	for i := range len(chain) - 1 {
		lists := a.revoked[string(chain[i+1].RawSubject)]
		serial, current := serialKey(chain[i].SerialNumber), false
		for _, r := range lists {
			if !bytes.Equal(r.issuer, chain[i+1].RawSubjectPublicKeyInfo) {
				continue // issued by a namesake
			}
			if _, named := r.serials[serial]; named {
				return errRevoked // even if the list is out of date
			}
			current = current || r.current(now)
		}
		if len(lists) > 0 && !current {
			return errors.New("no valid and current revocation list of an issuer that has one")
		}
	}
	return nil
}

// current reports whether the list proves that a certificate that it does not name is not revoked
// now.
func (r *revocations) current(now time.Time) bool {
	return r.whole && !now.Before(r.this) && !r.next.IsZero() && now.Before(r.next)
}
