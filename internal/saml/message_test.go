package saml_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/vmware/govmomi/sts"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/saml"
	"github.com/vigate/vigate/internal/saml/samltest"
	"github.com/vigate/vigate/internal/xmlsig/xmlsigtest"
)

// proof verifies a message with a key.
func proof(message string, key xmlsigtest.Key) (saml.Proof, error) {
	m, err := saml.ReadMessage([]byte(message))
	if err != nil {
		return saml.Proof{}, err
	}
	if err := m.Fresh(now, skew); err != nil {
		return saml.Proof{}, err
	}
	return m.Verify(key.Public())
}

func TestASignedMessageIsAProof(t *testing.T) {
	f := newFixture(t)
	token := f.Token(t, f.HolderOfKey(now, f.client.Cert))
	message := samltest.Signed(t, f.client.PrivateKey, now, token)
	p, err := proof(message, f.client)
	if err != nil || p.End != now.Add(time.Minute) {
		t.Fatalf("%v: %v", p.End, err)
	}
	m, err := saml.ReadMessage([]byte(message))
	if err != nil || !m.Operation.Is("urn:vim25", "LoginByToken") || !m.Signed() || m.HasUser || m.Certificate != nil {
		t.Errorf("%v: %+v", err, m)
	}
	if a, _, err := f.verifier.Verify(m.Assertion); err != nil || !a.Key.Equal(f.client.Cert) {
		t.Errorf("%v", err)
	}
	if _, err := proof(message, xmlsigtest.NewKey(t, "other")); !errors.Is(err, saml.ErrProof) {
		t.Errorf("another key: %v", err)
	}
}

// The rules of messages: what is signed, what may be there once, and where.
func TestAMessageOfAnotherFormIsRefused(t *testing.T) {
	f := newFixture(t)
	token := f.Token(t, f.HolderOfKey(now, f.client.Cert))
	good := samltest.Signed(t, f.client.PrivateKey, now, token)
	signature, unsigned := samltest.Cut(t, good, "<ds:Signature xmlns:ds", "</wsse:Security>")
	signature = strings.TrimSuffix(signature, "</wsse:Security>")
	body, _ := samltest.Cut(t, good, "<soapenv:Body", "</soapenv:Body>")
	evil := strings.Replace(strings.Replace(body, "LoginByToken", "Evil", 2), `wsu:Id="body"`, `wsu:Id="evil"`, 1)
	time1, _ := samltest.Cut(t, good, "<wsu:Timestamp", "</wsu:Timestamp>")
	header, _ := samltest.Cut(t, good, "<soapenv:Header>", "</soapenv:Header>")
	security, _ := samltest.Cut(t, good, "<wsse:Security ", "</wsse:Security>")
	for what, message := range map[string]string{
		"a wrapped Body": strings.Replace(good, body, evil+"<x>"+body+"</x>", 1),
		"Body below a header": strings.Replace(strings.Replace(good, body, evil, 1), "<soapenv:Header>",
			"<soapenv:Header><x>"+body+"</x>", 1),
		"two Bodies":      strings.Replace(good, body, evil+body, 1),
		"repeated wsu:Id": strings.Replace(good, body, strings.Replace(evil, "evil", "body", 1), 1) + "",
		"repeated wsu:Id in a header": strings.Replace(good, "<soapenv:Header>",
			`<soapenv:Header><x wsu:Id="body"/>`, 1),
		"two headers": strings.Replace(good, header, header+"<soapenv:Header/>", 1),
		"two Security headers": strings.Replace(good, security,
			security+`<wsse:Security xmlns:wsse="`+samltest.NSSecurity+`"/>`, 1),
		"another Security": strings.Replace(good, security, `<Security xmlns="urn:x"/>`+security, 1),
		"no Security":      strings.Replace(good, security, "", 1),
		"two Timestamps": strings.Replace(good, time1, strings.Replace(time1, `"time"`, `"other"`,
			1)+time1, 1),
		"two assertions":    strings.Replace(good, token, token+f.Token(t, f.Bearer(now)), 1),
		"two signatures":    strings.Replace(good, signature, signature+signature, 1),
		"no Timestamp":      strings.Replace(good, time1, "", 1),
		"unknown element":   strings.Replace(good, time1, time1+"<x/>", 1),
		"text in Security":  strings.Replace(good, time1, time1+"x", 1),
		"another Timestamp": strings.Replace(good, "12:01:00", "12:02:00", 1),
		"another operation": strings.Replace(good, "SessionManager<", "Other<", 1),
		"SOAP 1.2": strings.Replace(good, "http://schemas.xmlsoap.org/soap/envelope/",
			"http://www.w3.org/2003/05/soap-envelope", 1),
		"an element after the Body": strings.Replace(good, body, body+"<x/>", 1),
		"two operations":            strings.Replace(good, "</soapenv:Body>", "<x/></soapenv:Body>", 1),
		"a comment in the Body":     strings.Replace(good, "SessionManager<", "Session<!-- -->Manager<", 1),
		"signature outside":         strings.Replace(unsigned, "<soapenv:Header>", "<soapenv:Header>"+signature, 1),
		"Body alone signed": xmlsigtest.SignMessage(t, f.client.PrivateKey,
			samltest.Message(samltest.Timestamp(now)+token+xmlsigtest.Placeholder, samltest.Operation),
			xmlsigtest.Variant{}, "body"),
		"Timestamp alone signed": xmlsigtest.SignMessage(t, f.client.PrivateKey,
			samltest.Message(samltest.Timestamp(now)+token+xmlsigtest.Placeholder, samltest.Operation),
			xmlsigtest.Variant{}, "time"),
		"the operation signed instead": xmlsigtest.SignMessage(t, f.client.PrivateKey,
			samltest.Message(samltest.Timestamp(now)+token+xmlsigtest.Placeholder, strings.Replace(samltest.Operation,
				" xmlns", ` Id="op" xmlns`, 1)), xmlsigtest.Variant{}, "time", "op"),
		"a stranger's certificate": xmlsigtest.SignMessage(t, xmlsigtest.NewKey(t, "other").PrivateKey,
			samltest.Message(samltest.Timestamp(now)+token+xmlsigtest.Placeholder, samltest.Operation),
			xmlsigtest.Variant{KeyInfo: `<ds:KeyInfo><ds:X509Data><ds:X509Certificate>AAAA</ds:X509Certificate><` +
				`/ds:X509Data></ds:KeyInfo>`}, "time", "body"),
	} {
		if message == good {
			t.Fatalf("%s: nothing changed", what)
		}
		if _, err := proof(message, f.client); err == nil {
			t.Errorf("%s: accepted", what)
		}
	}
}

