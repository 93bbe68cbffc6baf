package console

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"

	"github.com/vigate/vigate/internal/httptoken"
	"github.com/vigate/vigate/internal/secret"
)

// CookieName returns the name of the console's cookie. A browser sends a cookie to all ports of a host, so that each
// front has a name of its own. The prefix makes browsers accept the cookie from this host alone, and only with TLS
// or, some of them, from a loopback address.
func (c *Console) CookieName() string {
	if c.Front == "" {
		return "__Host-vigate-ui"
	}
	return "__Host-vigate-ui-" + c.Front
}

// token returns the token in the cookie.
func (c *Console) token(r *http.Request) secret.Text {
	return secret.New(httptoken.Value(r.Header, c.CookieName()))
}

// setCookie makes the browser keep the token. An empty token removes the cookie.
func (c *Console) setCookie(h http.Header, token string) {
	line := c.CookieName() + "=" + token + "; Path=/; Secure; HttpOnly; SameSite=Strict"
	if token == "" {
		line += "; Max-Age=0"
	}
	h.Add("Set-Cookie", line)
}

// loginCookie returns the name of the cookie of a browser in which nobody is logged in.
func (c *Console) loginCookie() string {
	return strings.Replace(c.CookieName(), "vigate-ui", "vigate-login", 1)
}

// loginSecret returns the value of that cookie. It takes the place of the session's token in the forms of the login.
func (c *Console) loginSecret(r *http.Request) secret.Text {
	return secret.New(httptoken.Value(r.Header, c.loginCookie()))
}

// keepLoginSecret returns the value of that cookie, which the browser keeps until it is closed. If all tabs had to get
// a new one after each login and logout, those that show the form at the same time would invalidate each other's.
func (x *Request) keepLoginSecret() secret.Text {
	if s := x.console.loginSecret(x.r); !s.IsZero() {
		return s
	}
	s := rand.Text()
	x.w.Header().Add("Set-Cookie", x.console.loginCookie()+"="+s+"; Path=/; Secure; HttpOnly; SameSite=Strict")
	return secret.New(s)
}

// formToken returns what proves that a form was made for the session, or for the browser that has the secret of a
// login. Who has it can't find out the session's token or the secret. It needs no key of its own, so that each node of
// a cluster can check the forms of the others.
func formToken(token secret.Text) string {
	if token.IsZero() {
		return ""
	}
	mac := hmac.New(sha256.New, []byte(token.Reveal()))
	mac.Write([]byte("forms of the vigate console"))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// proves reports whether a form was made for the session, or for the browser that has the secret of a login.
func proves(sent string, token secret.Text) bool {
	want := formToken(token)
	return want != "" && hmac.Equal([]byte(sent), []byte(want))
}
