package trust_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/trust"
)

var now = time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)

// issuer is a certificate with its key.
type issuer struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

var serial int64

// issue makes a certificate. If parent is nil, it is self-signed.
func issue(t *testing.T, parent *issuer, name string, edit func(*x509.Certificate)) *issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	serial++
	c := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name, Organization: []string{"Example Inc."}},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, KeyUsage: x509.KeyUsageDigitalSignature,
	}
	if edit != nil {
		edit(c)
	}
	by := &issuer{c, key}
	if parent != nil {
		by = parent
	}
	der, err := x509.CreateCertificate(rand.Reader, c, by.cert, key.Public(), by.key)
	must(t, err)
	c, err = x509.ParseCertificate(der)
	must(t, err)
	return &issuer{c, key}
}

func authority(c *x509.Certificate) {
	c.IsCA, c.BasicConstraintsValid = true, true
	c.KeyUsage, c.ExtKeyUsage = x509.KeyUsageCertSign|x509.KeyUsageCRLSign, nil
}

func (i *issuer) list(t *testing.T, edit func(*x509.RevocationList), revoked ...*issuer) *x509.RevocationList {
	t.Helper()
	l := &x509.RevocationList{
		Number: big.NewInt(1), ThisUpdate: now.Add(-time.Minute), NextUpdate: now.Add(time.Minute),
	}
	for _, r := range revoked {
		l.RevokedCertificateEntries = append(l.RevokedCertificateEntries,
			x509.RevocationListEntry{SerialNumber: r.cert.SerialNumber, RevocationTime: now.Add(-time.Minute)})
	}
	if edit != nil {
		edit(l)
	}
	der, err := x509.CreateRevocationList(rand.Reader, l, i.cert, i.key)
	must(t, err)
	l, err = x509.ParseRevocationList(der)
	must(t, err)
	return l
}

// believing returns Authorities that trust the given authorities.
func believing(t *testing.T, authorities ...*issuer) trust.Authorities {
	t.Helper()
	believed, err := trust.New(chain(authorities...))
	must(t, err)
	return believed
}

