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

	"github.com/vigate/vigate/internal/secret"
)

// Client logs in the users of browsers at an issuer, by the authorization code flow of OpenID Connect with PKCE
// (RFC 7636). It only gets the ID token; the method verifies that as any other.
type Client struct {
	issuer Issuer
	secret secret.Text // that of the client; may be empty
}

// NewClient returns a client whose id is the audience of the issuer. The secret is empty if the issuer gave none.
func NewClient(i Issuer, s secret.Text) *Client { return &Client{i, s} }

// Issuer returns the URL of the issuer.
func (c *Client) Issuer() string { return c.issuer.URL }

// Address returns the URL at the issuer where the user logs in. redirect is the URL to which the issuer sends the
// browser back, with the state. The nonce comes back in the ID token. challenge is the SHA-256 of the verifier, in the
// encoding of RFC 7636.
func (c *Client) Address(ctx context.Context, redirect, state, nonce, challenge string) (string, error) {
	d, _, err := c.describe(ctx)
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

// Token exchanges the code that the browser brought for the ID token, which must contain the nonce.
func (c *Client) Token(ctx context.Context, redirect, nonce, code, verifier string) (secret.Text, error) {
	d, client, err := c.describe(ctx)
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

// describe reads the description of the issuer. Logins of people are rare, so that it is not kept.
func (c *Client) describe(ctx context.Context) (*endpoints, *http.Client, error) {
	client, err := newHTTPClient(c.issuer.CA, fetchTime)
	if err != nil {
		return nil, nil, err
	}
	at := strings.TrimSuffix(c.issuer.URL, "/") + "/.well-known/openid-configuration"
	if err := checkURL(at); err != nil {
		return nil, nil, err
	}
	b, err := get(ctx, client, at)
	if err != nil {
		return nil, nil, fmt.Errorf("read description of issuer at %s: %w", at, err)
	}
	var d endpoints
	if err := json.Unmarshal(b, &d); err != nil {
		return nil, nil, fmt.Errorf("read description of issuer at %s: it is not JSON", at)
	}
	if d.Issuer != c.issuer.URL {
		return nil, nil, fmt.Errorf("read description of issuer at %s: it is that of %.128q", at, d.Issuer)
	}
	for name, address := range map[string]string{
		"authorization_endpoint": d.Authorization, "token_endpoint": d.Token,
	} {
		if err := checkURL(address); err != nil {
			return nil, nil, fmt.Errorf("read description of issuer at %s: %s: %w", at, name, err)
		}
	}
	return &d, client, nil
}
