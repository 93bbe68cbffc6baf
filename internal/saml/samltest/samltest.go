// Package samltest is support of tests: an issuer of tokens, and the messages and headers that clients
// send with them. It also has the documents that an attacker makes of a signed token.
package samltest

import (
	"bytes"
	"compress/gzip"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/saml"
	"github.com/vigate/vigate/internal/xmlsig"
	"github.com/vigate/vigate/internal/xmlsig/xmlsigtest"
)

// Issuer is an issuer of tokens, with its key.
type Issuer struct {
	saml.Issuer
	Signer xmlsig.Signer
}

// NewIssuer returns an issuer for the users of a domain. Its key has the issuer's name.
func NewIssuer(t testing.TB, name, domain string) Issuer {
	t.Helper()
	k := xmlsigtest.NewKey(t, name)
	chain := []*x509.Certificate{k.Cert}
	return Issuer{saml.Issuer{Name: name, Certificates: chain, Domain: domain}, xmlsig.Signer{Key: k.PrivateKey,
		Chain: chain}}
}

// Bearer returns the assertion of a bearer token of five minutes for the user ann.
func (i Issuer) Bearer(now time.Time) *saml.Assertion {
	domain := strings.ToUpper(i.Domain)
	return &saml.Assertion{
		ID: saml.NewID(), Issuer: i.Name, Subject: principal.Name{Domain: domain, User: "ann"},
		Issued: now, NotBefore: now, NotOnOrAfter: now.Add(5 * time.Minute), Delegations: 10,
		Context: saml.ContextPassword, GivenName: "Ann", Surname: "Example",
		Groups: []principal.Name{{Domain: domain, User: "Users"}, {Domain: domain, User: "Admins"}},
	}
}

// HolderOfKey returns the assertion of a holder-of-key token of one hour for the user ann.
func (i Issuer) HolderOfKey(now time.Time, key *x509.Certificate) *saml.Assertion {
	a := i.Bearer(now)
	a.Key, a.NotOnOrAfter = key, now.Add(time.Hour)
	return a
}

// Token signs an assertion.
func (i Issuer) Token(t testing.TB, a *saml.Assertion) string {
	t.Helper()
	token, err := a.Sign(i.Signer)
	if err != nil {
		t.Fatal(err)
	}
	return string(token)
}

// The namespaces of messages.
const (
	NSSecurity = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
	NSUtility  = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd"
)

// Operation is the operation that logs in with a token.
const Operation = `<LoginByToken xmlns="urn:vim25"><_this type="SessionManager">SessionManager</_this></LoginByToken>`

// Timestamp returns the Timestamp of a message, with the id "time". It ends after a minute.
func Timestamp(now time.Time) string {
	const form = "2006-01-02T15:04:05.000Z"
	return fmt.Sprintf(`<wsu:Timestamp wsu:Id="time"><wsu:Created>%s</wsu:Created><wsu:Expires>%s</wsu:Expires><`+
		`/wsu:Timestamp>`,
		now.UTC().Format(form), now.UTC().Add(time.Minute).Format(form))
}

// Message returns a message with the content of the Security header and of the Body, whose id is
// "body".
func Message(security, operation string) string {
	return `<?xml version="1.0" encoding="UTF-8"?>` + "\n" +
		`<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" ` +
		`xmlns:xsd="http://www.w3.org/2001/XMLSchema" ` +
		`xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:wsu="` + NSUtility + `"><soapenv:Header>` +
		`<wsse:Security xmlns:wsse="` + NSSecurity + `">` + security + `</wsse:Security></soapenv:Header>` +
		`<soapenv:Body wsu:Id="body">` + operation + `</soapenv:Body></soapenv:Envelope>`
}

// Signed returns a message with a Timestamp and the content, signed with the key.
func Signed(t testing.TB, key *rsa.PrivateKey, now time.Time, content string) string {
	t.Helper()
	return xmlsigtest.SignMessage(t, key, Message(Timestamp(now)+content+xmlsigtest.Placeholder, Operation),
		xmlsigtest.Variant{}, "time", "body")
}

// Compressed returns a token as the header Authorization has it.
func Compressed(token string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write([]byte(token))
	_ = z.Close()
	return base64.StdEncoding.EncodeToString(b.Bytes())
}

// Header returns the Authorization header of a bearer token.
func Header(token string) string { return `SIGN token="` + Compressed(token) + `"` }

