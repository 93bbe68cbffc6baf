package jwt

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/vigate/vigate/internal/login/turns"
	"github.com/vigate/vigate/internal/peer"
	"github.com/vigate/vigate/internal/secret"
)

// The bounds of requests to an issuer. A stranger causes one by opening a URL.
const (
	maxRequests        = 16              // at once
	maxNetworkRequests = 4               // of one network at once
	maxNetworkCallers  = 16              // of one network, including those that wait
	turnPatience       = 2 * time.Second // how long one waits
	describedTime      = time.Minute     // how long a description is used
)

// Client logs in the users of browsers at an issuer, by the authorization code flow of OpenID Connect with PKCE
// (RFC 7636). It only gets the ID token; the method verifies that as any other. It is safe for concurrent use.
type Client struct {
	issuer Issuer
	secret secret.Text // that of the client; may be empty
	turns  *turns.Turns

	mu    sync.Mutex // guards what follows
	found *endpoints // nil: not read yet
	until time.Time  // how long found is used
}

// NewClient returns a client whose id is the audience of the issuer. The secret is empty if the issuer gave none.
func NewClient(i Issuer, s secret.Text) *Client {
	return &Client{issuer: i, secret: s, turns: turns.New(turns.Limits{
		All: maxRequests, Each: maxNetworkRequests, Callers: maxNetworkCallers, Patience: turnPatience,
	})}
}

// Issuer returns the URL of the issuer.
func (c *Client) Issuer() string { return c.issuer.URL }

// Address returns the URL at the issuer where the user logs in. redirect is the URL to which the issuer sends the
// browser back, with the state. The nonce comes back in the ID token. challenge is the SHA-256 of the verifier, in the
// encoding of RFC 7636.
func (c *Client) Address(ctx context.Context, redirect, state, nonce, challenge string) (string, error) {
	d, err := c.describe(ctx)
	if err != nil {
		return "", err
	}
	u, err := url.Parse(d.Authorization)
	if err != nil {
		return "", fmt.Errorf("read description of issuer: authorization_endpoint: %w", err)
	}
	q := u.Query()
	for name, value := range map[string]string{
		"response_type": "code", "scope": "openid profile email", "client_id": c.issuer.Audience,
		"redirect_uri": redirect,
		"state":        state, "nonce": nonce, "code_challenge": challenge, "code_challenge_method": "S256",
	} {
		q.Set(name, value)
	}
	u.RawQuery = q.Encode()
	return u.String(), nil
}

// ErrCode is returned if the issuer does not give an ID token for a code, or one for another login.
var ErrCode = errors.New("the issuer gives no token for the code")

// Token exchanges the code that the browser brought for the ID token, which must contain the nonce. The error is
// login.ErrBusy if too many callers have codes exchanged.
func (c *Client) Token(ctx context.Context, redirect, nonce, code, verifier string) (secret.Text, error) {
	d, err := c.describe(ctx)
	if err != nil {
		return secret.Text{}, err
	}
	leave, err := c.enter(ctx)
	if err != nil {
		return secret.Text{}, err
	}
	defer leave()
	client, err := newHTTPClient(c.issuer.CA, fetchTime)
	if err != nil {
		return secret.Text{}, err
	}
	form := url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {redirect}, "code_verifier": {verifier},
	}
	if c.secret.IsZero() {
		form.Set("client_id", c.issuer.Audience)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, d.Token, strings.NewReader(form.Encode()))
	if err != nil {
		return secret.Text{}, fmt.Errorf("exchange code: %w", err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Accept", "application/json")
	if !c.secret.IsZero() {
		r.SetBasicAuth(url.QueryEscape(c.issuer.Audience), url.QueryEscape(c.secret.Reveal()))
	}
	w, err := client.Do(r)
	if err != nil {
		return secret.Text{}, fmt.Errorf("exchange code: %w", err)
	}
	defer w.Body.Close()
	b, err := io.ReadAll(io.LimitReader(w.Body, maxAnswer))
	if err != nil {
		return secret.Text{}, fmt.Errorf("exchange code: %w", err)
	}
	var answer struct {
		Token string `json:"id_token"`
		Error string `json:"error"`
	}
	if err := json.Unmarshal(b, &answer); err != nil || w.StatusCode != http.StatusOK || answer.Token == "" {
		return secret.Text{}, fmt.Errorf("%w: it answers %.64q, %.64q", ErrCode, w.Status, answer.Error)
	}
	if nonceOf(answer.Token) != nonce {
		return secret.Text{}, fmt.Errorf("%w: it answers with the token of another login", ErrCode)
	}
	return secret.New(answer.Token), nil
}

// nonceOf returns the nonce in a token that is not verified yet, or "".
func nonceOf(token string) string {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return ""
	}
	b, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return ""
	}
	var claims struct {
		Nonce string `json:"nonce"`
	}
	if err := json.Unmarshal(b, &claims); err != nil {
		return ""
	}
	return claims.Nonce
}

// endpoints are addresses in the description of an issuer.
type endpoints struct {
	Issuer        string `json:"issuer"`
	Authorization string `json:"authorization_endpoint"`
	Token         string `json:"token_endpoint"`
}

// enter waits until the caller may send the issuer a request. The caller must call leave afterwards.
func (c *Client) enter(ctx context.Context) (leave func(), err error) {
	if leave, err = c.turns.Enter(ctx, peer.From(ctx).Network(), false); err != nil {
		return nil, fmt.Errorf("ask issuer: %w", err)
	}
	return leave, nil
}

// described returns the description of the issuer that was read in the last minute, or nil.
func (c *Client) described() *endpoints {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Now().Before(c.until) {
		return c.found
	}
	return nil
}

// describe returns the description of the issuer.
func (c *Client) describe(ctx context.Context) (*endpoints, error) {
	if d := c.described(); d != nil {
		return d, nil
	}
	leave, err := c.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	if d := c.described(); d != nil { // another caller has read it meanwhile
		return d, nil
	}
	d, err := c.readDescription(ctx)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.found, c.until = d, time.Now().Add(describedTime)
	return d, nil
}

// readDescription reads the description of the issuer from its server.
func (c *Client) readDescription(ctx context.Context) (*endpoints, error) {
	client, err := newHTTPClient(c.issuer.CA, fetchTime)
	if err != nil {
		return nil, err
	}
	at := strings.TrimSuffix(c.issuer.URL, "/") + "/.well-known/openid-configuration"
	if err := checkURL(at); err != nil {
		return nil, err
	}
	b, err := get(ctx, client, at)
	if err != nil {
		return nil, fmt.Errorf("read description of issuer at %s: %w", at, err)
	}
	var d endpoints
	if err := json.Unmarshal(b, &d); err != nil {
		return nil, fmt.Errorf("read description of issuer at %s: it is not JSON", at)
	}
	if d.Issuer != c.issuer.URL {
		return nil, fmt.Errorf("read description of issuer at %s: it is that of %.128q", at, d.Issuer)
	}
	for name, address := range map[string]string{
		"authorization_endpoint": d.Authorization, "token_endpoint": d.Token,
	} {
		if err := checkURL(address); err != nil {
			return nil, fmt.Errorf("read description of issuer at %s: %s: %w", at, name, err)
		}
	}
	return &d, nil
}
