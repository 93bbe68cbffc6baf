package extension_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/extension"
	"github.com/vigate/vigate/internal/trust"
)

var now = time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)

// issuer is a certificate and its key.
type issuer struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

var serial int64

// issue returns a new certificate that parent has signed. Without a parent it is self-signed.
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

func (i *issuer) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: i.cert.Raw})
}

// believing returns a trust in the given authorities.
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

func TestAnExtensionsCertificateIsComparedByteForByte(t *testing.T) {
	n, ctx := newNode(t), t.Context()
	must(t, n.Register(ctx, event.By("x"), registration("com.example.A")))
	must(t, n.Register(ctx, event.By("x"), registration("com.example.B")))
	expired := func(c *x509.Certificate) { c.NotAfter = now.Add(-30 * time.Minute) }
	mine := issue(t, nil, "A", expired) // expired and self-signed, which is not checked
	must(t, n.SetCertificate(ctx, event.By("x"), "com.example.a", mine.pem(), ""))
	e, err := n.Table().AuthenticateCertificate("com.example.A", mine.cert)
	if err != nil || e.Key != "com.example.A" {
		t.Errorf("got %v, %v", e.Key, err)
	}
	if holder, ok := n.Table().Holder(mine.cert); !ok || holder.Key != "com.example.A" {
		t.Errorf("the holder of the certificate is %q", holder.Key)
	}
	must(t, n.SetCertificate(ctx, event.By("x"), "com.example.B", mine.pem(), ""))
	if holder, ok := n.Table().Holder(mine.cert); ok {
		t.Errorf("the holder of a certificate of two extensions is %q", holder.Key)
	}
	must(t, n.SetCertificate(ctx, event.By("x"), "com.example.B", issue(t, nil, "B",
		func(*x509.Certificate) {}).pem(), ""))
	if _, ok := n.Table().Holder(&x509.Certificate{}); ok {
		t.Error("no certificate has a holder")
	}
	twin := issue(t, nil, "A", func(c *x509.Certificate) { expired(c); c.SerialNumber = mine.cert.SerialNumber })
	for _, c := range []struct {
		key  string
		peer *x509.Certificate
		want error
	}{
		{"com.example.A", nil, extension.ErrNoCertificate}, {"com.example.C", nil, extension.ErrNoCertificate},
		{"com.example.A", &x509.Certificate{}, extension.ErrNoCertificate},
		{"com.example.A", twin.cert, extension.ErrRejected}, {"com.example.B", mine.cert, extension.ErrRejected},
		{"com.example.C", mine.cert, extension.ErrRejected}, {"", mine.cert, extension.ErrRejected},
	} {
		_, err := n.Table().AuthenticateCertificate(c.key, c.peer)
		wantError(t, err, c.want)
	}
	// DER is accepted too, and a new certificate takes effect immediately.
	must(t, n.SetCertificate(ctx, event.By("x"), "com.example.A", twin.cert.Raw, ""))
	_, err = n.Table().AuthenticateCertificate("com.example.A", mine.cert)
	wantError(t, err, extension.ErrRejected)
	_, err = n.Table().AuthenticateCertificate("com.example.A", twin.cert)
	must(t, err)
	for _, bad := range [][]byte{nil, []byte("x"), append(mine.pem(), twin.pem()...),
		append(mine.cert.Raw[:len(mine.cert.Raw):len(mine.cert.Raw)], 0),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: mine.cert.Raw}), make([]byte, 64<<10+1)} {
		wantError(t, n.SetCertificate(ctx, event.By("x"), "com.example.A", bad, ""), extension.ErrBadCertificate)
	}
}

