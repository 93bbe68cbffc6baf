package console

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/binding"
	"github.com/vigate/vigate/internal/httptoken"
	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/vim"
)

// Provider is an issuer at which users of browsers log in, by the authorization code flow of OpenID Connect with PKCE.
// The login here is the operation LoginByToken with the ID token.
type Provider interface {
	// Issuer returns the URL of the issuer.
	Issuer() string
	// Address returns the URL where the user logs in. redirect is the URL to which the issuer sends the browser
	// back, and challenge the hash of the verifier.
	Address(ctx context.Context, redirect, state, nonce, challenge string) (string, error)
	// Token returns the ID token for the code that the browser brought. It must contain the nonce.
	Token(ctx context.Context, redirect, nonce, code, verifier string) (secret.Text, error)
}

// providerLink is a link of the page of the login.
type providerLink struct{ Path, Name string }

func (x *Request) providers(next string) []providerLink {
	var all []providerLink
	for i, p := range x.console.Providers {
		to := Root + "login/oidc/" + strconv.Itoa(i)
		if next != Root {
			to += "?" + url.Values{"next": {next}}.Encode()
		}
		all = append(all, providerLink{to, providerName(p)})
	}
	return all
}

// providerName returns the host of an issuer, which users know.
func providerName(p Provider) string {
	u, err := url.Parse(p.Issuer())
	if err != nil || u.Host == "" {
		return p.Issuer()
	}
	return u.Host
}

// roundTrip is a login that is on its way through an issuer. The browser keeps it in a cookie of its own. That has
// SameSite=Lax, because the browser comes back from another site.
type roundTrip struct {
	provider     int
	state, nonce string
	verifier     secret.Text
	next         string
}

const (
	roundTripLife = "600" // seconds in which the user must have logged in
	maxCode       = 4 << 10
)

func (c *Console) roundTripCookie() string {
	return strings.Replace(c.CookieName(), "vigate-ui", "vigate-oidc", 1)
}

// value returns the value of the cookie.
func (t *roundTrip) value() string {
	return strings.Join([]string{
		strconv.Itoa(t.provider), t.state, t.nonce, t.verifier.Reveal(),
		base64.RawURLEncoding.EncodeToString([]byte(t.next)),
	}, ".")
}

// roundTrip reads the cookie.
func (x *Request) roundTrip() (*roundTrip, bool) {
	parts := strings.Split(httptoken.Value(x.r.Header, x.console.roundTripCookie()), ".")
	if len(parts) != 5 {
		return nil, false
	}
	n, err := strconv.Atoi(parts[0])
	to, errNext := base64.RawURLEncoding.DecodeString(parts[4])
	if err != nil || errNext != nil || n < 0 || n >= len(x.console.Providers) {
		return nil, false
	}
	return &roundTrip{n, parts[1], parts[2], secret.New(parts[3]), next(string(to))}, true
}

func (x *Request) setRoundTrip(value, life string) {
	const attributes = "; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age="
	x.w.Header().Add("Set-Cookie", x.console.roundTripCookie()+"="+value+attributes+life)
}

// redirectURL returns the URL to which an issuer sends the browser back.
func (x *Request) redirectURL() (string, error) {
	if !binding.PlainHost(x.r.Host) {
		return "", x.Bad(errors.New("the name of the host can't be part of a URL"))
	}
	return x.call.Peer.Scheme() + "://" + x.r.Host + Root + "login/oidc/callback", nil
}

// toProvider sends the browser to an issuer.
func (x *Request) toProvider() error {
	if x.user != nil { // its cookie does not come back from the issuer's site, so it would not end
		return x.Redirect(next(x.Form.Get("next")))
	}
	n, err := strconv.Atoi(x.r.PathValue("provider"))
	if err != nil || n < 0 || n >= len(x.console.Providers) {
		x.problem(http.StatusNotFound, "console.notfound")
		return nil
	}
	redirect, err := x.redirectURL()
	if err != nil {
		return err
	}
	t := roundTrip{n, rand.Text(), rand.Text(), secret.New(rand.Text() + rand.Text()), next(x.Form.Get("next"))}
	hash := sha256.Sum256([]byte(t.verifier.Reveal()))
	address, err := x.console.Providers[n].Address(x.Context(), redirect, t.state, t.nonce,
		base64.RawURLEncoding.EncodeToString(hash[:]))
	if err != nil {
		return x.noProvider(n, err)
	}
	x.setRoundTrip(t.value(), roundTripLife)
	x.redirect(address)
	return nil
}

// noProvider shows the login again, because the one at an issuer failed.
func (x *Request) noProvider(n int, err error) error {
	x.console.Logger.Warn("a login at an issuer failed", "issuer", x.console.Providers[n].Issuer(), "err", err)
	return x.sayFailed(n)
}

// sayFailed is noProvider for what is logged elsewhere.
func (x *Request) sayFailed(n int) error {
	return x.showLogin(http.StatusForbidden, loginBody{
		Problem: x.Text("console.login.nooidc", providerName(x.console.Providers[n])), Next: next(x.Form.Get("next")),
	})
}

// fromProvider logs in a browser that comes back from an issuer. The address has the code and the state. The script
// of the page replaces it, however the login ends.
func (x *Request) fromProvider() error {
	t, ok := x.roundTrip()
	x.setRoundTrip("", "0")
	state, code := x.Form.Get("state"), x.Form.Get("code")
	if !ok || subtle.ConstantTimeCompare([]byte(state), []byte(t.state)) != 1 {
		return x.showLogin(http.StatusForbidden, loginBody{Problem: x.Text("console.login.late"), Next: Root})
	}
	x.Form.Set("next", t.next)
	p := x.console.Providers[t.provider]
	if from := x.Form.Get("iss"); from != "" && from != p.Issuer() {
		// Otherwise an issuer that sends browsers on to another one would get their codes (RFC 9207).
		return x.noProvider(t.provider, fmt.Errorf("it is %.128q that answers", from))
	}
	if code == "" || len(code) > maxCode {
		return x.noProvider(t.provider, fmt.Errorf("it gives no code: %.64q", x.Form.Get("error")))
	}
	redirect, err := x.redirectURL()
	if err != nil {
		return err
	}
	token, err := p.Token(x.Context(), redirect, t.nonce, code, t.verifier.Reveal())
	if err != nil {
		return x.noProvider(t.provider, err)
	}
	proof := vim.Proof{Authorization: secret.New("Bearer " + token.Reveal())}
	fault := x.start(proof, "LoginByToken", &types.LoginByTokenRequestType{Locale: x.wanted()})
	switch {
	case vim.IsFault[*types.InvalidLogin](fault):
		return x.sayFailed(t.provider) // the text of the fault is about passwords
	case fault != nil:
		return x.refuse(fault, "")
	}
	return x.onward(t.next)
}

// onward leads to another page by a page of this one's own. The browser, which comes from another site, would not send
// the new cookie with a redirected request.
func (x *Request) onward(to string) error {
	x.w.Header().Set("Refresh", "0; url="+to)
	x.user = nil
	x.write(x.console.shared, http.StatusOK, "onward", x.data(x.Text("console.login"), to))
	return nil
}
