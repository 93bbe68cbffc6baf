package xmlsig_test

import (
	"crypto"
	"errors"
	"strings"
	"testing"

	"github.com/vigate/vigate/internal/xmlsig"
	"github.com/vigate/vigate/internal/xmlsig/xmlsigtest"
)

const message = `<m:E xmlns:m="urn:m" xmlns="urn:d" xmlns:u="urn:u" xmlns:p="urn:p"><m:H><T u:Id="t">now</T>` +
	xmlsigtest.Placeholder + `</m:H><m:B u:Id="b"><op>x</op></m:B></m:E>`

// parts returns the signature, the first header and the body of a message.
func parts(t *testing.T, text string) (d *xmlsig.Document, signature, header, body xmlsig.Element) {
	t.Helper()
	d, err := xmlsig.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	top, _ := d.Root().Children()
	headers, _ := top[0].Children()
	return d, headers[len(headers)-1], headers[0], top[1]
}

func TestTheSignatureOfAMessageCoversTheElementsThatItMust(t *testing.T) {
	key := xmlsigtest.NewKey(t, "client")
	var infos []xmlsig.SignedInfo
	for _, hash := range []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512} {
		d, signature, header, body := parts(t, xmlsigtest.SignMessage(t, key.PrivateKey, message,
			xmlsigtest.Variant{Hash: hash}, "b", "t"))
		info, err := d.VerifyDetached(signature, key.Public(), header, body)
		if err != nil {
			t.Errorf("%v: %v", hash, err)
		}
		infos = append(infos, info)
	}
	if infos[0] == infos[1] || infos[0] == (xmlsig.SignedInfo{}) {
		t.Error("different signatures are not told apart")
	}
	for _, ids := range [][]string{{"b"}, {"t"}} {
		d, signature, header, body := parts(t, xmlsigtest.SignMessage(t, key.PrivateKey, message,
			xmlsigtest.Variant{}, ids...))
		if _, err := d.VerifyDetached(signature, key.Public(), header, body); !errors.Is(err, xmlsig.ErrInvalid) {
			t.Errorf("signed %v alone: %v", ids, err)
		}
	}
}

func TestAMessageThatIsNotTheSignedOneIsRefused(t *testing.T) {
	key, other := xmlsigtest.NewKey(t, "client"), xmlsigtest.NewKey(t, "other")
	signed := xmlsigtest.SignMessage(t, key.PrivateKey, message, xmlsigtest.Variant{}, "t", "b")
	for what, change := range map[string]struct {
		from, to string
		want     error
	}{
		"the body":               {"<op>x", "<op>y", xmlsig.ErrInvalid},
		"an element's namespace": {`<op>`, `<op xmlns="urn:e">`, xmlsig.ErrInvalid},
		"the namespace around":   {`xmlns="urn:d"`, `xmlns="urn:e"`, xmlsig.ErrInvalid},
		"the body moved": {`<m:B u:Id="b"><op>x</op></m:B>`,
			`<m:B u:Id="c"><op>y</op></m:B><m:X><m:B u:Id="b"><op>x</op></m:B></m:X>`, xmlsig.ErrInvalid},
		"the body's id":         {`u:Id="b"`, `u:Id="c"`, xmlsig.ErrForm},
		"the reference":         {`URI="#b"`, `URI="#t"`, xmlsig.ErrInvalid},
		"the signature's value": {"<ds:SignatureValue>", "<ds:SignatureValue>AAAA", xmlsig.ErrInvalid},
	} {
		text := strings.Replace(signed, change.from, change.to, 1)
		d, signature, header, body := parts(t, text)
		if _, err := d.VerifyDetached(signature, key.Public(), header, body); text == signed || !errors.Is(err,
			change.want) {
			t.Errorf("%s: %v", what, err)
		}
	}
	d, signature, header, body := parts(t, signed)
	if _, err := d.VerifyDetached(signature, other.Public(), header, body); !errors.Is(err, xmlsig.ErrInvalid) {
		t.Errorf("another key: %v", err)
	}
	if _, err := d.VerifyDetached(signature, "no key", header, body); !errors.Is(err, xmlsig.ErrForm) {
		t.Errorf("no key: %v", err)
	}
	if _, err := d.VerifyDetached(header, key.Public(), header, body); !errors.Is(err, xmlsig.ErrForm) {
		t.Errorf("no signature: %v", err)
	}
}

// A client signs what it wants to, so the form is checked although the signature is valid.
func TestASignatureOverAMessageHasTheAcceptedForm(t *testing.T) {
	key := xmlsigtest.NewKey(t, "client")
	for what, edit := range map[string][2]string{
		"empty reference":    {`URI="#b"`, `URI=""`},
		"remote reference":   {`URI="#b"`, `URI="http://x"`},
		"repeated reference": {`URI="#b"`, `URI="#t"`},
		"enveloped": {`<ds:Transform `, `<ds:Transform ` +
			`Algorithm="http://www.w3.org/2000/09/xmldsig#enveloped-signature"></ds:Transform><ds:Transform `},
		"no transform": {`<ds:Transform Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#"></ds:Transform>`,
			``},
		"security token": {`Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#"></ds:Transform>`,
			`Algorithm="http://docs.oasis-open.org/wss/2004/01/` +
				`oasis-200401-wss-soap-message-security-1.0#STR-Transform">` +
				`</ds:Transform>`},
		"inclusive": {`Method Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#"`,
			`Method Algorithm="http://www.w3.org/TR/2001/REC-xml-c14n-20010315"`},
		"XPath": {`<ds:Transform Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#">`,
			`<ds:Transform Algorithm="http://www.w3.org/TR/1999/REC-xpath-19991116">`},
		"ECDSA with a RSA key": {`rsa-sha256`, `ecdsa-sha256`},
	} {
		text := xmlsigtest.SignMessage(t, key.PrivateKey, message, xmlsigtest.Variant{Edit: func(s string) string {
			return strings.Replace(s, edit[0], edit[1], 1)
		}}, "t", "b")
		d, signature, header, body := parts(t, text)
		if _, err := d.VerifyDetached(signature, key.Public(), header, body); !errors.Is(err, xmlsig.ErrForm) {
			t.Errorf("%s: %v", what, err)
		}
	}
	sha1 := xmlsigtest.SignMessage(t, key.PrivateKey, message, xmlsigtest.Variant{Hash: crypto.SHA1}, "t", "b")
	d, signature, header, body := parts(t, sha1)
	if _, err := d.VerifyDetached(signature, key.Public(), header, body); !errors.Is(err, xmlsig.ErrForm) {
		t.Errorf("SHA-1: %v", err)
	}
}
