package console_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/vigate/vigate/internal/console"
	"github.com/vigate/vigate/internal/console/consoletest"
	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/session"
	"github.com/vigate/vigate/internal/vim/vimtest"
)

const oidcCookie = "__Host-vigate-oidc"

// issuer is an issuer at which everybody is Ann, and the method that accepts its tokens.
type issuer struct{ err, refused error }

func (*issuer) Issuer() string    { return "https://login.example/realms/a" }
func (*issuer) Name() string      { return "jwt" }
func (*issuer) Challenge() string { return "Bearer" }

func (i *issuer) Address(_ context.Context, redirect, state, nonce, challenge string) (string, error) {
	q := url.Values{"redirect_uri": {redirect}, "state": {state}, "nonce": {nonce}, "challenge": {challenge}}
	return i.Issuer() + "?" + q.Encode(), i.err
}

func (i *issuer) Token(_ context.Context, redirect, nonce, code, verifier string) (secret.Text, error) {
	if code != "good" || redirect != "https://example.com/ui/login/oidc/callback" || nonce == "" || len(verifier) < 43 {
		return secret.Text{}, errors.New("another login")
	}
	return secret.New("token"), i.err
}

func (i *issuer) Authenticate(_ context.Context, a login.Attempt) (session.Grant, error) {
	c, ok := a.Credential.(login.Assertion)
	if !ok || c.Authorization.Reveal() != "Bearer token" {
		return session.Grant{}, login.ErrNotMine
	}
	if i.refused != nil {
		return session.Grant{}, i.refused
	}
	name, err := principal.Parse(vimtest.AnnName, "")
	return session.Grant{Identity: session.Identity{Name: name}, Scope: session.Scope{Local: true}}, err
}

// round sends a browser to the issuer and returns the query with which it arrives there.
func round(t *testing.T, b *consoletest.Browser, next string) url.Values {
	t.Helper()
	a := b.Get("/ui/login/oidc/0?next=" + url.QueryEscape(next))
	u, err := url.Parse(a.Header().Get("Location"))
	if a.Code != http.StatusSeeOther || err != nil || u.Host != "login.example" {
		t.Fatalf("%d to %s: %s", a.Code, u, a.Page)
	}
	return u.Query()
}

func TestABrowserLogsInAtAnIssuer(t *testing.T) {
	t.Parallel()
	i := &issuer{}
	f := vimtest.New(t, func(p *vimtest.Parts) { p.Methods = append(p.Methods, i) })
	b := consoletest.New(t, f, console.Options{
		Providers: []console.Provider{i}, Sections: []console.Section{sample()},
	})
	b.Peer.TLS = true
	b.Get("/ui/login?next=/ui/sample").Is(http.StatusOK, "Log in with login.example",
		`href="/ui/login/oidc/0?next=%2Fui%2Fsample"`)
	q := round(t, b, "/ui/sample?x=1")
	// The browser comes back by a link of another site.
	b.Header = http.Header{
		"Sec-Fetch-Site": {"cross-site"}, "Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"document"},
	}
	const callback = "/ui/login/oidc/callback?code=good&iss=https%3A%2F%2Flogin.example%2Frealms%2Fa&state="
	b.Another().Get(callback+q.Get("state")).Is(http.StatusForbidden, "not begun in this browser", "Password")
	a := b.Get(callback+q.Get("state")).Is(http.StatusOK, "You are logged in.", `href="/ui/sample?x=1"`)
	if got := a.Header().Get("Refresh"); got != "0; url=/ui/sample?x=1" {
		t.Errorf("it leads to %q", got)
	}
	if s := f.Session(b.Session()); s == nil || s.Method() != "jwt" || b.Cookies[oidcCookie] != "" {
		t.Errorf("the session is %v, the cookies are %v", s, b.Cookies)
	}
	// Each round trip logs in once, and only the browser that began it.
	b.Get(callback + q.Get("state")).Is(http.StatusForbidden)

	for name, query := range map[string]string{
		"another state": "code=good&state=x", "no state": "code=good", "no code": "error=access_denied&state=",
		"another code": "code=bad&state=", "another issuer": "code=good&iss=https%3A%2F%2Fevil.example&state=",
		"a huge code": "code=" + strings.Repeat("x", 5000) + "&state=",
	} {
		other := b.Another()
		state := round(t, other, "/ui/sample").Get("state")
		if strings.HasSuffix(query, "state=") {
			query += state
		}
		other.Get("/ui/login/oidc/callback?" + query).Is(http.StatusForbidden).Lacks("access_denied")
		if other.Session() != "" || other.Cookies[oidcCookie] != "" {
			t.Errorf("%s: cookies: %v", name, other.Cookies)
		}
	}
	for refused, text := range map[error]string{
		login.ErrRejected: "The login at login.example failed.", login.ErrNoAccess: "Permission to perform",
	} {
		i.refused = refused
		other := b.Another()
		state := round(t, other, "/ui/sample").Get("state")
		other.Get(callback+state).Is(http.StatusForbidden, text, "Password").Lacks("incorrect user name")
		if other.Session() != "" || other.Cookies[oidcCookie] != "" {
			t.Errorf("%v: cookies: %v", refused, other.Cookies)
		}
	}
	if q := round(t, b.Another(), "https://evil.example/"); q.Get("redirect_uri") !=
		"https://example.com/ui/login/oidc/callback" {
		t.Errorf("the issuer sends browsers to %s", q.Get("redirect_uri"))
	}
	// A browser that has a session keeps it: its cookie would not come back from the issuer's site.
	b.Get("/ui/login/oidc/0?next=/ui/sample").LeadsTo("/ui/sample")
	b.Another().Get("/ui/login/oidc/1").Is(http.StatusNotFound)
	i.err = errors.New("down")
	b.Another().Get("/ui/login/oidc/0").Is(http.StatusForbidden, "The login at login.example failed.").Lacks("down")
}
