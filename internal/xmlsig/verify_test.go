package xmlsig_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/xmlsig"
	"github.com/vigate/vigate/internal/xmlsig/xmlsigtest"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func newSigner(t testing.TB, name string) xmlsig.Signer {
	k := xmlsigtest.NewKey(t, name)
	return xmlsig.Signer{Key: k.PrivateKey, Chain: []*x509.Certificate{k.Cert}}
}

// verify returns the verified root element of a document.
func verify(document []byte, trusted ...*x509.Certificate) (xmlsig.Element, error) {
	d, err := xmlsig.Parse(document)
	if err != nil {
		return xmlsig.Element{}, err
	}
	e, signer, err := xmlsig.VerifyEnveloped(d.Root(), now,
		func([]*x509.Certificate) []*x509.Certificate { return trusted })
	if (err == nil) != slices.ContainsFunc(trusted, func(c *x509.Certificate) bool { return c.Equal(signer) }) {
		err = errors.Join(err, errors.New("the signer is none of the trusted certificates"))
	}
	return e, err
}

const plain = `<s:A xmlns:s="urn:s" xmlns:xs="urn:xs" ID="_12345678"><s:I>issuer</s:I><s:N>ann</s:N></s:A>`

// name returns the text of N in a verified element.
func name(e xmlsig.Element) string {
	children, _ := e.Children()
	for _, c := range children {
		if c.Is("urn:s", "N") {
			text, _ := c.Text()
			return text
		}
	}
	return ""
}

func TestASignedElementIsVerifiedAndReadFromTheSignedBytes(t *testing.T) {
	s := newSigner(t, "issuer")
	for _, prefixes := range []string{"", "xs", "xs xsi"} {
		signed, err := s.SignEnveloped([]byte(plain), prefixes)
		if err != nil {
			t.Fatal(err)
		}
		e, err := verify(signed, s.Chain...)
		if err != nil {
			t.Fatal(err)
		}
		children, _ := e.Children()
		if name(e) != "ann" || len(children) != 2 {
			t.Errorf("the verified element has the name %q and %d children", name(e), len(children))
		}
	}
}

func TestOnlyTheExactCertificatesAreTrusted(t *testing.T) {
	authority := xmlsigtest.NewKey(t, "authority")
	leaf := authority.Issue(t, "issuer")
	s := xmlsig.Signer{Key: leaf.PrivateKey, Chain: []*x509.Certificate{leaf.Cert, authority.Cert}}
	signed, err := s.SignEnveloped([]byte(plain), "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := verify(signed, leaf.Cert); err != nil {
		t.Errorf("its own certificate: %v", err)
	}
	for what, trusted := range map[string][]*x509.Certificate{
		"none": nil, "the authority": {authority.Cert}, "another": newSigner(t, "other").Chain,
		"the same key under another name": {xmlsigtest.NewKey(t, "issuer").Cert},
	} {
		if _, err := verify(signed, trusted...); !errors.Is(err, xmlsig.ErrInvalid) {
			t.Errorf("%s: %v", what, err)
		}
	}
	d, err := xmlsig.Parse(signed)
	if err != nil {
		t.Fatal(err)
	}
	var sent []*x509.Certificate
	_, _, _ = xmlsig.VerifyEnveloped(d.Root(), now,
		func(c []*x509.Certificate) []*x509.Certificate { sent = c; return nil })
	if len(sent) != 2 || !sent[0].Equal(leaf.Cert) {
		t.Errorf("%d certificates were sent", len(sent))
	}
	choose := func([]*x509.Certificate) []*x509.Certificate { return s.Chain }
	if _, _, err := xmlsig.VerifyEnveloped(d.Root(), leaf.Cert.NotAfter.Add(time.Second), choose); !errors.Is(err,
		xmlsig.ErrInvalid) {
		t.Errorf("after the end of the certificate: %v", err)
	}
}

func TestAChangedByteIsNoticedOrChangesNothing(t *testing.T) {
	s := newSigner(t, "issuer")
	signed, err := s.SignEnveloped([]byte(plain), "xs")
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(signed); i += 7 {
		changed := bytes.Clone(signed)
		changed[i] ^= 1
		if e, err := verify(changed, s.Chain...); err == nil && (name(e) != "ann" || e.Attribute("",
			"ID") != "_12345678") {
			t.Errorf("byte %d: the name is %q", i, name(e))
		}
	}
}

