package gateway

import (
	"crypto/rand"
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/vmware/govmomi/vim25/soap"
)

// veil stands before a simulator and gives its sessions other cookies, so that the key of a session is no cookie. That
// is how servers are.
type veil struct {
	at string // the URL of the SDK

	mu   sync.Mutex // guards what follows
	keys map[string]string
}

// newVeil starts a veil before the simulator at the URL.
func newVeil(t *testing.T, simulator *url.URL) *veil {
	t.Helper()
	v := &veil{keys: map[string]string{}}
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, // on the loopback device
	}
	s := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: simulator.Scheme, Host: simulator.Host})
			r.Out.Header.Del("Cookie")
			for _, c := range r.In.Cookies() {
				if key, ok := v.key(strings.Trim(c.Value, `"`)); ok {
					r.Out.AddCookie(&http.Cookie{Name: c.Name, Value: key})
				}
			}
		},
		ModifyResponse: v.hide, Transport: transport,
	})
	t.Cleanup(func() {
		s.Close()
		transport.CloseIdleConnections()
	})
	v.at = s.URL + "/sdk"
	return v
}

// key returns the key of the session that has the cookie.
func (v *veil) key(cookie string) (string, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	key, ok := v.keys[cookie]
	return key, ok
}

// hide replaces the cookies of an answer.
func (v *veil) hide(a *http.Response) error {
	all := a.Cookies()
	a.Header.Del("Set-Cookie")
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, c := range all {
		if c.Name == soap.SessionCookieName && c.Value != "" {
			cookie := rand.Text()
			v.keys[cookie], c.Value = strings.Trim(c.Value, `"`), cookie
		}
		a.Header.Add("Set-Cookie", c.String())
	}
	return nil
}

// sessions returns how many sessions there ever were.
func (v *veil) sessions() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.keys)
}
