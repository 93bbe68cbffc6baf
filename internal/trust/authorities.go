// Package trust says which certificates of clients are believed: those that were
// issued by authorities which an operator has named, and not revoked. It also
// follows the files in which authorities and revocation lists are.
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

// Authorities are those whose certificates of clients are believed, with their
// revocation lists. The zero Authorities believes nobody.
type Authorities struct {
	all map[string][]*x509.Certificate // by subject
	// anchors are the authorities that are believed for themselves, intermediates
	// those whose issuer is an authority too: they must chain to it, so that they
	// can be revoked. nil: there are none.
	anchors, intermediates *x509.CertPool
	// revoked are the lists of each issuer's name. An authority that has one is only
	// believed as long as one that it has issued itself is current.
	revoked map[string][]*revocations
}

// revocations is a revocation list, whose signature was verified.
type revocations struct {
	issuer     []byte // public key, DER
	serials    map[string]struct{}
	this, next time.Time
	whole      bool // what it does not name is not revoked elsewhere
}

var errNoAnchor = errors.New("none of the authorities is believed for itself: each is issued by another of them")

// New believes certificates that the authorities have issued, or intermediates
// below them.
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
		return false // self-signed, whoever else has signed it
	}
	for _, p := range a.all[string(c.RawIssuer)] {
		if !p.Equal(c) && c.CheckSignatureFrom(p) == nil {
			return true
		}
	}
	return false
}

// Revoke takes a revocation list into account. It must be of an authority: one
// that matches none would revoke nothing, and nobody would know.
func (a Authorities) Revoke(list *x509.RevocationList) error {
	err := errors.New("none has its issuer's name")
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
			// One that is critical, such as that of a list for some of the certificates
			// only, says that they may be revoked elsewhere (RFC 5280 §5.2).
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

// Check judges the certificates that a client has presented, its own first: it must
// be issued below an authority, for clients, in its time, and not revoked. What that
// costs does not depend on how long the lists are.
func (a Authorities) Check(peer []*x509.Certificate, now time.Time) error {
	// Without anchors of its own x509 would believe the system's.
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

// unrevoked checks every certificate of the chain but the root.
func (a Authorities) unrevoked(chain []*x509.Certificate, now time.Time) error {
	for i := range len(chain) - 1 {
		lists := a.revoked[string(chain[i+1].RawSubject)]
		serial, current := serialKey(chain[i].SerialNumber), false
		for _, r := range lists {
			if !bytes.Equal(r.issuer, chain[i+1].RawSubjectPublicKeyInfo) {
				continue // of a namesake
			}
			if _, named := r.serials[serial]; named {
				return errRevoked // also if the list is old
			}
			current = current || r.current(now)
		}
		if len(lists) > 0 && !current {
			return errors.New("no valid and current revocation list of an issuer that has one")
		}
	}
	return nil
}

// current reports whether a certificate that the list doesn't name is not revoked
// now.
func (r *revocations) current(now time.Time) bool {
	return r.whole && !now.Before(r.this) && !r.next.IsZero() && now.Before(r.next)
}