// Proved returns the Authorization header of a holder-of-key token, with a proof for a request. port
// is the port that the client signs.
func Proved(t testing.TB, token string, key *rsa.PrivateKey, now time.Time, r saml.Request, host, port string) string {
	t.Helper()
	nonce := fmt.Sprintf("%d:%s", now.UnixMilli(), rand.Text())
	path, _, _ := strings.Cut(r.Target, "?")
	hash := sha256.Sum256(r.Body)
	signed := strings.Join([]string{nonce, r.Method, path, host, port, string(hash[:]), ""}, "\n")
	sum := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf(`%s, signature_alg="RSA-SHA256", signature="%s", nonce="%s", bodyhash="%s"`, Header(token),
		base64.StdEncoding.EncodeToString(signature), nonce, base64.StdEncoding.EncodeToString(hash[:]))
}

// Cut returns a part of a text that begins with one text and ends with another, both included, and
// the text without the part.
func Cut(t testing.TB, text, begin, end string) (part, rest string) {
	t.Helper()
	i := strings.Index(text, begin)
	j := i + strings.Index(text[max(i, 0):], end) + len(end)
	if i < 0 || j < i+len(end) {
		t.Fatalf("there is no %s…%s", begin, end)
	}
	return text[i:j], text[:i] + text[j:]
}

// Wrapped returns documents that an attacker makes of a token for the user ann. Each contains the
// signed assertion somewhere, and an assertion for the administrator in the place where readers look.
// The first eight are known as XSW1 to XSW8.
func Wrapped(t testing.TB, token string) map[string]string {
	t.Helper()
	signature, bare := Cut(t, token, "<ds:Signature ", "</ds:Signature>")
	id, _ := Cut(t, token, ` ID="`, `" `)
	evil := strings.Replace(strings.ReplaceAll(bare, "ann@", "administrator@"), id, ` ID="_evil0123456789" `, 1)
	sameID := strings.ReplaceAll(bare, "ann@", "administrator@")
	after := func(element, with string) string {
		return strings.Replace(element, "</saml2:Issuer>", "</saml2:Issuer>"+with, 1)
	}
	last := func(element, with string) string {
		return strings.TrimSuffix(element, "</saml2:Assertion>") + with + "</saml2:Assertion>"
	}
	object := func(content string) string {
		return strings.Replace(signature, "</ds:Signature>", "<ds:Object>"+content+"</ds:Object></ds:Signature>", 1)
	}
	return map[string]string{
		"XSW1":                     after(evil, object(bare)),
		"XSW2":                     after(evil, signature+bare),
		"XSW3":                     after(evil, token),
		"XSW4":                     last(evil, token),
		"XSW5":                     last(after(sameID, signature), bare),
		"XSW6":                     after(sameID, object(token)),
		"XSW7":                     last(evil, "<saml2:Advice>"+token+"</saml2:Advice>"),
		"XSW8":                     after(evil, object("<saml2:Advice>"+bare+"</saml2:Advice>")),
		"another subject":          after(sameID, signature),
		"the signature of another": after(evil, signature),
		"two subjects": strings.Replace(token, "<saml2:Subject>",
			"<saml2:Subject><saml2:NameID>administrator@X</saml2:NameID></saml2:Subject><saml2:Subject>", 1),
		"a signature inside the signature": after(sameID, object(after(bare, signature))),
		"ID as an attribute of another kind": strings.Replace(after(evil, signature), ` ID="_evil`,
			id+` xmlns:x="urn:x" x:ID="_evil`, 1),
		"ID polluted before": strings.Replace(after(evil, signature), ` ID="_evil`,
			` xmlns:x="urn:x" x:`+strings.TrimSpace(id)+` ID="_evil`, 1),
		"Reference polluted": strings.Replace(after(evil, signature), ` URI="`,
			` ds:URI="#_evil0123456789" URI="`, 1),
		"Reference without a namespace": strings.Replace(after(evil, signature), "<ds:Reference ",
			`<Reference URI="#_evil0123456789"/><ds:Reference `, 1),
		"SignedInfo of another namespace": strings.Replace(after(evil, signature), "<ds:SignedInfo>",
			`<x:SignedInfo xmlns:x="urn:x"/><ds:SignedInfo>`, 1),
		"prefix bound to another namespace": strings.Replace(after(evil, signature), "<ds:Signature ",
			`<ds:Signature xmlns:saml2="urn:x" `, 1),
		"assertion of another namespace": strings.Replace(token,
			`xmlns:saml2="urn:oasis:names:tc:SAML:2.0:assertion"`, `xmlns:saml2="urn:x"`, 1),
		"void canonical form": strings.Replace(after(sameID, signature), "<saml2:Assertion ",
			`<saml2:Assertion xmlns:ns="1" `, 1),
		"void canonical form of the reference": strings.Replace(after(sameID, signature), "<ds:Signature ",
			`<ds:Signature xmlns:ns="../x" `, 1),
		"a name in two parts": strings.ReplaceAll(token, "ann@", "administrator<!-- -->@"),
	}
}