func TestASignatureWithECDSAIsTwoNumbers(t *testing.T) {
	for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "x"},
			NotAfter: now.AddDate(1, 0, 0)}
		der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		if c, err = x509.ParseCertificate(der); err != nil {
			t.Fatal(err)
		}
		s := xmlsig.Signer{Key: key, Chain: []*x509.Certificate{c}}
		signed, err := s.SignEnveloped([]byte(plain), "")
		if err != nil {
			t.Fatal(err)
		}
		if e, err := verify(signed, c); err != nil || name(e) != "ann" {
			t.Errorf("%s: %v", curve.Params().Name, err)
		}
		_, value, _ := strings.Cut(string(signed), "<ds:SignatureValue>")
		value, _, _ = strings.Cut(value, "<")
		if raw, _ := base64.StdEncoding.DecodeString(value); len(raw) != 2*((curve.Params().BitSize+7)/8) {
			t.Errorf("%s: the value has %d bytes", curve.Params().Name, len(raw))
		}
	}
}

// edits are changes of a valid signature of which each makes it one that must not be accepted.
var edits = []struct{ what, from, to string }{
	{"SHA-1 of the signature", "xmldsig-more#rsa-sha256", "xmldsig#rsa-sha1"},
	{"HMAC with the public key", "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256",
		"http://www.w3.org/2000/09/xmldsig#hmac-sha1"},
	{"HMAC SHA-256", "xmldsig-more#rsa-sha256", "xmldsig-more#hmac-sha256"},
	{"SHA-1 of the digest", "http://www.w3.org/2001/04/xmlenc#sha256", "http://www.w3.org/2000/09/xmldsig#sha1"},
	{"empty reference", `URI="#_12345678"`, `URI=""`},
	{"no reference", `URI="#_12345678"`, ``},
	{"remote reference", `URI="#_12345678"`, `URI="http://x/#_12345678"`},
	{"pointer", `URI="#_12345678"`, `URI="#xpointer(/)"`},
	{"another id", `URI="#_12345678"`, `URI="#_12345679"`},
	{"XSLT", "http://www.w3.org/2000/09/xmldsig#enveloped-signature", "http://www.w3.org/TR/1999/REC-xslt-19991116"},
	{"XPath", "http://www.w3.org/2000/09/xmldsig#enveloped-signature", "http://www.w3.org/TR/1999/REC-xpath-19991116"},
	{"inclusive canonicalization", `<ds:CanonicalizationMethod Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#"`,
		`<ds:CanonicalizationMethod Algorithm="http://www.w3.org/TR/2001/REC-xml-c14n-20010315"`},
	{"canonicalization with comments", `<ds:CanonicalizationMethod Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#"`,
		`<ds:CanonicalizationMethod Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#WithComments"`},
	{"transforms in another order", `<ds:Transform ` +
		`Algorithm="http://www.w3.org/2000/09/xmldsig#enveloped-signature"></ds:Transform>`, ""},
	{"a third transform", "<ds:Transforms>", `<ds:Transforms><ds:Transform ` +
		`Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#"/>`},
	{"length of HMAC", "rsa-sha256\">", `rsa-sha256"><ds:HMACOutputLength>0</ds:HMACOutputLength>`},
	{"object", "</ds:Signature>", "<ds:Object/></ds:Signature>"},
	{"two SignedInfo", "<ds:SignedInfo>", "<ds:SignedInfo/><ds:SignedInfo>"},
	{"two SignatureValue", "<ds:SignatureValue>", "<ds:SignatureValue/><ds:SignatureValue>"},
	{"foreign namespace", "<ds:SignedInfo>", `<ds:SignedInfo xmlns:ds="urn:x">`},
	{"attribute with a prefix", "<ds:SignatureMethod ", `<ds:SignatureMethod ds:Algorithm="x" `},
	{"text between elements", "<ds:SignedInfo>", "<ds:SignedInfo>x"},
	{"no key", "<ds:X509Data>", "<ds:KeyName>x</ds:KeyName><ds:X509Data>"},
	{"base64 of the value", "<ds:SignatureValue>", "<ds:SignatureValue>?"},
	{"base64 of the digest", "<ds:DigestValue>", "<ds:DigestValue>?"},
	{"no value", "<ds:SignatureValue>", "<ds:SignatureValue></ds:SignatureValue><ds:SignatureValue>"},
	{"a second reference", "<ds:Reference ", `<ds:Reference URI="#_12345678"/><ds:Reference `},
	{"a second signature", "<s:N>", `<s:N><ds:Signature xmlns:ds="http://www.w3.org/2000/09/xmldsig#"/>`},
}

