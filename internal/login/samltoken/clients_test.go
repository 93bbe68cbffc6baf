package samltoken_test

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vmware/govmomi/session"
	"github.com/vmware/govmomi/sts"
	"github.com/vmware/govmomi/vapi/rest"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/soap"

	"github.com/vigate/vigate/internal/binding"
	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/login/samltoken"
	"github.com/vigate/vigate/internal/peer"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/property"
	restbinding "github.com/vigate/vigate/internal/rest"
	"github.com/vigate/vigate/internal/saml"
	"github.com/vigate/vigate/internal/saml/samltest"
	soapbinding "github.com/vigate/vigate/internal/soap"
	"github.com/vigate/vigate/internal/vijson"
	"github.com/vigate/vigate/internal/vim/vimtest"
	"github.com/vigate/vigate/internal/xmlsig/xmlsigtest"
)

// site is a whole API over HTTP, with an issuer of its own. The clock of the method is the real one, as the clients'.
type site struct {
	*vimtest.Fixture
	t      testing.TB
	url    *url.URL
	issuer samltest.Issuer
	client xmlsigtest.Key
}

func newSite(t testing.TB) *site {
	t.Helper()
	s := &site{t: t, issuer: samltest.NewIssuer(t, "https://vc.example/sts", ""), client: xmlsigtest.NewKey(t,
		"client")}
	s.Fixture = vimtest.New(t, func(d *vimtest.Parts) {
		m, err := samltoken.New(samltoken.Options{
			Own: func(string) []saml.Issuer { return []saml.Issuer{s.issuer.Issuer} }, Spent: d.Spent,
		})
		if err != nil {
			t.Fatal(err)
		}
		d.Methods = append(d.Methods, m)
	})
	s.Must(property.Serve(s.API, s.Sessions))
	mux := http.NewServeMux()
	bodies := binding.NewBodies(0)
	vijson.Mount(mux, s.API, bodies)
	soapbinding.Mount(mux, s.API, bodies, soapbinding.Options{Version: vimtest.APIVersion})
	restbinding.Mount(mux, s.API, bodies, s.Gate.Challenges())
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mux.ServeHTTP(w, r.WithContext(peer.With(r.Context(), &peer.Peer{Address: "192.0.2.1"})))
	}))
	t.Cleanup(server.Close)
	var err error
	s.url, err = url.Parse(server.URL)
	s.Must(err)
	return s
}

// signer returns a signer of govmomi with a new token, with a key or without one.
func (s *site) signer(key bool) *sts.Signer {
	now := time.Now().UTC().Truncate(time.Millisecond)
	a := s.issuer.Bearer(now)
	a.Subject, a.Groups = principal.Name{Domain: "VSPHERE.LOCAL", User: "Ann"}, nil
	signer := &sts.Signer{}
	if key {
		a.Key, a.NotOnOrAfter = s.client.Cert, now.Add(time.Hour)
		signer.Certificate = &tls.Certificate{Certificate: [][]byte{s.client.Cert.Raw}, PrivateKey: s.client.PrivateKey}
	}
	signer.Token = s.issuer.Token(s.t, a)
	return signer
}

// govmomi logs in over SOAP, and with the same holder-of-key token to the Automation API.
func TestGovmomiLogsInOverSOAPAndREST(t *testing.T) {
	s := newSite(t)
	for _, key := range []bool{false, true} {
		signer := s.signer(key)
		client, err := vim25.NewClient(t.Context(), soap.NewClient(s.url.JoinPath("/sdk"), true))
		if err != nil {
			t.Fatal(err)
		}
		manager := session.NewManager(client)
		if err := manager.LoginByToken(client.WithHeader(t.Context(), soap.Header{Security: signer})); err != nil {
			t.Errorf("SOAP, with a key %v: %v", key, err)
			continue
		}
		if u, err := manager.UserSession(t.Context()); err != nil || u.UserName != vimtest.AnnName ||
			u.FullName != "Ann Example" {
			t.Errorf("SOAP, with a key %v: %v: %+v", key, err, u)
		}
		if !key {
			signer = s.signer(false)
		}
		automation := rest.NewClient(client)
		if err := automation.LoginByToken(automation.WithSigner(t.Context(), signer)); err != nil {
			t.Errorf("REST, with a key %v: %v", key, err)
		}
	}
	signer := s.signer(true)
	signer.Certificate = nil
	client, err := vim25.NewClient(t.Context(), soap.NewClient(s.url.JoinPath("/sdk"), true))
	if err != nil {
		t.Fatal(err)
	}
	err = session.NewManager(client).LoginByToken(client.WithHeader(t.Context(), soap.Header{Security: signer}))
	if err == nil || !strings.Contains(err.Error(), "incorrect user name or password") {
		t.Errorf("a holder-of-key token without its key: %v", err)
	}
}

func TestATokenLogsInOverVIJSON(t *testing.T) {
	s := newSite(t)
	for _, key := range []bool{false, true} {
		const path = "/sdk/vim25/8.0.2.0/SessionManager/SessionManager/LoginByToken"
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url.JoinPath(path).String(),
			strings.NewReader("{}"))
		s.Must(err)
		r.Header.Set("Content-Type", "application/json")
		s.Must(s.signer(key).SignRequest(r))
		for n, want := range []int{http.StatusOK, http.StatusInternalServerError} {
			r.Body, _ = r.GetBody()
			w, err := http.DefaultClient.Do(r)
			s.Must(err)
			_ = w.Body.Close()
			if w.StatusCode != want {
				t.Errorf("with a key %v, use %d: %s", key, n+1, w.Status)
			}
		}
	}
}

// pyVmomi sends a token without a Timestamp. scripts/setup installs it.
func TestPyVmomiLogsInWithABearerToken(t *testing.T) {
	s := newSite(t)
	token := filepath.Join(t.TempDir(), "token.xml")
	s.Must(os.WriteFile(token, []byte(s.signer(false).Token), 0o600))
	const script = `
import sys
from pyVmomi import SoapStubAdapter, vim
stub = SoapStubAdapter(host=sys.argv[1], port=-int(sys.argv[2]), samlToken=open(sys.argv[3]).read(),
	version="vim.version.version13")
manager = vim.SessionManager("SessionManager", stub)
print(manager.LoginByToken().userName)
print(manager.currentSession.fullName)
`
	out, err := exec.CommandContext(t.Context(), "/usr/bin/python3", "-c", script, s.url.Hostname(), s.url.Port(),
		token).CombinedOutput()
	if err != nil || string(out) != vimtest.AnnName+"\nAnn Example\n" {
		t.Errorf("%v: %s", err, out)
	}
}

// BenchmarkBearerLogin is the work of a login with a bearer token besides the commit.
func BenchmarkBearerLogin(b *testing.B) {
	f := newFixture(b)
	a := login.Attempt{Credential: message(samltest.Message(samltest.Timestamp(f.clock.Now())+f.bearerToken(),
		samltest.Operation))}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := f.method.Authenticate(b.Context(), a); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkKeyLogin is the same for a holder-of-key token.
func BenchmarkKeyLogin(b *testing.B) {
	f := newFixture(b)
	a := login.Attempt{Credential: f.signed(f.keyToken())}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := f.method.Authenticate(b.Context(), a); err != nil {
			b.Fatal(err)
		}
	}
}
