package serve_test

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/vmware/govmomi/simulator"
)

// console logs in at a console and returns a function that gets one of its pages.
func (r *running) console(at string) func(path string) (int, string) {
	r.t.Helper()
	form := url.Values{"user": {"administrator"}, "password": {password}}
	req, err := http.NewRequestWithContext(
		r.t.Context(), http.MethodPost, at+"/ui/login", strings.NewReader(form.Encode()))
	must(r.t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	a, err := http.DefaultTransport.RoundTrip(req)
	must(r.t, err)
	defer a.Body.Close()
	if len(a.Cookies()) == 0 {
		body, _ := io.ReadAll(a.Body)
		r.t.Fatalf("the console at %s answers %d: %s", at, a.StatusCode, body)
	}
	cookie := a.Cookies()[0].Name + "=" + a.Cookies()[0].Value
	return func(path string) (int, string) {
		r.t.Helper()
		return r.get(at+path, "Cookie", cookie)
	}
}

func TestTheConsoleHasItsSectionsOnTheServerAndOnAFront(t *testing.T) {
	b := newBehind(t, simulator.ESX())
	r := run(t, upstreamOf("lab", "http://"+b.URL.Host+"/sdk", account("ops", "administrator")))
	r.ready("lab")
	page := r.console(r.own())
	for path, text := range map[string]string{
		"sessions": "Administrator", "events": "UserLoginSessionEvent", "message": "Message to all users",
		"users": `VSPHERE.LOCAL\Administrator`, "roles": "Read-only", "permissions": `VSPHERE.LOCAL\Administrator`,
		"settings": "vigate.session.maxLifetime", "nodes": "this node", "upstreams": "Available",
	} {
		code, body := page("/ui/" + path)
		if code != http.StatusOK || !strings.Contains(body, text) || !strings.Contains(body, `href="/ui/`+path+`"`) {
			t.Errorf("%s: %d %s", path, code, body)
		}
	}
	front := r.console(r.front("lab"))
	if code, body := front("/ui/sessions"); code != http.StatusOK || strings.Contains(body, "/ui/events") {
		t.Errorf("sessions of the front: %d %s", code, body)
	}
	for _, path := range []string{"events", "message", "users", "settings", "upstreams"} {
		if code, _ := front("/ui/" + path); code != http.StatusNotFound {
			t.Errorf("%s of the front: %d", path, code)
		}
	}
}