func TestASignatureOfAnotherFormOrAlgorithmIsRefusedBeforeItIsVerified(t *testing.T) {
	s := newSigner(t, "issuer")
	signed, err := s.SignEnveloped([]byte(plain), "")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range edits {
		changed := strings.Replace(string(signed), e.from, e.to, 1)
		if changed == string(signed) {
			t.Fatalf("%s: nothing changed", e.what)
		}
		if _, err := verify([]byte(changed), s.Chain...); !errors.Is(err, xmlsig.ErrForm) {
			t.Errorf("%s: %v", e.what, err)
		}
	}
	for what, document := range map[string]string{
		"none":           plain,
		"not the second": strings.Replace(string(signed), "<s:I>issuer</s:I>", "", 1),
		"deeper": strings.Replace(strings.Replace(string(signed), "<ds:Signature ",
			"<s:X><ds:Signature ", 1), "</ds:Signature>", "</ds:Signature></s:X>", 1),
		"ID with a prefix":     strings.Replace(string(signed), ` ID=`, ` xmlns:x="urn:x" x:ID=`, 1),
		"id in the lower case": strings.Replace(string(signed), ` ID=`, ` id=`, 1),
	} {
		if _, err := verify([]byte(document), s.Chain...); !errors.Is(err, xmlsig.ErrForm) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestAValueWithLineBreaksIsRead(t *testing.T) {
	s := newSigner(t, "issuer")
	signed, err := s.SignEnveloped([]byte(plain), "")
	if err != nil {
		t.Fatal(err)
	}
	broken := string(signed)
	for _, element := range []string{"<ds:SignatureValue>", "<ds:X509Certificate>"} {
		at := strings.Index(broken, element) + len(element)
		broken = broken[:at] + "\n  " + broken[at:at+64] + "\r\n\t " + broken[at+64:]
	}
	if _, err := verify([]byte(broken), s.Chain...); err != nil {
		t.Error(err)
	}
}

func TestAnElementInsideAMessageIsVerifiedWithTheNamespacesAroundIt(t *testing.T) {
	s := newSigner(t, "issuer")
	signed, err := s.SignEnveloped([]byte(plain), "xs")
	if err != nil {
		t.Fatal(err)
	}
	// A message that declares the token's namespaces for it.
	inner := strings.NewReplacer(` xmlns:s="urn:s"`, "", ` xmlns:xs="urn:xs"`, "").Replace(string(signed))
	d, err := xmlsig.Parse([]byte(`<m xmlns="urn:m" xmlns:s="urn:s" xmlns:xs="urn:xs" xmlns:y="urn:y">` + inner +
		"</m>"))
	if err != nil {
		t.Fatal(err)
	}
	children, _ := d.Root().Children()
	e, _, err := xmlsig.VerifyEnveloped(children[0], now,
		func([]*x509.Certificate) []*x509.Certificate { return s.Chain })
	if err != nil || name(e) != "ann" {
		t.Errorf("%v", err)
	}
}

func TestSigningNeedsAKeyAnIDAndACertificate(t *testing.T) {
	s := newSigner(t, "issuer")
	for what, f := range map[string]func() ([]byte, error){
		"no key": func() ([]byte, error) {
			return xmlsig.Signer{Chain: s.Chain}.SignEnveloped([]byte(plain),
				"")
		},
		"no certificate": func() ([]byte, error) { return xmlsig.Signer{Key: s.Key}.SignEnveloped([]byte(plain), "") },
		"no ID":          func() ([]byte, error) { return s.SignEnveloped([]byte("<a><b></b></a>"), "") },
		"no child":       func() ([]byte, error) { return s.SignEnveloped([]byte(`<a ID="_1"/>`), "") },
		"empty child":    func() ([]byte, error) { return s.SignEnveloped([]byte(`<a ID="_1"><b/></a>`), "") },
		"no document":    func() ([]byte, error) { return s.SignEnveloped([]byte(`<a`), "") },
	} {
		if _, err := f(); err == nil {
			t.Errorf("%s: signed", what)
		}
	}
}
