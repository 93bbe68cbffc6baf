package serve_test

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/vmware/govmomi"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/view"

	"github.com/vigate/vigate/internal/config"
	"github.com/vigate/vigate/internal/serve"
	"github.com/vigate/vigate/internal/serve/storage"
	"github.com/vigate/vigate/internal/store/storetest"
)

// post sends a request with JSON, and returns the status and the body.
func (r *running) post(url, token, body string) (int, string) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodPost, url, strings.NewReader(body))
	must(r.t, err)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("vmware-api-session-id", token)
	a, err := http.DefaultClient.Do(req)
	must(r.t, err)
	defer a.Body.Close()
	answer, err := io.ReadAll(a.Body)
	must(r.t, err)
	return a.StatusCode, string(answer)
}

// tokenOf returns the token of a client's session.
func (r *running) tokenOf(c *govmomi.Client) (token string) {
	r.t.Helper()
	at, err := url.Parse(r.front("lab") + "/sdk")
	must(r.t, err)
	for _, cookie := range c.Jar.Cookies(at) {
		token = strings.Trim(cookie.Value, `"`)
	}
	return token
}

// An account whose methods are few may be used for these in every binding, and for its prefixes of paths.
func TestTheMethodsOfAnAccountCountInEveryBinding(t *testing.T) {
	b := newBehind(t, simulator.VPX())
	r := run(t, upstreamOf("lab", "http://"+b.URL.Host+"/sdk", `    accounts:
      - {name: ci, username: svc, password-file: password, for: [administrator],
         methods: ["Retrieve*", "Find*", "/api*"]}
`))
	r.ready("lab")
	g := r.client("lab", "administrator", password)
	token := r.tokenOf(g)
	const root = "/sdk/vim25/8.0.1.0/"
	for _, c := range []struct {
		method, path, body string
		denied             bool
	}{
		{"GET", root + "Folder/group-d1/name", "", false},
		{"POST", root + "Folder/group-d1/Destroy_Task", "", true},
		{"POST", root + "Folder/group-d1/CreateFolder", `{"name":"x"}`, true},
		{"GET", "/api/content/security-policies", "", false},
		{"GET", "/rest/com/vmware/cis/tagging/category", "", true},
		{"GET", "/folder/x?dsName=LocalDS_0", "", true},
		{"POST", "/vsanHealth", "{}", true},
		// What is about the session is the front's, whatever the account.
		{"GET", "/api/session", "", false},
		{"GET", root + "SessionManager/SessionManager/currentSession", "", false},
	} {
		var code int
		var body string
		if c.method == "GET" {
			code, body = r.get(r.front("lab")+c.path, "vmware-api-session-id", token)
		} else {
			code, body = r.post(r.front("lab")+c.path, token, c.body)
		}
		denied := code == http.StatusForbidden || strings.Contains(body, "NoPermission")
		if denied != c.denied || code == http.StatusUnauthorized {
			t.Errorf("%s %s: %d %s", c.method, c.path, code, body)
		}
	}
	if _, err := g.SessionManager.UserSession(t.Context()); err != nil {
		t.Errorf("the session: %v", err)
	}
}

func TestAFrontNegotiatesTheReleaseOfTheAPI(t *testing.T) {
	b := newBehind(t, simulator.VPX())
	r := run(t, upstreamOf("lab", "http://"+b.URL.Host+"/sdk", account("ci", "administrator")))
	r.ready("lab")
	code, body := r.post(r.front("lab")+"/api/vcenter/system?action=hello", "", `{"api_releases":["8.0.1.0","1.0"]}`)
	if code != http.StatusOK || !strings.Contains(body, `"8.0.1.0"`) {
		t.Errorf("%d %s", code, body)
	}
}

// eventually waits until something is true.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !is(); <-time.After(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

func TestServersOfAClusterShareClientSessionsAndNotWhatTheseOwn(t *testing.T) {
	b := newBehind(t, simulator.VPX())
	records := storetest.NewReopened(nil)
	shared := func(o *serve.Options) {
		o.OpenStore = func(context.Context, config.Config, storage.Options) (storage.Opened, error) {
			return storage.Opened{Store: records(), Fresh: func() error { return nil }}, nil
		}
	}
	section := upstreamOf("lab", "http://"+b.URL.Host+"/sdk", account("ci", "administrator"))
	first, second := run(t, section+"node-name: a\n", shared), run(t, section+"node-name: b\n", shared)
	first.ready("lab")
	second.ready("lab")
	g := first.client("lab", "administrator", password)
	token := first.tokenOf(g)
	v, err := view.NewManager(g.Client).CreateContainerView(t.Context(), g.ServiceContent.RootFolder, nil, true)
	must(t, err)
	ask := func(r *running, path string) (int, string) {
		return r.get(r.front("lab")+path, "vmware-api-session-id", token)
	}
	eventually(t, "the other server knows the session", func() bool {
		code, _ := ask(second, "/api/session")
		return code == http.StatusOK
	})
	const root = "/sdk/vim25/8.0.1.0/"
	if code, body := ask(second, root+"Folder/group-d1/name"); code != http.StatusOK || body != `"Datacenters"` {
		t.Errorf("a read at the other server: %d %s", code, body)
	}
	container := root + "ContainerView/" + url.PathEscape(v.Reference().Value) + "/container"
	if code, body := ask(first, container); code != http.StatusOK || !strings.Contains(body, "group-d1") {
		t.Errorf("the view where it was made: %d %s", code, body)
	}
	if code, body := ask(second, container); !strings.Contains(body, "ManagedObjectNotFound") {
		t.Errorf("the view at the other server: %d %s", code, body)
	}
	code, body := second.post(second.front("lab")+root+"SessionManager/SessionManager/Logout", token, "")
	if code >= http.StatusMultipleChoices {
		t.Errorf("log out at the other server: %d %s", code, body)
	}
	eventually(t, "the session ends where it began", func() bool {
		code, _ := ask(first, "/api/session")
		return code == http.StatusUnauthorized
	})
}
