// Package xmlsigtest is support of tests: keys with certificates, and a client that signs SOAP
// messages. Its signatures are written independently of package xmlsig, which verifies them. Only the
// canonical form comes from the same library.
package xmlsigtest

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	_ "embed"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/beevik/etree"
	dsig "github.com/russellhaering/goxmldsig"
	"github.com/russellhaering/goxmldsig/etreeutils"
)

// Key is an RSA key and its certificate, which the key itself has signed.
type Key struct {
	*rsa.PrivateKey
	Cert *x509.Certificate
}

// The keys of testdata/keys.pem, in its order. They are for tests alone. Fuzzing runs several
// processes, which must have the same keys: what one process signs, another verifies.
var names = []string{
	"client", "issuer", "other", "stranger", "authority", "sts", "https://idp.example/metadata",
	"https://vc.example/websso/SAML2/Metadata/vsphere.local",
}

//go:embed testdata/keys.pem
var kept []byte

// keys has the keys that were used, by name.
var keys sync.Map // string → func() (Key, error)

// NewKey returns the key with the name. The tests of a process share it. It is valid from 2000 to 2100.
func NewKey(t testing.TB, name string) Key {
	t.Helper()
	made, _ := keys.LoadOrStore(name, sync.OnceValues(func() (Key, error) {
		key, err := load(name)
		if err != nil {
			return Key{}, err
		}
		return issue(name, key, Key{})
	}))
	k, err := made.(func() (Key, error))()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// load returns the kept key with the name, or a new one.
func load(name string) (*rsa.PrivateKey, error) {
	rest := kept
	for _, n := range names {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return nil, errors.New("too few keys are kept")
		}
		if n != name {
			continue
		}
		key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil {
			return nil, err
		}
		return key.(*rsa.PrivateKey), nil
	}
	return rsa.GenerateKey(rand.Reader, 2048)
}

// Issue returns a certificate for the key of the name, signed by the authority k.
func (k Key) Issue(t testing.TB, name string) Key {
	t.Helper()
	made, err := issue(name, NewKey(t, name).PrivateKey, k)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func issue(name string, key *rsa.PrivateKey, by Key) (Key, error) {
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: by.Cert == nil,
		BasicConstraintsValid: true,
		NotBefore:             time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2100, 1, 1, 0, 0, 0,
			0, time.UTC),
	}
	if by.Cert == nil {
		by = Key{key, c}
	}
	der, err := x509.CreateCertificate(rand.Reader, c, by.Cert, key.Public(), by.PrivateKey)
	if err != nil {
		return Key{}, err
	}
	c, err = x509.ParseCertificate(der)
	return Key{key, c}, err
}

// Placeholder is where SignMessage puts the signature into a message.
const Placeholder = "SIGNATURE-HERE"

// Variant is what SignMessage does differently from most clients. The zero value is for RSA-SHA256.
type Variant struct {
	Hash    crypto.Hash // 0: SHA-256
	KeyInfo string      // XML; empty: none
	// Edit changes the text of the SignedInfo element before it is signed.
	Edit func(string) string
}

// SignMessage signs the elements of a message that have the ids, and puts the signature in the place
// of Placeholder.
func SignMessage(t testing.TB, key *rsa.PrivateKey, message string, o Variant, ids ...string) string {
	t.Helper()
	if o.Hash == 0 {
		o.Hash = crypto.SHA256
	}
	method, digest := algorithms(o.Hash)
	const c14n = "http://www.w3.org/2001/10/xml-exc-c14n#"
	var b strings.Builder
	fmt.Fprintf(&b, `<ds:SignedInfo xmlns:ds="%s"><ds:CanonicalizationMethod Algorithm="%s"><`+
		`/ds:CanonicalizationMethod>`+
		`<ds:SignatureMethod Algorithm="%s"></ds:SignatureMethod>`, dsig.Namespace, c14n, method)
	for _, id := range ids {
		h := o.Hash.New()
		h.Write(canonical(t, strings.Replace(message, Placeholder, "", 1), id))
		fmt.Fprintf(&b, `<ds:Reference URI="#%s"><ds:Transforms><ds:Transform Algorithm="%s"></ds:Transform><`+
			`/ds:Transforms>`+
			`<ds:DigestMethod Algorithm="%s"></ds:DigestMethod><ds:DigestValue>%s</ds:DigestValue></ds:Reference>`,
			id, c14n, digest, base64.StdEncoding.EncodeToString(h.Sum(nil)))
	}
	b.WriteString("</ds:SignedInfo>")
	info := b.String()
	if o.Edit != nil {
		info = o.Edit(info)
	}
	h := o.Hash.New()
	h.Write([]byte(info))
	value, err := rsa.SignPKCS1v15(nil, key, o.Hash, h.Sum(nil))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Replace(message, Placeholder, fmt.Sprintf(
		`<ds:Signature xmlns:ds="%s">%s<ds:SignatureValue>%s</ds:SignatureValue>%s</ds:Signature>`,
		dsig.Namespace, info, base64.StdEncoding.EncodeToString(value), o.KeyInfo), 1)
}

func algorithms(h crypto.Hash) (method, digest string) {
	const more = "http://www.w3.org/2001/04/xmldsig-more#rsa-"
	switch h {
	case crypto.SHA1:
		return dsig.Namespace + "rsa-sha1", dsig.Namespace + "sha1"
	case crypto.SHA384:
		return more + "sha384", "http://www.w3.org/2001/04/xmldsig-more#sha384"
	case crypto.SHA512:
		return more + "sha512", "http://www.w3.org/2001/04/xmlenc#sha512"
	}
	return more + "sha256", "http://www.w3.org/2001/04/xmlenc#sha256"
}

// canonical returns the element of a document that has the id, in exclusive canonical form.
func canonical(t testing.TB, document, id string) []byte {
	t.Helper()
	d := etree.NewDocument()
	if err := d.ReadFromString(document); err != nil {
		t.Fatal(err)
	}
	var found *etree.Element
	var look func(e *etree.Element)
	look = func(e *etree.Element) {
		for _, a := range e.Attr {
			if strings.EqualFold(a.Key, "id") && a.Value == id {
				found = e
			}
		}
		for _, c := range e.ChildElements() {
			look(c)
		}
	}
	look(d.Root())
	if found == nil {
		t.Fatalf("no element has the id %s", id)
	}
	around, err := etreeutils.NSBuildParentContext(found)
	if err == nil {
		found, err = etreeutils.NSDetatch(around, found)
	}
	if err != nil {
		t.Fatal(err)
	}
	b, err := dsig.MakeC14N10ExclusiveCanonicalizerWithPrefixList("").Canonicalize(found)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
