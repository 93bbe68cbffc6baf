package identity

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"

	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/login/jwt"
	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/vim/vimtest"
)

const (
	client   = "vigate" // of the provider: this server
	password = "the provider's secret of vigate"
	callback = "http://localhost:9/callback" // where the provider sends the code; nothing listens
	oidcUser = `OIDC.EXAMPLE\id1`
)

// provider is an OpenID provider with the user test-user.
type provider struct {
	*httptest.Server
	t  testing.TB
	ca string // file
}

func newProvider(t testing.TB) *provider {
	t.Helper()
	storage.RegisterClients(storage.WebClient(client, password, callback))
	p := &provider{Server: httptest.NewUnstartedServer(nil), t: t, ca: filepath.Join(t.TempDir(), "ca.pem")}
	issuer := "https://" + p.Listener.Addr().String()
	p.Config.Handler = exampleop.SetupServer(issuer, storage.NewStorage(storage.NewUserStore(issuer)),
		slog.New(slog.DiscardHandler), false)
	p.StartTLS()
	t.Cleanup(p.Close)
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.Certificate().Raw})
	if err := os.WriteFile(p.ca, block, 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

// idToken logs in at the provider as test-user, by the authorization code flow, without a browser.
func (p *provider) idToken() string {
	p.t.Helper()
	var code string
	browser := &http.Client{Transport: p.Client().Transport}
	browser.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(r.URL.String(), callback) {
			code = r.URL.Query().Get("code")
			return http.ErrUseLastResponse
		}
		return nil
	}
	query := url.Values{"client_id": {client}, "redirect_uri": {callback}, "response_type": {"code"},
		"scope": {"openid profile"}, "state": {"s"}, "nonce": {"n"}}
	page, err := browser.Get(p.URL + "/auth?" + query.Encode())
	if err != nil {
		p.t.Fatal(err)
	}
	defer page.Body.Close()
	host := strings.Split(p.Listener.Addr().String(), ":")[0]
	form, err := browser.PostForm(p.URL+"/login/username", url.Values{
		"id":       {page.Request.URL.Query().Get("authRequestID")},
		"username": {"test-user@" + host}, "password": {"verysecure"},
	})
	if err != nil || code == "" {
		p.t.Fatalf("no code: %v", err)
	}
	defer form.Body.Close()
	r, err := http.NewRequest(http.MethodPost, p.URL+"/oauth/token", strings.NewReader(url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {callback}}.Encode()))
	if err != nil {
		p.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(url.QueryEscape(client), url.QueryEscape(password))
	w, err := p.Client().Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	defer w.Body.Close()
	var answer struct {
		IDToken string `json:"id_token"`
	}
	if err := json.NewDecoder(w.Body).Decode(&answer); err != nil || answer.IDToken == "" {
		p.t.Fatalf("no token: %s, %v", w.Status, err)
	}
	return answer.IDToken
}

// issuer returns the settings for the provider. The address of its keys is discovered.
func (p *provider) issuer() jwt.Issuer {
	return jwt.Issuer{URL: p.URL, CA: p.ca, Audience: client, Algorithms: []string{"RS256"}, Domain: "oidc.example"}
}

func tokens(t testing.TB, i jwt.Issuer) *jwt.Method {
	t.Helper()
	m, err := jwt.New([]jwt.Issuer{i}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestATokenOfAnOpenIDProviderLogsInByEveryProtocol(t *testing.T) {
	p := newProvider(t)
	token := p.idToken()
	s := newServer(t, func(*vimtest.Parts) login.Method { return tokens(t, p.issuer()) }, oidcUser)
	out := python(t, nil, "testdata/bearer.py", s.port(), token)
	if strings.Count(out, "session of "+oidcUser) != 2 {
		t.Errorf("pyVmomi: %s", out)
	}
	bearer := map[string]string{"Authorization": "Bearer " + token}
	if status, body := s.post("/api/session", bearer, nil); status != http.StatusCreated || len(body) < 20 {
		t.Errorf("Automation API: %d %s", status, body)
	}
	status, body := s.post("/rest/com/vmware/cis/session", bearer, nil)
	if status != http.StatusOK || !strings.Contains(body, "value") {
		t.Errorf("older Automation API: %d %s", status, body)
	}
	status, body = s.post(sessionManager+"LoginByToken", bearer, map[string]string{})
	if status != http.StatusOK || !strings.Contains(body, `OIDC.EXAMPLE\\id1`) {
		t.Errorf("VI JSON: %d %s", status, body)
	}
	forged := map[string]string{"Authorization": "Bearer " + token[:len(token)-8] + "AAAAAAAA"}
	if status, body := s.post("/api/session", forged, nil); status != http.StatusUnauthorized {
		t.Errorf("a changed token: %d %s", status, body)
	}
}

func TestATokenForAnotherAudienceOrOfAProviderThatIsAwayIsRefused(t *testing.T) {
	p := newProvider(t)
	token := secret.New(p.idToken())
	other := p.issuer()
	other.Audience = "another"
	if _, err := tokens(t, other).Verify(context.Background(), token); !errors.Is(err, login.ErrRejected) {
		t.Errorf("another audience: %v", err)
	}
	started, late := tokens(t, p.issuer()), tokens(t, p.issuer())
	if v, err := started.Verify(context.Background(), token); err != nil || v.Identity.Name.String() != oidcUser {
		t.Fatalf("%+v, %v", v, err)
	}
	p.Close()
	if _, err := started.Verify(context.Background(), token); err != nil {
		t.Errorf("the keys are known: %v", err)
	}
	if _, err := late.Verify(context.Background(), token); err == nil || errors.Is(err, login.ErrRejected) {
		t.Errorf("the keys are not known, which is not the caller's fault: %v", err)
	}
}
