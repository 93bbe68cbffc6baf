// Package trusttest supports tests: an [Authority] issues client certificates. Tests of several packages
// use it to log in with a certificate, or to be refused with one. The rules for certificates are in
// package trust.
package trusttest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"testing"
	"time"
)

// Authority issues client certificates.
type Authority struct {
	Cert *x509.Certificate
	Key  *ecdsa.PrivateKey

	t    testing.TB
	last int64 // serial number
}

// New returns an authority whose own certificate has the name.
func New(t testing.TB, name string) *Authority {
	t.Helper()
	a := &Authority{t: t}
	a.Cert, a.Key = a.Issue(name, func(c *x509.Certificate) {
		c.KeyUsage, c.IsCA, c.BasicConstraintsValid = x509.KeyUsageCertSign|x509.KeyUsageCRLSign, true, true
		c.ExtKeyUsage = nil // it would limit the certificates that the authority issues
	})
	return a
}

// Issue makes a client certificate and its key. edit, if not nil, changes the certificate before it
// is signed. The first certificate is the authority's own.
func (a *Authority) Issue(name string, edit func(*x509.Certificate)) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	a.last++
	c := &x509.Certificate{
		SerialNumber: big.NewInt(a.last), Subject: pkix.Name{CommonName: name},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		NotBefore:   time.Time{}.Add(-time.Hour).AddDate(2000, 0, 0), NotAfter: time.Time{}.AddDate(3000, 0, 0),
	}
	if edit != nil {
		edit(c)
	}
	by, with := a.Cert, a.Key
	if by == nil {
		by, with = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, by, key.Public(), with)
	if err == nil {
		c, err = x509.ParseCertificate(der)
	}
	if err != nil {
		a.t.Fatal(err)
	}
	return c, key
}