func TestATimestampIsFreshAndBounded(t *testing.T) {
	stamp := func(created, expires string) string {
		if expires != "" {
			expires = "<wsu:Expires>" + expires + "</wsu:Expires>"
		}
		return samltest.Message("<wsu:Timestamp><wsu:Created>"+created+"</wsu:Created>"+expires+"</wsu:Timestamp>",
			samltest.Operation)
	}
	for _, c := range []struct {
		created, expires string
		good             bool
	}{
		{"2026-03-01T12:00:00Z", "2026-03-01T12:01:00Z", true},
		{"2026-03-01T12:01:00Z", "2026-03-01T12:02:00Z", true},
		{"2026-03-01T12:01:01Z", "2026-03-01T12:02:00Z", false},
		{"2026-03-01T11:58:00Z", "2026-03-01T11:59:01Z", true},
		{"2026-03-01T11:58:00Z", "2026-03-01T11:59:00Z", false},
		{"2026-03-01T11:59:00Z", "", true},
		{"2026-03-01T11:58:00Z", "", false},
		{"2026-03-01T11:50:00Z", "9999-12-31T23:59:59Z", true},
		{"2026-03-01T11:48:00Z", "9999-12-31T23:59:59Z", false},
	} {
		m, err := saml.ReadMessage([]byte(stamp(c.created, c.expires)))
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Fresh(now, skew); (err == nil) != c.good || err != nil && !errors.Is(err, saml.ErrTime) {
			t.Errorf("%s to %s: %v", c.created, c.expires, err)
		}
	}
	for _, c := range [][2]string{{"yesterday", ""}, {"", ""}, {"2026-03-01T12:00:00Z", "x"}} {
		if _, err := saml.ReadMessage([]byte(stamp(c[0], c[1]))); !errors.Is(err, saml.ErrForm) {
			t.Errorf("%q: %v", c, err)
		}
	}
	// A bearer's message of pyVmomi has no Timestamp at all.
	m, err := saml.ReadMessage([]byte(samltest.Message(" ", samltest.Operation)))
	if err != nil || m.Fresh(now, skew) != nil || m.Signed() {
		t.Error(err)
	}
}

