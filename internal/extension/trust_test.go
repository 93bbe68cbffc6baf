package extension_test

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/extension"
)

// newSubject is a node with the extension com.example.A, which logs in as Ext A of
// Example Inc.
func newSubject(t *testing.T) *node {
	n := newNode(t)
	reg := registration("com.example.A")
	reg.SubjectName = "CN=Ext A,O=Example Inc."
	must(t, n.Register(t.Context(), event.By("x"), reg))
	return n
}

type lists []*x509.RevocationList

// at is a list of another time.
func at(this, next time.Duration) func(*x509.RevocationList) {
	return func(l *x509.RevocationList) { l.ThisUpdate, l.NextUpdate = now.Add(this), now.Add(next) }
}

func TestARevokedCertificateIsRefused(t *testing.T) {
	n := newSubject(t)
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
		trust := believing(t, middle, namesake, root)
		for _, list := range c.lists {
			must(t, trust.Revoke(list))
			// What a login costs does not depend on the list: it is not read again.
			clear(list.Raw)
			clear(list.RawTBSRevocationList)
			clear(list.RevokedCertificateEntries)
		}
		for _, sent := range [][]*x509.Certificate{chain(good, middle), chain(good)} {
			_, err := n.AuthenticateSubject("com.example.A", sent, trust, now)
			switch {
			case c.good && err != nil:
				t.Errorf("%s: %v", name, err)
			case !c.good && !errors.Is(err, extension.ErrInvalidCertificate):
				t.Errorf("%s: accepted, or %v", name, err)
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
	// An authority that may not issue lists.
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
		trust := believing(t, root, mute)
		err := trust.Revoke(list)
		if err == nil || !strings.Contains(err.Error(), "is of no configured authority") ||
			!strings.Contains(err.Error(), list.Issuer.String()) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := (extension.Trust{}).Revoke(root.list(t, nil)); err == nil {
		t.Error("a list was taken without an authority")
	}
	must(t, believing(t, root, middle).Revoke(middle.list(t, nil, bad)))
	must(t, believing(t, root, namesake).Revoke(namesake.list(t, nil, bad)))
}

// An intermediate that is configured beside its issuer must chain to it: believed
// for itself, nobody could revoke it.
func TestAConfiguredIntermediateIsBelievedForItsIssuerOnlyIfThatIsConfigured(t *testing.T) {
	n := newSubject(t)
	root := issue(t, nil, "Root", authority)
	middle := issue(t, root, "Middle", authority)
	good := issue(t, middle, "Ext A", nil)
	login := func(trust extension.Trust) error {
		_, err := n.AuthenticateSubject("com.example.A", chain(good), trust, now)
		return err
	}
	must(t, login(believing(t, middle)))
	must(t, login(believing(t, middle, root)))
	old := issue(t, nil, "Old", func(c *x509.Certificate) { authority(c); c.NotAfter = now.Add(-time.Minute) })
	of := issue(t, old, "Middle", authority)
	_, err := n.AuthenticateSubject("com.example.A", chain(issue(t, of, "Ext A", nil)), believing(t, of, old), now)
	wantError(t, err, extension.ErrInvalidCertificate)

	// Two that have issued each other, and nobody who is believed for itself.
	a := issue(t, nil, "A", authority)
	b := issue(t, a, "B", authority)
	der, err := x509.CreateCertificate(rand.Reader, a.cert, b.cert, a.key.Public(), b.key)
	must(t, err)
	crossed, err := x509.ParseCertificate(der)
	must(t, err)
	if _, err := extension.NewTrust([]*x509.Certificate{crossed, b.cert}); err == nil {
		t.Error("a circle was taken")
	}
	must(t, func() error { _, err := extension.NewTrust([]*x509.Certificate{crossed, b.cert, a.cert}); return err }())
}
