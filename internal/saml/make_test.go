package saml_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/vmware/govmomi/sts"
	"github.com/vmware/govmomi/sts/simulator"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/saml"
	"github.com/vigate/vigate/internal/saml/samltest"
	"github.com/vigate/vigate/internal/xmlsig"
)

// forms returns one assertion of each form.
func (f *fixture) forms() map[string]*saml.Assertion {
	user := func(name string) principal.Name { return principal.Name{Domain: "CORP.EXAMPLE", User: name} }
	edit := func(a *saml.Assertion, edit func(*saml.Assertion)) *saml.Assertion {
		edit(a)
		return a
	}
	hok := func() *saml.Assertion { return f.HolderOfKey(f.now, f.client.Cert) }
	all := map[string]*saml.Assertion{
		"bearer":        f.Bearer(f.now),
		"holder of key": hok(),
		"not delegable": edit(hok(), func(a *saml.Assertion) { a.Delegations = 0 }),
		"unlimited":     edit(hok(), func(a *saml.Assertion) { a.Delegations = saml.Unlimited }),
		"renewable":     edit(hok(), func(a *saml.Assertion) { a.Renewable, a.Renewals = true, 10 }),
		"renewed":       edit(hok(), func(a *saml.Assertion) { a.Renewable, a.Renewals = true, 0 }),
		"no groups":     edit(hok(), func(a *saml.Assertion) { a.Groups = nil }),
		"no names":      edit(hok(), func(a *saml.Assertion) { a.GivenName, a.Surname = "", "" }),
		"solution":      edit(hok(), func(a *saml.Assertion) { a.Solution, a.Context = true, saml.ContextCertificate }),
		"delegated": edit(hok(), func(a *saml.Assertion) {
			a.Delegates = []saml.Delegate{{user("bob"),
				f.now}}
			a.Holder = user("bob")
		}),
		"delegated twice": edit(hok(), func(a *saml.Assertion) {
			a.Delegates = []saml.Delegate{{user("bob"), f.now}, {user("eve"), f.now.Add(time.Second)}}
			a.Holder, a.Renewable, a.Renewals, a.Context = user("eve"), true, 9, saml.ContextToken
		}),
		"odd characters": edit(hok(), func(a *saml.Assertion) {
			a.Subject.User, a.GivenName = `a&b<c>'"ö日𝄞`, "x\ty & \"z\" >]]>"
			a.Groups = []principal.Name{user(`g&<'"> h`)}
		}),
	}
	many := hok()
	many.Groups = nil
	for i := range saml.MaxGroups {
		many.Groups = append(many.Groups, user("group "+strings.Repeat("x",
			i%7)+string(rune('a'+i%26))+time.Duration(i).String()))
	}
	all["900 groups"] = many
	for _, a := range all {
		a.Signer = f.Issuer.Signer.Chain[0]
	}
	return all
}

func TestAnAssertionThatIsSignedReadsAsTheSame(t *testing.T) {
	f := newFixture(t)
	for what, a := range f.forms() {
		got, err := f.verify(f.Token(t, a))
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		if !reflect.DeepEqual(got, a) {
			t.Errorf("%s: signed\n%+v, read\n%+v", what, a, got)
		}
	}
}

func TestAnIncompleteAssertionIsNotSigned(t *testing.T) {
	f := newFixture(t)
	for what, edit := range map[string]func(*saml.Assertion){
		"no id": func(a *saml.Assertion) { a.ID = "" }, "no issuer": func(a *saml.Assertion) { a.Issuer = "" },
		"no subject": func(a *saml.Assertion) { a.Subject.User = "" },
		"no domain":  func(a *saml.Assertion) { a.Subject.Domain = "" },
		"no context": func(a *saml.Assertion) { a.Context = "" },
		"901 groups": func(a *saml.Assertion) { a.Groups = make([]principal.Name, saml.MaxGroups+1) },
	} {
		a := f.Bearer(now)
		edit(a)
		if _, err := a.Sign(f.Signer); err == nil {
			t.Errorf("%s: signed", what)
		}
	}
}

