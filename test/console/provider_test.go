package console

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"

	"github.com/vigate/vigate/internal/identity"
	"github.com/vigate/vigate/internal/lab"
)

const (
	clientID     = "vigate" // of the provider: this server. It has no secret, but a proof of each code
	callbackPath = "/ui/login/oidc/callback"
	oidcUser     = `OIDC.EXAMPLE\id1` // the user test-user of the provider
)

// registerClient makes the client known to all providers, before there is one. The port of the callback is any.
func registerClient() {
	storage.RegisterClients(storage.NativeClient(clientID, "https://localhost"+callbackPath))
}

// provider is an OpenID provider with the users test-user and test-user2. It is at 127.0.0.1. Tests that use it open
// the console at localhost, so that the two are different sites.
type provider struct {
	*httptest.Server
	ca string // file

	mu      sync.Mutex
	secrets map[string]string       // what nobody else may know, by its value: the name
	change  func(answer url.Values) // changes what the browser brings back; nil: nothing
}

func newProvider(t *testing.T) *provider {
	t.Helper()
	p := &provider{
		Server: httptest.NewUnstartedServer(nil), ca: filepath.Join(t.TempDir(), "ca.pem"),
		secrets: map[string]string{},
	}
	issuer := "https://" + p.Listener.Addr().String()
	p.Config.Handler = p.watch(exampleop.SetupServer(issuer, storage.NewStorage(storage.NewUserStore(issuer)),
		slog.New(slog.DiscardHandler), false))
	p.StartTLS()
	t.Cleanup(p.Close)
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.Certificate().Raw})
	if err := os.WriteFile(p.ca, block, 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

// watch notes the secrets that pass the provider, and changes its answers if the test says so.
func (p *provider) watch(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			http.Error(w, "", http.StatusBadRequest)
			return
		}
		answer := httptest.NewRecorder()
		next.ServeHTTP(answer, r)
		p.mu.Lock()
		defer p.mu.Unlock()
		p.note(r.Form, "state", "nonce", "code", "code_verifier")
		if to, err := url.Parse(answer.Header().Get("Location")); err == nil && to.Path == callbackPath {
			q := to.Query()
			p.note(q, "code", "state")
			if p.change != nil {
				p.change(q)
			}
			to.RawQuery = q.Encode()
			answer.Header().Set("Location", to.String())
		}
		var tokens map[string]any
		if json.Unmarshal(answer.Body.Bytes(), &tokens) == nil {
			for _, name := range []string{"id_token", "access_token"} {
				if token, ok := tokens[name].(string); ok {
					p.secrets[token] = name
				}
			}
		}
		maps.Copy(w.Header(), answer.Header())
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes()) // an error means that the client has gone
	})
}

// note notes values. Callers hold mu.
func (p *provider) note(of url.Values, names ...string) {
	for _, name := range names {
		if value := of.Get(name); value != "" {
			p.secrets[value] = name
		}
	}
}

// changes sets how the following answers are changed.
func (p *provider) changes(f func(url.Values)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.change = f
}

// noted returns the names of the secrets that the provider has seen.
func (p *provider) noted() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Compact(slices.Sorted(maps.Values(p.secrets)))
}

// shownIn returns the names of the secrets in a text, which may be a URL.
func (p *provider) shownIn(text string) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []string
	for value, name := range p.secrets {
		if strings.Contains(text, value) || strings.Contains(text, url.QueryEscape(value)) {
			all = append(all, name)
		}
	}
	return all
}

// logBuffer is the log of a server.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// newProviderSite starts a server at which the users of the provider can log in. Its log must not show a secret.
func newProviderSite(t *testing.T, p *provider, client string) *site {
	t.Helper()
	log := &logBuffer{}
	s := newSite(t, func(o *lab.Options) {
		o.Logger = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		o.Identity = identity.Defaults()
		o.Identity.OIDC = []identity.OIDC{{
			Issuer: p.URL, CA: p.ca, Audience: client, Algorithms: []string{"RS256"}, NameClaim: "sub",
			Domain: "oidc.example", Console: true,
		}}
	})
	if err := s.Grant(t.Context(), oidcUser, ending); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if log.String() == "" {
			t.Error("nothing is logged")
		}
		for _, name := range p.shownIn(log.String()) {
			t.Errorf("the log shows the %s:\n%s", name, log)
		}
	})
	return s
}

// local returns the address of a page of the console at localhost.
func (s *site) local(path string) string {
	return strings.Replace(s.page(path), "127.0.0.1", "localhost", 1)
}

// loginAt follows the link to the provider, and logs in there.
func (b *tab) loginAt(p *provider, user string) {
	b.t.Helper()
	b.click("a.button")
	b.wait("location.origin == " + quote(p.URL) + " && document.getElementById('username')")
	b.write("#username", user)
	b.write("#password", "verysecure")
	b.click("button[type=submit]")
}

// hides fails the test if an address that the tab has shown, with which a user goes back, has a secret.
func (b *tab) hides(p *provider) {
	b.t.Helper()
	history := command(b, page.GetNavigationHistory, cdp.Empty{})
	for _, e := range history.Entries {
		for _, name := range p.shownIn(e.URL) {
			b.t.Errorf("the address %s shows the %s", e.URL, name)
		}
	}
}
