// Package browse does at the console of a server what browsers do.
//
// A [Browser] logs in and gets pages; a [Page] says how many sessions it has found. [Watch] opens streams of
// server-sent events, as pages that show the list of sessions do, and [Watchers] tells when all of them know of a
// change. The server's certificate is not verified: it runs on the same machine.
package browse

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// cookie is the name of the console's cookie. It has the token of a session.
const cookie = "__Host-vigate-ui"

// newTransport returns a transport that opens a connection for each request in flight, with HTTP/1.1.
func newTransport() *http.Transport {
	return &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableCompression: true, MaxIdleConnsPerHost: 1,
	}
}

// Browser is a browser without scripts. It keeps cookies and follows redirects.
type Browser struct {
	base  string
	http  *http.Client
	token string // of the form of the login
}

// New returns a browser for the server at the URL base.
func New(base string) (*Browser, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	return &Browser{base: base, http: &http.Client{Jar: jar, Transport: newTransport(), Timeout: 5 * time.Minute}}, nil
}

// Close closes the browser's connections.
func (b *Browser) Close() { b.http.CloseIdleConnections() }

// Page is a page that a browser got.
type Page struct {
	Path string // after redirects
	Text string
	Took time.Duration // from the click to the whole page, with redirects
}

// Get gets the page at a path.
func (b *Browser) Get(ctx context.Context, path string) (Page, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, b.base+path, nil)
	if err != nil {
		return Page{}, err
	}
	return b.do(r)
}

var tokenField = regexp.MustCompile(`name="token" value="([^"]+)"`)

// Open gets the page of the login.
func (b *Browser) Open(ctx context.Context) error {
	p, err := b.Get(ctx, "/ui/")
	if err != nil {
		return err
	}
	m := tokenField.FindStringSubmatch(p.Text)
	if m == nil || p.Path != "/ui/login" {
		return fmt.Errorf("%s has no form of the login", p.Path)
	}
	b.token = m[1]
	return nil
}

// Login sends the form of the login, and returns the page to which it leads. Open must be called before.
func (b *Browser) Login(ctx context.Context, user, password string) (Page, error) {
	form := url.Values{"token": {b.token}, "user": {user}, "password": {password}}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, b.base+"/ui/login", strings.NewReader(form.Encode()))
	if err != nil {
		return Page{}, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return b.do(r)
}

func (b *Browser) do(r *http.Request) (Page, error) {
	began := time.Now()
	a, err := b.http.Do(r)
	if err != nil {
		return Page{}, err
	}
	defer a.Body.Close()
	text, err := io.ReadAll(a.Body)
	p := Page{a.Request.URL.Path, string(text), time.Since(began)}
	if err == nil && a.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s answers %d: %.300s", p.Path, a.StatusCode, text)
	}
	return p, err
}

// found matches what the list of sessions says of itself. The groups of digits have narrow spaces between them.
var found = regexp.MustCompile("<caption>Sessions: ([0-9\u202f]+) of ([0-9\u202f]+)\\. Users")

// Found returns how many sessions the page has found, and of how many. The page must be in English.
func (p *Page) Found() (n, of int, err error) {
	m := found.FindStringSubmatch(p.Text)
	if m == nil {
		return 0, 0, fmt.Errorf("%s has no list of sessions: %.300s", p.Path, p.Text)
	}
	n, err1 := strconv.Atoi(strings.ReplaceAll(m[1], "\u202f", ""))
	of, err2 := strconv.Atoi(strings.ReplaceAll(m[2], "\u202f", ""))
	return n, of, errors.Join(err1, err2)
}