// captured is a server that keeps the last request.
type captured struct {
	body, authorization string
	request             saml.Request
}

func (c *captured) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	c.body, c.authorization = string(body), r.Header.Get("Authorization")
	c.request = saml.Request{Method: r.Method, Target: r.RequestURI, Host: r.Host, Body: body}
	w.WriteHeader(http.StatusInternalServerError)
}

// govmomi signs requests that contain a token over its own idea of the token's canonical form. Each
// form of our tokens must be one that it signs correctly.
func TestGovmomiSignsRequestsWithEveryFormOfToken(t *testing.T) {
	var c captured
	server := httptest.NewServer(&c)
	defer server.Close()
	at, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	service := soap.NewClient(at, true)
	client := &sts.Client{Client: service.NewServiceClient(sts.Path, sts.Namespace)}
	client.RoundTripper = client.Client
	f := newFixture(t)
	f.now = time.Now().UTC().Truncate(time.Millisecond) // the clock of govmomi
	certificate := &tls.Certificate{Certificate: [][]byte{f.client.Cert.Raw}, PrivateKey: f.client.PrivateKey}
	for what, a := range f.forms() {
		token := f.Token(t, a)
		request := sts.TokenRequest{Certificate: certificate, Token: token, Lifetime: time.Hour, Renewable: true,
			Delegatable: true}
		_, _ = client.Renew(t.Context(), request)
		f.checkRequest(t, what+": Renew", c.body, "RenewTarget", a)
		request.ActAs = true
		_, _ = client.Issue(t.Context(), request)
		f.checkRequest(t, what+": ActAs", c.body, "ActAs", a)
	}
}

// checkRequest checks the signature of a request for a token, and the token in it.
func (f *fixture) checkRequest(t *testing.T, what, body, element string, want *saml.Assertion) {
	t.Helper()
	m, err := saml.ReadMessage([]byte(body))
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return
	}
	if m.Certificate == nil || !m.Certificate.Equal(f.client.Cert) || m.SignatureID == "" {
		t.Errorf("%s: the certificate or the id of the signature is missing", what)
		return
	}
	if _, err := m.Verify(m.Certificate.PublicKey); err != nil {
		t.Errorf("%s: %v", what, err)
	}
	if err := m.Fresh(time.Now(), skew); err != nil {
		t.Errorf("%s: %v", what, err)
	}
	parts, _ := m.Operation.Children()
	for _, p := range parts {
		if p.Name() != element {
			continue
		}
		inner, _ := p.Children()
		got, _, err := f.verifier.Verify(inner[0])
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v: %+v", what, err, got)
		}
		return
	}
	t.Errorf("%s: there is no %s", what, element)
}

// xmlsec1 is another implementation of XML-DSig. scripts/setup installs it.
func xmlsec1(t *testing.T, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if out, err := exec.CommandContext(ctx, "xmlsec1", args...).CombinedOutput(); err != nil {
		t.Errorf("xmlsec1 %v: %v\n%s", args, err, out)
	}
}

const idAttribute = "--id-attr:ID"
const idElement = "urn:oasis:names:tc:SAML:2.0:assertion:Assertion"

func TestXmlsecVerifiesEveryFormOfToken(t *testing.T) {
	f := newFixture(t)
	dir := t.TempDir()
	certificate := filepath.Join(dir, "issuer.der")
	if err := os.WriteFile(certificate, f.Certificates[0].Raw, 0o600); err != nil {
		t.Fatal(err)
	}
	for what, a := range f.forms() {
		token := filepath.Join(dir, "token.xml")
		if err := os.WriteFile(token, []byte(f.Token(t, a)), 0o600); err != nil {
			t.Fatal(err)
		}
		t.Log(what)
		xmlsec1(t, "--verify", idAttribute, idElement, "--pubkey-cert-der", certificate, "--enabled-key-data",
			"rsa,x509", token)
	}
}