func TestAUserAndACertificateAreRead(t *testing.T) {
	user := `<wsse:UsernameToken><wsse:Username>ann</wsse:Username><wsse:Password>p &amp;w</wsse:Password><` +
		`/wsse:UsernameToken>`
	m, err := saml.ReadMessage([]byte(samltest.Message(user, samltest.Operation)))
	if err != nil || !m.HasUser || m.User != "ann" || m.Password.Reveal() != "p &w" {
		t.Errorf("%v: %+v", err, m)
	}
	for what, security := range map[string]string{
		"digest":         strings.Replace(user, "<wsse:Password>", `<wsse:Password Type="http://x#PasswordDigest">`, 1),
		"no user":        strings.Replace(user, "<wsse:Username>ann</wsse:Username>", "", 1),
		"no base64":      `<wsse:BinarySecurityToken ValueType="x#X509v3">?</wsse:BinarySecurityToken>`,
		"another type":   `<wsse:BinarySecurityToken ValueType="x#X509PKIPathv1">AAAA</wsse:BinarySecurityToken>`,
		"no certificate": `<wsse:BinarySecurityToken ValueType="x#X509v3">AAAA</wsse:BinarySecurityToken>`,
		"two users":      user + user,
	} {
		if _, err := saml.ReadMessage([]byte(samltest.Message(security, samltest.Operation))); !errors.Is(err,
			saml.ErrForm) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// The messages that govmomi sends to log in.
func TestGovmomisMessagesAreRead(t *testing.T) {
	var c captured
	server := httptest.NewServer(&c)
	defer server.Close()
	at, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	f := newFixture(t)
	f.now = time.Now().UTC().Truncate(time.Millisecond)
	for _, hok := range []bool{false, true} {
		client := soap.NewClient(at, true)
		client.Namespace = "urn:vim25"
		signer := &sts.Signer{Token: f.Token(t, f.Bearer(f.now))}
		if hok {
			signer.Token = f.Token(t, f.HolderOfKey(f.now, f.client.Cert))
			signer.Certificate = &tls.Certificate{Certificate: [][]byte{f.client.Cert.Raw},
				PrivateKey: f.client.PrivateKey}
		}
		req := types.LoginByToken{This: types.ManagedObjectReference{Type: "SessionManager", Value: "SessionManager"}}
		_, _ = methods.LoginByToken(client.WithHeader(t.Context(), soap.Header{Security: signer}), client, &req)
		m, err := saml.ReadMessage([]byte(c.body))
		if err != nil {
			t.Fatalf("%v: %s", err, c.body)
		}
		if m.Operation.Name() != "LoginByToken" || m.Signed() != hok || m.Fresh(time.Now(), skew) != nil {
			t.Errorf("%s", c.body)
		}
		a, _, err := f.verifier.Verify(m.Assertion)
		if err != nil || a.Bearer() == hok {
			t.Fatal(err)
		}
		if hok {
			if _, err := m.Verify(a.Key.PublicKey); err != nil {
				t.Error(err)
			}
		}
	}
}

func FuzzAChangedMessageFailsOrIsTheSameProof(f *testing.F) {
	x := newFixture(f)
	a := x.HolderOfKey(now, x.client.Cert)
	a.ID = fuzzID
	token := x.Token(f, a)
	message := samltest.Signed(f, x.client.PrivateKey, now, token)
	want, err := proof(message, x.client)
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(message))
	f.Add([]byte(samltest.Message(token, samltest.Operation)))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if len(raw) > 32<<10 {
			return // the same time is better spent on short ones
		}
		got, err := proof(string(raw), x.client)
		if err != nil {
			return
		}
		m, err := saml.ReadMessage(raw)
		if err != nil || got.ID != want.ID || !m.Operation.Is("urn:vim25", "LoginByToken") {
			t.Errorf("accepted %q", raw)
		}
	})
}

func TestOneByteOfAMessageChangedFailsOrIsTheSameProof(t *testing.T) {
	f := newFixture(t)
	message := []byte(samltest.Signed(t, f.client.PrivateKey, now, f.Token(t, f.HolderOfKey(now, f.client.Cert))))
	want, err := proof(string(message), f.client)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(message); i += 61 {
		changed := bytes.Clone(message)
		changed[i] ^= 1
		if got, err := proof(string(changed), f.client); err == nil && got.ID != want.ID {
			t.Errorf("byte %d: another proof", i)
		}
	}
}
