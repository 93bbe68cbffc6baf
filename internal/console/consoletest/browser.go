// Package consoletest has a browser for tests of the console and its sections. It keeps cookies, sends the token of
// the forms that it was shown, and runs no scripts.
//
// [Open] opens a console with sections over the API of a new fixture, and [OpenAdmin] logs the administrator in. [New]
// is for a fixture that a test has made. Each Browser has an address and a user agent of its own, if the test sets
// them. A [Stream] is what a page that follows receives.
package consoletest

import (
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/vigate/vigate/internal/binding"
	"github.com/vigate/vigate/internal/console"
	"github.com/vigate/vigate/internal/peer"
	"github.com/vigate/vigate/internal/vim/vimtest"
)

// Browser is a browser without scripts. Only one goroutine may use it at a time.
type Browser struct {
	Peer    peer.Peer
	Cookies map[string]string
	Header  http.Header // that each request has besides the cookies

	t       testing.TB
	handler http.Handler
	token   string // of the last page
}

// UserAgent is that of a browser, if the test does not set another.
const UserAgent = "Browser/1"

// Open makes a fixture and a console with the sections, and opens a browser at it, in which nobody is logged in.
func Open(t testing.TB, sections ...console.Section) (*vimtest.Fixture, *Browser) {
	t.Helper()
	f := vimtest.New(t)
	return f, New(t, f, console.Options{Sections: sections})
}

// OpenAdmin is Open, and logs the administrator in.
func OpenAdmin(t testing.TB, sections ...console.Section) (*vimtest.Fixture, *Browser) {
	t.Helper()
	f, b := Open(t, sections...)
	b.Login("administrator", vimtest.AdminPassword)
	return f, b
}

// New opens a console for the fixture, and a browser at it.
func New(t testing.TB, f *vimtest.Fixture, o console.Options) *Browser {
	t.Helper()
	o.API, o.Bodies = f.API, binding.NewBodies(0)
	return At(t, f, console.New(o))
}

// At opens a browser at a handler.
func At(t testing.TB, f *vimtest.Fixture, h http.Handler) *Browser {
	b := &Browser{
		Peer: f.Peer, Cookies: map[string]string{}, Header: http.Header{"Sec-Fetch-Site": {"same-origin"}},
		t: t, handler: h,
	}
	b.Peer.UserAgent = UserAgent
	return b
}

// Another returns another browser at the same console, with no cookies.
func (b *Browser) Another() *Browser {
	return &Browser{Peer: b.Peer, Cookies: map[string]string{}, Header: b.Header.Clone(), t: b.t, handler: b.handler}
}

// ServeHTTP serves requests with the peer of the browser, for tests that need a connection.
func (b *Browser) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.handler.ServeHTTP(w, r.WithContext(peer.With(r.Context(), &b.Peer)))
}

// Prepare adds the headers and the cookies to a request.
func (b *Browser) Prepare(r *http.Request) {
	for name, values := range b.Header {
		r.Header[name] = values
	}
	for name, value := range b.Cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
}

// Get requests a page.
func (b *Browser) Get(target string) *Answer {
	b.t.Helper()
	return b.send(httptest.NewRequest(http.MethodGet, target, nil))
}

// Post sends a form, with the token of the last page if the form has none.
func (b *Browser) Post(target string, form url.Values) *Answer {
	b.t.Helper()
	if form == nil {
		form = url.Values{}
	}
	if !form.Has("token") {
		form.Set("token", b.token)
	}
	r := httptest.NewRequest(http.MethodPost, target, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return b.send(r)
}

var tokenField = regexp.MustCompile(`name="token" value="([^"]+)"`)

func (b *Browser) send(r *http.Request) *Answer {
	b.t.Helper()
	b.Prepare(r)
	w := httptest.NewRecorder()
	b.ServeHTTP(w, r)
	for _, c := range w.Result().Cookies() {
		if c.MaxAge < 0 {
			delete(b.Cookies, c.Name)
		} else {
			b.Cookies[c.Name] = c.Value
		}
	}
	a := &Answer{ResponseRecorder: w, Page: w.Body.String(), t: b.t}
	if m := tokenField.FindStringSubmatch(a.Page); m != nil {
		b.token = m[1]
	}
	return a
}

// Login logs in, and ends the test if that fails.
func (b *Browser) Login(user, password string) {
	b.t.Helper()
	a := b.Post("/ui/login", url.Values{"user": {user}, "password": {password}})
	if a.Code != http.StatusSeeOther || b.Session() == "" {
		b.t.Fatalf("login as %s: %d %s", user, a.Code, a.Page)
	}
}

// Session returns the token of the session in the cookie, or "".
func (b *Browser) Session() string {
	for name, value := range b.Cookies {
		if strings.HasPrefix(name, "__Host-vigate-ui") {
			return value
		}
	}
	return ""
}

// Answer is the answer to a request.
type Answer struct {
	*httptest.ResponseRecorder
	Page string

	t testing.TB
}

// Is checks the status, and that the page has all of the texts.
func (a *Answer) Is(status int, texts ...string) *Answer {
	a.t.Helper()
	if a.Code != status {
		a.t.Errorf("status %d, want %d: %s", a.Code, status, a.Page)
	}
	for _, text := range texts {
		if !strings.Contains(html.UnescapeString(a.Page), text) {
			a.t.Errorf("the page has no %q: %s", text, a.Page)
		}
	}
	return a
}

// Lacks checks that the page, as it was sent, has none of the texts.
func (a *Answer) Lacks(texts ...string) *Answer {
	a.t.Helper()
	for _, text := range texts {
		if strings.Contains(a.Page, text) {
			a.t.Errorf("the page has %q: %s", text, a.Page)
		}
	}
	return a
}

// LeadsTo checks that the answer redirects to a path.
func (a *Answer) LeadsTo(path string) *Answer {
	a.t.Helper()
	if got := a.Header().Get("Location"); a.Code != http.StatusSeeOther || got != path {
		a.t.Errorf("status %d to %q, want 303 to %q: %s", a.Code, got, path, a.Page)
	}
	return a
}

// Field returns the values of the hidden fields and check boxes of a name.
func (a *Answer) Field(name string) []string {
	var all []string
	form := regexp.MustCompile(`<input type="(?:hidden|checkbox)" name="` + name + `" value="([^"]*)"`)
	for _, m := range form.FindAllStringSubmatch(a.Page, -1) {
		all = append(all, html.UnescapeString(m[1]))
	}
	return all
}