func TestATokenThatXmlsecSignsIsAccepted(t *testing.T) {
	f := newFixture(t)
	dir := t.TempDir()
	key, err := x509.MarshalPKCS8PrivateKey(f.Signer.Key)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	keyFile := write("key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))
	certificate := write("cert.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: f.Certificates[0].Raw}))
	for what, a := range f.forms() {
		token := f.Token(t, a)
		if what == "bearer" { // xmlsec1 breaks digests of this size into lines
			token = strings.NewReplacer("xmldsig-more#rsa-sha256", "xmldsig-more#rsa-sha512",
				"xmlenc#sha256", "xmlenc#sha512").Replace(token)
		}
		for _, element := range []string{"ds:DigestValue", "ds:SignatureValue"} {
			_, token = samltest.Cut(t, token, "<"+element+">", "</"+element+">")
			if element == "ds:DigestValue" {
				token = strings.Replace(token, "</ds:DigestMethod>", "</ds:DigestMethod><ds:DigestValue/>", 1)
			} else {
				token = strings.Replace(token, "</ds:SignedInfo>", "</ds:SignedInfo><ds:SignatureValue/>", 1)
			}
		}
		out := filepath.Join(dir, "out.xml")
		xmlsec1(t, "--sign", idAttribute, idElement, "--privkey-pem", keyFile+","+certificate, "--output", out,
			write("in.xml", []byte(token)))
		signed, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		if digest, _ := samltest.Cut(t, string(signed), "<ds:DigestValue>", "</"); strings.Contains(digest,
			"\n") != (what == "bearer") {
			t.Errorf("%s: the digest is %q", what, digest)
		}
		if got, err := f.verify(string(signed)); err != nil || !reflect.DeepEqual(got, a) {
			t.Errorf("%s: %v: %+v", what, err, got)
		}
	}
}

// The token of a real vCenter of 2018, which govmomi's simulator gives to everybody.
func TestATokenOfARealVCenterIsAccepted(t *testing.T) {
	_, handler := simulator.New(&url.URL{}, []types.BaseOptionValue{
		&types.OptionValue{Key: "config.vpxd.sso.sts.uri", Value: "https://x/sts"},
	})
	r := httptest.NewRequest(http.MethodPost, "/sts", nil)
	r.Header.Set("SOAPAction", "http://docs.oasis-open.org/ws-sx/ws-trust/200512/RST/Issue")
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	token, _ := samltest.Cut(t, w.Body.String(), "<saml2:Assertion ", "</saml2:Assertion>")
	d, err := xmlsig.Parse([]byte(token))
	if err != nil {
		t.Fatal(err)
	}
	signature, _ := d.Root().Children()
	parts, _ := signature[1].Children()
	chain, ok := xmlsig.Certificates(parts[2])
	if !ok || len(chain) != 2 {
		t.Fatalf("%d certificates", len(chain))
	}
	f := newFixture(t)
	f.now = time.Date(2018, 3, 4, 0, 27, 30, 0, time.UTC)
	name, _ := signature[0].Text()
	trusted := saml.Issuer{Name: name, Certificates: chain[:1], Domain: "vsphere.local"}
	f.others = []saml.Issuer{trusted}
	a, err := f.verify(token)
	if err != nil {
		t.Fatal(err)
	}
	if a.Subject.String() != `VSPHERE.LOCAL\Administrator` || len(a.Groups) != 9 ||
		a.Groups[1].String() != `VSPHERE.LOCAL\Administrators` ||
		a.GivenName != "Administrator" || a.Solution || a.Delegations != 10 || a.Renewable ||
		a.Context != saml.ContextPassword {
		t.Errorf("%+v", a)
	}
	f.others[0].Certificates = chain[1:]
	if _, err := f.verify(token); err == nil {
		t.Error("its authority's certificate is taken for its own")
	}
	pool := x509.NewCertPool()
	pool.AddCert(chain[1])
	f.others[0].Authorities, f.others[0].Signer = pool, "ssoserverSign"
	if _, err := f.verify(token); err != nil {
		t.Errorf("by its authority: %v", err)
	}
	f.others[0].Signer = "vpxd"
	if _, err := f.verify(token); err == nil {
		t.Error("a certificate of the authority with another name is trusted")
	}
}
