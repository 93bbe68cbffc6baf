package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/vmware/govmomi/vapi/rest"
)

// automation sends one request to the session resource of the Automation API.
func automation(t *testing.T, c *http.Client, method, url string, change func(*http.Request)) response {
	t.Helper()
	req, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(req)
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response{resp.StatusCode, resp.Header, string(b)}
}

func basic(user, password string) func(*http.Request) {
	return func(r *http.Request) { r.SetBasicAuth(user, password) }
}

func withToken(token string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("vmware-api-session-id", token) }
}

func TestGovmomisRESTClientHasItsSession(t *testing.T) {
	r := start(t, t.TempDir(), nil)
	vc := jsonClient(t, r.tls)
	c := rest.NewClient(vc)
	ctx := t.Context()
	if err := c.Login(ctx, url.UserPassword(adminUser, "wrong")); err == nil {
		t.Error("a wrong password logs in")
	}
	if s, err := c.Session(ctx); err != nil || s != nil {
		t.Errorf("without a session: %+v %v", s, err)
	}
	if err := c.Login(ctx, url.UserPassword(adminUser, adminPassword)); err != nil {
		t.Fatal(err)
	}
	s, err := c.Session(ctx)
	if err != nil || s == nil || s.User != "Administrator@VSPHERE.LOCAL" {
		t.Errorf("session %+v, %v", s, err)
	}
	if err := c.Logout(ctx); err != nil {
		t.Fatal(err)
	}
	if r.Sessions.Size() != 0 {
		t.Error("the session lives after its logout")
	}
}

func TestOneTokenServesVIJSONAndTheAutomationAPI(t *testing.T) {
	r := start(t, t.TempDir(), nil)
	c := httpClient(t)
	a := automation(t, c, "POST", r.tls+"/api/session", basic(adminUser, adminPassword))
	if a.status != 201 || len(a.text()) != 40 {
		t.Fatalf("create: %d %s", a.status, a.body)
	}
	token := a.text()
	if got := vi(t, c, r.tls, token, sm+"currentSession",
		"GET"); got.member("userName") != `VSPHERE.LOCAL\Administrator` {
		t.Errorf("over VI JSON: %d %s", got.status, got.body)
	}
	var info map[string]string
	a = automation(t, c, "GET", r.tls+"/api/session", withToken(token))
	if err := json.Unmarshal([]byte(a.body), &info); err != nil || info["user"] == "" || info["created_time"] == "" ||
		info["last_accessed_time"] == "" {
		t.Errorf("get: %d %s", a.status, a.body)
	}
	if a = automation(t, c, "DELETE", r.tls+"/api/session", withToken(token)); a.status != 204 || a.body != "" {
		t.Errorf("delete: %d %s", a.status, a.body)
	}
	for _, method := range []string{"GET", "DELETE"} {
		a = automation(t, c, method, r.tls+"/api/session", withToken(token))
		if a.status != 401 || a.member("error_type") != "UNAUTHENTICATED" || a.member("challenge") == "" {
			t.Errorf("%s of a dead session: %d %s", method, a.status, a.body)
		}
	}
}

func TestTheOlderFormWrapsItsResponsesAndSetsItsCookieUnlessDisabled(t *testing.T) {
	r := start(t, t.TempDir(), nil)
	c := httpClient(t)
	const path = "/rest/com/vmware/cis/session"
	a := automation(t, c, "POST", r.tls+path, basic(adminUser, adminPassword))
	token := a.member("value")
	if a.status != 200 || len(token) != 40 ||
		!strings.Contains(a.header.Get("Set-Cookie"), "vmware-api-session-id="+token) {
		t.Fatalf("create: %d %v %s", a.status, a.header, a.body)
	}
	a = automation(t, c, "POST", r.tls+path, func(r *http.Request) {
		r.SetBasicAuth(adminUser, adminPassword)
		r.Header.Set("vmware-use-header-authn", "true")
	})
	if a.status != 200 || a.header.Get("Set-Cookie") != "" {
		t.Errorf("with header authentication: %d %v", a.status, a.header)
	}
	a = automation(t, c, "POST", r.tls+path+"?~action=get", func(r *http.Request) {
		r.Header.Set("Cookie", "vmware-api-session-id="+token)
	})
	if a.status != 200 || !strings.Contains(a.body, `"value":{"user":`) {
		t.Errorf("get by cookie: %d %s", a.status, a.body)
	}
	if a = automation(t, c, "DELETE", r.tls+path, withToken(token)); a.status != 200 {
		t.Errorf("delete: %d", a.status)
	}
}

func TestTheAutomationAPIRefusesBadRequestsClearly(t *testing.T) {
	r := start(t, t.TempDir(), nil)
	c := httpClient(t)
	for name, x := range map[string]struct {
		method, path string
		change       func(*http.Request)
		status       int
	}{
		"nothing":        {"POST", "/api/session", nil, 401},
		"wrong password": {"POST", "/api/session", basic(adminUser, "wrong"), 401},
		"a token of nobody's": {"POST", "/api/session", func(r *http.Request) {
			r.Header.Set("Authorization", `SIGN token="H4sIAAAAAAAA"`)
		}, 401},
		"another method": {"PUT", "/api/session", nil, 405},
		"another origin": {"POST", "/api/session", func(r *http.Request) {
			r.SetBasicAuth(adminUser, adminPassword)
			r.Header.Set("Sec-Fetch-Site", "cross-site")
		}, 403},
		"get of the older form": {"GET", "/rest/com/vmware/cis/session", nil, 405},
	} {
		a := automation(t, c, x.method, r.tls+x.path, x.change)
		if a.status != x.status || !json.Valid([]byte(a.body)) || strings.Contains(a.body, "wrong") {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	if r.Sessions.Size() != 0 {
		t.Error("a session was made")
	}
}