func TestAnExtensionsSubjectNameNeedsACertificateOfAConfiguredAuthority(t *testing.T) {
	n, ctx := newNode(t), t.Context()
	reg := registration("com.example.A")
	reg.SubjectName = "cn=ext a,o=EXAMPLE INC."
	must(t, n.Register(ctx, event.By("x"), reg))
	must(t, n.Register(ctx, event.By("x"), registration("com.example.none")))
	root := issue(t, nil, "Root", authority)
	middle := issue(t, root, "Middle", authority)
	stranger := issue(t, nil, "Root", authority)
	good := issue(t, middle, "Ext A", nil)
	of := func(parent *issuer, edit func(*x509.Certificate)) *issuer { return issue(t, parent, "Ext A", edit) }

	for _, c := range []struct {
		name  string
		key   string
		peer  []*x509.Certificate
		trust trust.Authorities
		want  error
	}{
		{"good", "com.example.A", chain(good, middle), believing(t, root), nil},
		{"key in another case", "COM.example.a", chain(good, middle), believing(t, root), nil},
		{"no certificate", "com.example.A", nil, believing(t, root), extension.ErrNoCertificate},
		{"no authority configured", "com.example.A", chain(good, middle), trust.Authorities{},
			extension.ErrInvalidCertificate},
		{"no authority in the pool", "com.example.A", chain(good, middle), believing(t),
			extension.ErrInvalidCertificate},
		{"another authority of the same name", "com.example.A", chain(good, middle), believing(t, stranger),
			extension.ErrInvalidCertificate},
		{"intermediate missing", "com.example.A", chain(good), believing(t, root), extension.ErrInvalidCertificate},
		{"root brought along", "com.example.A", chain(of(stranger, nil), stranger), believing(t, root),
			extension.ErrInvalidCertificate},
		{"issued by a client", "com.example.A", chain(of(good, nil), good, middle), believing(t, root),
			extension.ErrInvalidCertificate},
		{"too long", "com.example.A", append(chain(good, middle), make([]*x509.Certificate, 9)...), believing(t, root),
			extension.ErrInvalidCertificate},
		{"expired", "com.example.A", chain(of(root, func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Second) })),
			believing(t, root), extension.ErrInvalidCertificate},
		{"not yet valid", "com.example.A",
			chain(of(root, func(c *x509.Certificate) { c.NotBefore = now.Add(time.Second) })), believing(t, root),
			extension.ErrInvalidCertificate},
		{"for servers", "com.example.A",
			chain(of(root, func(c *x509.Certificate) {
				c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
			})), believing(t, root), extension.ErrInvalidCertificate},
		{"another subject", "com.example.A", chain(issue(t, root, "Ext B", nil)), believing(t, root),
			extension.ErrRejected},
		{"subject with more", "com.example.A",
			chain(of(root, func(c *x509.Certificate) { c.Subject.Country = []string{"DE"} })), believing(t, root),
			extension.ErrRejected},
		{"no subject", "com.example.A",
			chain(of(root, func(c *x509.Certificate) { c.Subject = pkix.Name{}; c.DNSNames = []string{"x"} })),
			believing(t, root), extension.ErrRejected},
		{"unknown extension", "com.example.C", chain(good, middle), believing(t, root), extension.ErrRejected},
		{"unknown extension, bad certificate", "com.example.C", chain(good), believing(t, root),
			extension.ErrInvalidCertificate},
		{"extension without subject name", "com.example.none", chain(good, middle), believing(t, root),
			extension.ErrNoSubjectName},
	} {
		t.Run(c.name, func(t *testing.T) {
			e, err := n.Table().AuthenticateSubject(c.key, c.peer, c.trust, now)
			if !errors.Is(err, c.want) || (err == nil) != (e.Key == "com.example.A") {
				t.Errorf("got %q, %v, want %v", e.Key, err, c.want)
			}
		})
	}
}

func FuzzSetCertificate(f *testing.F) {
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))
	f.Add([]byte{0x30, 0x82})
	f.Fuzz(func(t *testing.T, b []byte) {
		n := extension.NewManager(extension.Options{Table: extension.NewTable(nil, discard)})
		if n.SetCertificate(canceled, event.Actor{}, "x", b, "") == nil ||
			n.SetPublicKey(canceled, event.Actor{}, "x", string(b)) == nil {
			t.Error("a certificate or a key that was made up")
		}
	})
}