func chain(all ...*issuer) []*x509.Certificate {
	var c []*x509.Certificate
	for _, i := range all {
		c = append(c, i.cert)
	}
	return c
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

type lists []*x509.RevocationList

// at sets the times of a revocation list relative to now.
func at(this, next time.Duration) func(*x509.RevocationList) {
	return func(l *x509.RevocationList) { l.ThisUpdate, l.NextUpdate = now.Add(this), now.Add(next) }
}

func TestARevokedCertificateIsRefused(t *testing.T) {
	root := issue(t, nil, "Root", authority)
	namesake := issue(t, nil, "Middle", authority)
	middle := issue(t, root, "Middle", authority)
	good, other := issue(t, middle, "Ext A", nil), issue(t, middle, "Ext A", nil)
	partial := func(l *x509.RevocationList) {
		scope := asn1.ObjectIdentifier{2, 5, 29, 28}
		l.ExtraExtensions = []pkix.Extension{{Id: scope, Critical: true, Value: []byte{0x30, 0}}}
	}
	old := at(-time.Hour, -time.Second)
	for name, c := range map[string]struct {
		lists lists
		good  bool
	}{
		"none":                      {nil, true},
		"empty":                     {lists{middle.list(t, nil)}, true},
		"another is revoked":        {lists{middle.list(t, nil, other)}, true},
		"both authorities have one": {lists{middle.list(t, nil, other), root.list(t, nil)}, true},
		"old and new":               {lists{middle.list(t, old), middle.list(t, nil)}, true},
		"revoked":                   {lists{middle.list(t, nil, other, good)}, false},
		"revoked in an old list":    {lists{middle.list(t, old, good), middle.list(t, nil)}, false},
		"the authority is revoked":  {lists{root.list(t, nil, middle), middle.list(t, nil)}, false},
		"the authority alone":       {lists{root.list(t, nil, middle)}, false},
		"stale":                     {lists{middle.list(t, at(-time.Hour, 0))}, false},
		"from tomorrow":             {lists{middle.list(t, at(time.Second, time.Hour))}, false},
		"partial":                   {lists{middle.list(t, partial)}, false},
		"of a namesake":             {lists{namesake.list(t, nil)}, false},
		"the authority's is stale":  {lists{root.list(t, old), middle.list(t, nil)}, false},
	} {
		believed := believing(t, middle, namesake, root)
		for _, list := range c.lists {
			must(t, believed.Revoke(list))
			// A login must not read the list again, so that its cost does not depend on the list's
			// length.
			clear(list.Raw)
			clear(list.RawTBSRevocationList)
			clear(list.RevokedCertificateEntries)
		}
		for _, sent := range [][]*x509.Certificate{chain(good, middle), chain(good)} {
			if err := believed.Check(sent, now); (err == nil) != c.good {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

func TestAListOfNoKnownAuthorityIsRefused(t *testing.T) {
	root, stranger := issue(t, nil, "Root", authority), issue(t, nil, "Stranger", authority)
	namesake := issue(t, nil, "Root", authority)
	middle := issue(t, root, "Middle", authority)
	bad := issue(t, root, "Ext A", nil)
	forged := root.list(t, nil)
	forged.Signature = append([]byte(nil), namesake.list(t, nil).Signature...)
	// This authority may not issue lists.
	mute := issue(t, nil, "Mute", func(c *x509.Certificate) { authority(c); c.KeyUsage = x509.KeyUsageCertSign })
	signer := &issuer{&x509.Certificate{
		Subject: mute.cert.Subject, RawSubject: mute.cert.RawSubject, PublicKey: mute.cert.PublicKey,
		KeyUsage: x509.KeyUsageCRLSign, SubjectKeyId: []byte{1},
	}, mute.key}
	for name, list := range map[string]*x509.RevocationList{
		"a stranger's":                   stranger.list(t, nil, bad),
		"a namesake's":                   namesake.list(t, nil, bad),
		"forged":                         forged,
		"an intermediate's, not known":   middle.list(t, nil, bad),
		"of one that may not issue them": signer.list(t, nil, bad),
	} {
		believed := believing(t, root, mute)
		err := believed.Revoke(list)
		if err == nil || !strings.Contains(err.Error(), "is of no configured authority") ||
			!strings.Contains(err.Error(), list.Issuer.String()) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := (trust.Authorities{}).Revoke(root.list(t, nil)); err == nil {
		t.Error("a list was taken without an authority")
	}
	must(t, believing(t, root, middle).Revoke(middle.list(t, nil, bad)))
	must(t, believing(t, root, namesake).Revoke(namesake.list(t, nil, bad)))
}

// An intermediate that is configured beside its issuer must chain to the issuer. If it were trusted
// by itself, it could not be revoked.
func TestAConfiguredIntermediateIsBelievedForItsIssuerOnlyIfThatIsConfigured(t *testing.T) {
	root := issue(t, nil, "Root", authority)
	middle := issue(t, root, "Middle", authority)
	good := issue(t, middle, "Ext A", nil)
	must(t, believing(t, middle).Check(chain(good), now))
	must(t, believing(t, middle, root).Check(chain(good), now))
	old := issue(t, nil, "Old", func(c *x509.Certificate) { authority(c); c.NotAfter = now.Add(-time.Minute) })
	of := issue(t, old, "Middle", authority)
	if believing(t, of, old).Check(chain(issue(t, of, "Ext A", nil)), now) == nil {
		t.Error("an intermediate of an authority that has expired is believed")
	}

	// Two authorities that have issued each other, and no root.
	a := issue(t, nil, "A", authority)
	b := issue(t, a, "B", authority)
	der, err := x509.CreateCertificate(rand.Reader, a.cert, b.cert, a.key.Public(), b.key)
	must(t, err)
	crossed, err := x509.ParseCertificate(der)
	must(t, err)
	if _, err := trust.New([]*x509.Certificate{crossed, b.cert}); err == nil {
		t.Error("a circle was taken")
	}
	must(t, func() error { _, err := trust.New([]*x509.Certificate{crossed, b.cert, a.cert}); return err }())
}
