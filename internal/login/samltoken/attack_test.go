package samltoken_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/saml/samltest"
	"github.com/vigate/vigate/internal/xmlsig/xmlsigtest"
)

func TestAWrappedAssertionIsRefusedInAMessageAndInAHeader(t *testing.T) {
	f := newFixture(t)
	for what, document := range samltest.Wrapped(t, f.bearerToken()) {
		f.refused(what+" in a message", bearer(document))
		f.refused(what+" in a header", header(samltest.Header(document)))
	}
	for what, document := range samltest.Wrapped(t, f.keyToken()) {
		f.refused(what+" in a signed message", f.signed(document))
		f.refused(what+" in a header with a proof", f.proved(document))
	}
}

// wrappings are messages of an attacker that has recorded one of ann, for the places in a message.
func (f *fixture) wrappings() map[string]string {
	t := f.t
	token := f.keyToken()
	good := samltest.Signed(t, f.client.PrivateKey, f.clock.Now(), token)
	security, _ := samltest.Cut(t, good, "<wsse:Security ", "</wsse:Security>")
	body, _ := samltest.Cut(t, good, "<soapenv:Body", "</soapenv:Body>")
	header, _ := samltest.Cut(t, good, "<soapenv:Header>", "</soapenv:Header>")
	evil := strings.Replace(body, `wsu:Id="body"`, `wsu:Id="evil"`, 1)
	unsigned := strings.Replace(body, ` wsu:Id="body"`, "", 1)
	replace := func(from, to string) string { return strings.Replace(good, from, to, 1) }
	below := strings.Replace(header, "</soapenv:Header>", "<x>"+body+"</x></soapenv:Header>", 1)
	return map[string]string{
		"Body moved below a header with a new Body": strings.Replace(replace(body, evil), header, below, 1),
		"Body moved below a header, without an id":  strings.Replace(replace(body, unsigned), header, below, 1),
		"Body moved into Security": strings.Replace(replace(body, evil), "</wsse:Security>",
			body+"</wsse:Security>", 1),
		"duplicate wsu:Id": strings.Replace(good, header, strings.Replace(header,
			"<soapenv:Header>", `<soapenv:Header><x wsu:Id="body"/>`, 1), 1),
		"duplicate id under another prefix": strings.Replace(good, header, strings.Replace(header,
			"<soapenv:Header>", `<soapenv:Header><x xmlns:y="urn:y" y:ID="body"/>`, 1), 1),
		"two Security headers": replace(security,
			security+`<wsse:Security xmlns:wsse="`+samltest.NSSecurity+`">`+f.bearerToken()+`</wsse:Security>`),
		"assertion outside Security": strings.Replace(replace(token, ""), "<soapenv:Header>",
			"<soapenv:Header>"+token, 1),
		"assertion in the Body": strings.Replace(replace(token, ""), "</soapenv:Body>",
			token+"</soapenv:Body>", 1),
		"two Bodies":                      replace(body, evil+body),
		"a second assertion":              replace(token, token+f.bearerToken()),
		"an envelope around the envelope": wrapped(good),
		"the Timestamp moved": strings.Replace(strings.Replace(good,
			samltest.Timestamp(f.clock.Now()), "", 1), "</soapenv:Header>",
			"<x>"+samltest.Timestamp(f.clock.Now())+"</x></soapenv:Header>", 1),
		"signature over another id":             replace(`URI="#body"`, `URI="#time"`),
		"KeyInfo with a stranger's certificate": f.stranger(token),
		"the operation's namespace": replace(`<LoginByToken xmlns="urn:vim25">`,
			`<LoginByToken xmlns="urn:x">`),
	}
}

// wrapped puts an envelope into the Body of another.
func wrapped(message string) string {
	_, envelope, _ := strings.Cut(message, "\n")
	return `<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"><soapenv:Body>` + envelope +
		"</soapenv:Body></soapenv:Envelope>"
}

// stranger is a message with ann's token, signed by another key, whose certificate it brings.
func (f *fixture) stranger(token string) string {
	other := xmlsigtest.NewKey(f.t, "stranger")
	info := "<ds:KeyInfo><ds:X509Data><ds:X509Certificate>" + base64.StdEncoding.EncodeToString(other.Cert.Raw) +
		"</ds:X509Certificate></ds:X509Data></ds:KeyInfo>"
	text := samltest.Message(samltest.Timestamp(f.clock.Now())+token+xmlsigtest.Placeholder, samltest.Operation)
	return xmlsigtest.SignMessage(f.t, other.PrivateKey, text, xmlsigtest.Variant{KeyInfo: info}, "time", "body")
}

func TestAWrappedMessageIsRefused(t *testing.T) {
	f := newFixture(t)
	for what, text := range f.wrappings() {
		f.refused(what, message(text))
	}
	f.good("nothing moved", f.signed(f.keyToken()))
}

func FuzzAChangedLoginFailsOrIsTheSameUser(x *testing.F) {
	f := newFixture(x)
	token := f.bearerToken()
	for _, c := range []string{samltest.Message(token, samltest.Operation), samltest.Signed(x, f.client.PrivateKey,
		f.clock.Now(), f.keyToken())} {
		x.Add([]byte(c), false)
	}
	x.Add([]byte(samltest.Header(token)), true)
	for _, w := range f.wrappings() {
		x.Add([]byte(w), false)
	}
	x.Fuzz(func(t *testing.T, b []byte, inHeader bool) {
		if len(b) > 32<<10 {
			return // the same time is better spent on short ones
		}
		c := message(string(b))
		if inHeader {
			c = header(string(b))
		}
		g, err := f.method.Authenticate(t.Context(), login.Attempt{Credential: c})
		if err == nil && (g.Identity.Name != ann || len(g.Identity.Groups) != 2 || len(g.Changes) == 0) {
			t.Errorf("%q logs in %+v", b, g.Identity)
		}
	})
}
