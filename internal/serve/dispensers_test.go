package serve_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/vmware/govmomi/session"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/soap"

	"github.com/vigate/vigate/internal/identity"
	"github.com/vigate/vigate/internal/serve"
)

// issuer signs tokens of service accounts, as a cluster of Kubernetes does.
type issuer struct {
	*httptest.Server
	key *ecdsa.PrivateKey
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	point, err := key.PublicKey.Bytes()
	must(t, err)
	x, y := point[1:33], point[33:]
	keys := fmt.Sprintf(`{"keys":[{"kty":"EC","crv":"P-256","kid":"k","use":"sig","alg":"ES256","x":%q,"y":%q}]}`,
		base64.RawURLEncoding.EncodeToString(x), base64.RawURLEncoding.EncodeToString(y))
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(keys)) // the server reports what is missing
	}))
	t.Cleanup(s.Close)
	return &issuer{s, key}
}

// token returns a token of a service account, with changes in its claims.
func (i *issuer) token(t *testing.T, account string, changes map[string]any) string {
	t.Helper()
	now := time.Now()
	claims := map[string]any{
		"iss": i.URL, "aud": "vigate", "sub": "system:serviceaccount:kube-system:" + account,
		"iat": now.Add(-time.Minute).Unix(), "exp": now.Add(time.Hour).Unix(),
	}
	for name, v := range changes {
		claims[name] = v
	}
	text, err := json.Marshal(claims)
	must(t, err)
	signed := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"ES256","kid":"k","typ":"JWT"}`)) + "." +
		base64.RawURLEncoding.EncodeToString(text)
	sum := sha256.Sum256([]byte(signed))
	r, s, err := ecdsa.Sign(rand.Reader, i.key, sum[:])
	must(t, err)
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// driver does what the cloud provider and the storage driver of Kubernetes do. It asks the address of its configuration
// for a ticket, and makes itself a session of it at the server of its configuration.
type driver struct {
	manager string // vc-session-manager-url
	token   string // vc-session-manager-token, or the token of its service account
	server  string // of SOAP
}

// connect returns the status of the answer to the request for a ticket, and then the error of the session.
func (d driver) connect(ctx context.Context) (status int, err error) {
	const patience = 5 * time.Second // of these programs
	asking, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	r, err := http.NewRequestWithContext(asking, http.MethodGet, d.manager, nil)
	if err != nil {
		return 0, err
	}
	r.Header.Set("Authorization", "Bearer "+d.token)
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err
	}
	defer func() { _ = a.Body.Close() }()
	var answer struct{ Token, Message string }
	if err := json.NewDecoder(a.Body).Decode(&answer); err != nil {
		return a.StatusCode, err
	}
	if a.StatusCode != http.StatusOK {
		if answer.Message == "" || answer.Token != "" {
			return a.StatusCode, errors.New("the answer has no message, or has a ticket")
		}
		return a.StatusCode, nil
	}
	u, err := url.Parse(d.server)
	if err != nil {
		return a.StatusCode, err
	}
	c, err := vim25.NewClient(ctx, soap.NewClient(u, true))
	if err != nil {
		return a.StatusCode, err
	}
	m := session.NewManager(c)
	if err := m.CloneSession(ctx, answer.Token); err != nil {
		return a.StatusCode, fmt.Errorf("use the ticket: %w", err)
	}
	active, err := m.UserSession(ctx)
	if err == nil && active == nil {
		err = errors.New("the ticket made no session")
	}
	return a.StatusCode, err
}

func TestDriversOfKubernetesGetSessionsByTokens(t *testing.T) {
	t.Parallel()
	b, cluster, other := newBehind(t, simulator.VPX()), newIssuer(t), newIssuer(t)
	dir := t.TempDir()
	tokens, ca := filepath.Join(dir, "tokens"), filepath.Join(dir, "ca.pem")
	sum := sha256.Sum256([]byte("the driver's token"))
	must(t, os.WriteFile(tokens, []byte("csi "+hex.EncodeToString(sum[:])+"\n"), 0o600))
	must(t, os.WriteFile(ca, pem.EncodeToMemory(
		&pem.Block{Type: "CERTIFICATE", Bytes: cluster.Certificate().Raw}), 0o600))
	r := run(t, upstreamOf("lab", "http://"+b.URL.Host+"/sdk", account("ci", "administrator")+
		"    dispense:\n      - {account: ci, path: /session, tokens-file: "+tokens+", per-minute: 2, "+
		"subjects: [\"system:serviceaccount:kube-system:cpi\"]}\n"),
		func(o *serve.Options) {
			o.Identity = identity.Defaults()
			o.Identity.OIDC = []identity.OIDC{{
				Issuer: cluster.URL, JWKS: cluster.URL + "/keys", CA: ca, Audience: "vigate",
				Algorithms: []string{"ES256"}, NameClaim: "sub", GroupsClaim: "groups", Domain: "cluster.example",
			}}
		})
	r.ready("lab")
	old := map[string]any{"exp": time.Now().Add(-2 * time.Minute).Unix()}
	for _, c := range []struct {
		name, token string
		status      int
	}{
		{"no token", "", 401},
		{"another text", "the driver's other token", 401},
		{"the sum in the file", hex.EncodeToString(sum[:]), 401},
		{"an expired token", cluster.token(t, "cpi", old), 401},
		{"a token for another audience", cluster.token(t, "cpi", map[string]any{"aud": "kubernetes"}), 401},
		{"a token of another issuer", other.token(t, "cpi", nil), 401},
		{"a token that another signed", other.token(t, "cpi", map[string]any{"iss": cluster.URL}), 401},
		{"another service account", cluster.token(t, "default", nil), 403},
		{"the service account", cluster.token(t, "cpi", nil), 200},
		{"the service account again", cluster.token(t, "cpi", nil), 200},
		{"the service account, too often", cluster.token(t, "cpi", nil), 429},
		{"the token of the file", "the driver's token", 200},
		{"the token of the file again", "the driver's token", 200},
		{"the token of the file, too often", "the driver's token", 429},
	} {
		d := driver{manager: r.front("lab") + "/session", token: c.token, server: "http://" + b.URL.Host + "/sdk"}
		if status, err := d.connect(t.Context()); status != c.status || err != nil {
			t.Errorf("%s: %d, want %d; %v\n%s", c.name, status, c.status, err, r.logged())
		}
	}
}
