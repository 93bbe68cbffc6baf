package jwt

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"encoding/pem"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/testclock"
)

// provider is the server of an issuer.
type provider struct {
	t        testing.TB
	server   *httptest.Server
	ca       string
	clock    *testclock.Clock
	requests atomic.Int64

	mu    sync.Mutex                // guards the fields below
	keys  map[string]crypto.Signer  // by id
	fails func(http.ResponseWriter) // answers in place of the provider, if set

	exchange http.HandlerFunc // answers at the token endpoint; set before the first request
}

// anyKey is a key of each type. They are made once, because RSA keys take long.
var anyKey = sync.OnceValue(func() map[string]crypto.Signer {
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	e, err2 := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	_, d, err3 := ed25519.GenerateKey(rand.Reader)
	weak, err4 := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	for _, err := range []error{err, err2, err3, err4} {
		if err != nil {
			panic(err)
		}
	}
	return map[string]crypto.Signer{"rsa": r, "ec": e, "ed": d, "p224": weak}
})

func newProvider(t testing.TB) *provider {
	t.Helper()
	p := &provider{t: t, clock: testclock.New(time.Time{}), keys: map[string]crypto.Signer{}}
	for _, id := range []string{"rsa", "ec", "ed"} {
		p.keys[id] = anyKey()[id]
	}
	p.server = httptest.NewUnstartedServer(http.HandlerFunc(p.serve))
	p.server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError) // clients that give up
	p.server.StartTLS()
	t.Cleanup(p.server.Close)
	p.ca = filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.server.Certificate().Raw})
	if err := os.WriteFile(p.ca, block, 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *provider) serve(w http.ResponseWriter, r *http.Request) {
	p.requests.Add(1)
	p.mu.Lock()
	fails, keys := p.fails, maps.Clone(p.keys)
	p.mu.Unlock()
	switch {
	case fails != nil:
		fails(w)
	case r.URL.Path == "/.well-known/openid-configuration":
		_ = json.NewEncoder(w).Encode(map[string]string{
			"issuer": p.server.URL, "jwks_uri": p.server.URL + "/keys",
			"authorization_endpoint": p.server.URL + "/authorize?tenant=a", "token_endpoint": p.server.URL + "/token",
		})
	case r.URL.Path == "/token" && p.exchange != nil:
		p.exchange(w, r)
	case r.URL.Path == "/keys":
		set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
		for _, id := range slices.Sorted(maps.Keys(keys)) {
			set.Keys = append(set.Keys, jose.JSONWebKey{Key: keys[id].Public(), KeyID: id, Use: "sig"})
		}
		_ = json.NewEncoder(w).Encode(set)
	default:
		http.NotFound(w, r)
	}
}

// fail makes the provider answer otherwise; nil: as it should.
func (p *provider) fail(with func(http.ResponseWriter)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fails = with
}

// down is the answer of a provider that is out of order.
func down(w http.ResponseWriter) { w.WriteHeader(http.StatusServiceUnavailable) }

// rotate replaces the provider's keys.
func (p *provider) rotate(keys map[string]crypto.Signer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keys = keys
}

func (p *provider) issuer() Issuer {
	return Issuer{
		URL: p.server.URL, JWKSURL: p.server.URL + "/keys", CA: p.ca, Audience: "vigate", Domain: "oidc.example",
		Algorithms: []string{"RS256", "PS256", "ES256", "EdDSA"}, GroupsClaim: "groups",
	}
}

func (p *provider) method(edit ...func(*Issuer)) *Method {
	p.t.Helper()
	i := p.issuer()
	for _, e := range edit {
		e(&i)
	}
	m, err := New([]Issuer{i}, p.clock.Now, slog.New(slog.DiscardHandler))
	if err != nil {
		p.t.Fatal(err)
	}
	return m
}

// claims are those of a good token, with changes. A nil value removes a claim.
func (p *provider) claims(changes map[string]any) map[string]any {
	now := p.clock.Now()
	c := map[string]any{
		"iss": p.server.URL, "aud": "vigate", "sub": "ann", "iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
	}
	for name, v := range changes {
		if c[name] = v; v == nil {
			delete(c, name)
		}
	}
	return c
}

// token is a good token with changes in its claims.
func (p *provider) token(changes map[string]any) string {
	p.t.Helper()
	return p.sign("RS256", "rsa", nil, p.claims(changes))
}

// sign makes a token of any claims: a value, or the text of a JSON document.
func (p *provider) sign(algorithm jose.SignatureAlgorithm, id string, header map[string]any, claims any) string {
	p.t.Helper()
	return signWith(p.t, anyKey()[id], algorithm, id, header, claims)
}

func signWith(t testing.TB, key any, algorithm jose.SignatureAlgorithm, id string, header map[string]any,
	claims any) string {
	t.Helper()
	options := &jose.SignerOptions{}
	if id != "" {
		options.WithHeader("kid", id)
	}
	for name, v := range header {
		options.WithHeader(jose.HeaderKey(name), v)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: key}, options)
	if err != nil {
		t.Fatal(err)
	}
	text, ok := claims.(string)
	if !ok {
		b, err := json.Marshal(claims)
		if err != nil {
			t.Fatal(err)
		}
		text = string(b)
	}
	signed, err := signer.Sign([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// attempt is a login with the token.
func attempt(token string) login.Attempt {
	return login.Attempt{Credential: login.Assertion{Authorization: secret.New("Bearer " + token)}}
}

// try logs in with the token and returns whom it names.
func try(t testing.TB, m *Method, token string) (string, error) {
	t.Helper()
	g, err := m.Authenticate(t.Context(), attempt(token))
	return g.Identity.Name.String(), err
}
