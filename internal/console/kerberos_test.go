package console_test

import (
	"context"
	"encoding/base64"
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

// kerberos stands for a service with a keytab. A token is the name of a user, or "more" for another leg.
type kerberos struct{}

func (kerberos) Name() string      { return "kerberos" }
func (kerberos) Challenge() string { return "" }

func (kerberos) Authenticate(_ context.Context, a login.Attempt) (session.Grant, error) {
	c, ok := a.Credential.(login.SSPI)
	if !ok {
		return session.Grant{}, login.ErrNotMine
	}
	switch token := string(c.Token.Reveal()); token {
	case "more":
		return session.Grant{}, &login.Continue{Token: secret.NewBytes([]byte("go on"))}
	case "Ann":
		name, err := principal.Parse(vimtest.AnnName, "")
		return session.Grant{Identity: session.Identity{Name: name}, Scope: session.Scope{Local: true}}, err
	}
	return session.Grant{}, login.ErrRejected
}

func TestABrowserLogsInByKerberosIfThereIsAKeytab(t *testing.T) {
	t.Parallel()
	f := vimtest.New(t, func(p *vimtest.Parts) { p.Methods = append(p.Methods, kerberos{}) })
	const path = "/ui/login/kerberos"
	without := consoletest.New(t, f, console.Options{})
	without.Get("/ui/login").Is(http.StatusOK).Lacks(path)
	without.Post(path, nil).Is(http.StatusNotFound)

	b := consoletest.New(t, f, console.Options{Kerberos: true, Sections: []console.Section{sample()}})
	b.Get("/ui/login").Is(http.StatusOK, `action="`+path+`"`)
	next := url.Values{"next": {"/ui/sample?x=1"}}
	negotiate := func(token string) *consoletest.Answer {
		b.Header.Set("Authorization", "Negotiate "+base64.StdEncoding.EncodeToString([]byte(token)))
		return b.Post(path, next)
	}
	a := b.Post(path, next).Is(http.StatusUnauthorized, "did not send a Kerberos ticket", `value="/ui/sample?x=1"`)
	if got := a.Header().Get("WWW-Authenticate"); got != "Negotiate" {
		t.Errorf("the challenge is %q", got)
	}
	a = negotiate("more").Is(http.StatusUnauthorized)
	leg := "Negotiate " + base64.StdEncoding.EncodeToString([]byte("go on"))
	if got := a.Header().Get("WWW-Authenticate"); got != leg {
		t.Errorf("the next leg is %q", got)
	}
	negotiate("mallory").Is(http.StatusForbidden, "Cannot complete login")
	b.Header.Set("Authorization", "Negotiate ???")
	b.Post(path, next).Is(http.StatusBadRequest)
	b.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte("Ann:"+vimtest.AnnPassword)))
	b.Post(path, next).Is(http.StatusUnauthorized)
	stranger := b.Another() // that sends what Kerberos adds, and not where the form is from
	stranger.Header = http.Header{"Authorization": b.Header["Authorization"]}
	if got := stranger.Post(path, next).Is(http.StatusForbidden).Header().Get("WWW-Authenticate"); got != "" {
		t.Errorf("a form of another page gets the challenge %q", got)
	}
	if b.Session() != "" {
		t.Fatalf("cookies: %v", b.Cookies)
	}
	negotiate("Ann").LeadsTo("/ui/sample?x=1")
	if s := f.Session(b.Session()); s == nil || s.Method() != "kerberos" || !strings.Contains(s.Owner(), "ann") {
		t.Errorf("the session is %v", s)
	}
	// On other pages, the header logs nobody in.
	other := b.Another()
	other.Get("/ui/sample").LeadsTo("/ui/login?next=%2Fui%2Fsample")
}
