package rest_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/binding"
	"github.com/vigate/vigate/internal/peer"
	"github.com/vigate/vigate/internal/rest"
	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/vim/vimtest"
)

// paths are the paths of the two forms.
var paths = []string{rest.APIPath, rest.RESTPath}

// fixture is a whole API that this binding serves.
type fixture struct {
	*vimtest.Fixture
	t   *testing.T
	mux *http.ServeMux
}

// newFixture returns a fixture for logins by the schemes; if there are none, by Basic alone.
func newFixture(t *testing.T, schemes ...string) *fixture {
	t.Helper()
	f := &fixture{Fixture: vimtest.New(t), t: t, mux: http.NewServeMux()}
	if len(schemes) == 0 {
		schemes = []string{"Basic"}
	}
	rest.Mount(f.mux, f.API, binding.NewBodies(0), schemes)
	return f
}

// send sends a request with the headers, each "Name: value".
func (f *fixture) send(method, target string, headers ...string) *httptest.ResponseRecorder {
	f.t.Helper()
	r := httptest.NewRequest(method, target, nil)
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ":")
		r.Header.Add(name, strings.TrimSpace(value))
	}
	w := httptest.NewRecorder()
	f.mux.ServeHTTP(w, r.WithContext(peer.With(r.Context(), &f.Peer)))
	if b := w.Body.Bytes(); len(b) > 0 && !json.Valid(b) {
		f.t.Errorf("%s %s: the body is not JSON: %s", method, target, b)
	}
	return w
}

// get requests the session in the path's form.
func (f *fixture) get(path string, headers ...string) *httptest.ResponseRecorder {
	f.t.Helper()
	if path == rest.RESTPath {
		return f.send("POST", path+"?~action=get", headers...)
	}
	return f.send("GET", path, headers...)
}

// login creates a session and returns its token.
func (f *fixture) login(path string, headers ...string) string {
	f.t.Helper()
	w := f.send("POST", path, append(headers, "Authorization: "+basic(vimtest.AdminName, vimtest.AdminPassword))...)
	var token string
	into := any(&token)
	if path == rest.RESTPath {
		into = &struct{ Value *string }{&token}
	}
	if err := json.Unmarshal(w.Body.Bytes(), into); err != nil || len(token) != 40 {
		f.t.Fatalf("login at %s: %d %s", path, w.Code, w.Body)
	}
	return token
}

func basic(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

// ticket returns a service ticket of the administrator's session for a request.
func (f *fixture) ticket(method, target string) string {
	f.t.Helper()
	spec := &types.SessionManagerHttpServiceRequestSpec{Method: "http" + method, Url: target}
	return vimtest.Get[types.SessionManagerGenericServiceTicket](f.On("SessionManager", "AcquireGenericServiceTicket",
		&types.AcquireGenericServiceTicketRequestType{Spec: spec})).Id
}

// credentials returns all headers with which a request can name a session.
func (f *fixture) credentials(token, method, target string) map[string]string {
	return map[string]string{
		"header":             "Vmware-Api-Session-Id: " + token,
		"cookie":             "Cookie: vmware-api-session-id=" + token,
		"cookie of SOAP":     `Cookie: vmware_soap_session="` + token + `"`,
		"both cookies":       `Cookie: vmware_soap_session="` + token + `"; vmware-api-session-id=` + token,
		"service ticket":     "Cookie: vmware_cgi_ticket=" + f.ticket(method, target),
		"id of no session":   "Vmware-Api-Session-Id: " + strings.Repeat("0", 40),
		"cookie of no one's": "Cookie: vmware-api-session-id=" + strings.Repeat("0", 40),
	}
}

func TestALoginCreatesASessionEvenIfTheRequestNamesAnother(t *testing.T) {
	f := newFixture(t)
	token := f.Admin
	for _, path := range paths {
		for what, header := range f.credentials(token, "Post", path) {
			fresh := f.login(path, header)
			if fresh == token || !f.Alive(fresh) || !f.Alive(token) {
				t.Errorf("%s with a %s: no new session", path, what)
			}
		}
	}
}

func TestOnlyTheHeaderAndCookieOfTheAutomationAPINameASession(t *testing.T) {
	f := newFixture(t)
	names := map[string]bool{"header": true, "cookie": true, "both cookies": true}
	for _, path := range paths {
		getMethod, getTarget := "Get", path
		if path == rest.RESTPath {
			getMethod, getTarget = "Post", path+"?~action=get"
		}
		token := f.login(path)
		for what, header := range f.credentials(token, getMethod, getTarget) {
			if w := f.get(path, header); (w.Code == http.StatusOK) != names[what] || !names[what] &&
				w.Code != http.StatusUnauthorized {
				t.Errorf("GET of %s with a %s: %d %s", path, what, w.Code, w.Body)
			}
		}
		for what := range f.credentials(token, "Delete", path) {
			token := f.login(path)
			header := f.credentials(token, "Delete", path)[what]
			w := f.send("DELETE", path, header)
			if f.Alive(token) == names[what] || (w.Code < 300) != names[what] || !names[what] &&
				w.Code != http.StatusUnauthorized {
				t.Errorf("DELETE of %s with a %s: %d %s, the session lives: %v", path, what, w.Code, w.Body,
					f.Alive(token))
			}
		}
	}
	if !f.Alive(f.Admin) {
		t.Error("a service ticket ended its session")
	}
}

// A service ticket is ignored here, so it stays valid for the request that it was issued for.
func TestAServiceTicketIsNotSpentHere(t *testing.T) {
	f := newFixture(t)
	ticket := f.ticket("Get", rest.APIPath)
	f.send("GET", rest.APIPath, "Cookie: vmware_cgi_ticket="+ticket)
	if l, _, err := f.Sessions.RedeemHTTPTicket(t.Context(), secret.New(ticket), "GET", rest.APIPath); err != nil ||
		l == nil {
		t.Errorf("the ticket is spent: %v", err)
	}
}

func TestTheHeaderOverridesTheCookie(t *testing.T) {
	f := newFixture(t)
	for _, path := range paths {
		header, cookie := f.login(path), f.login(path)
		if w := f.send("DELETE", path, "Vmware-Api-Session-Id: "+header,
			"Cookie: vmware-api-session-id="+cookie); w.Code >= 300 {
			t.Errorf("%s: %d", path, w.Code)
		}
		if f.Alive(header) || !f.Alive(cookie) {
			t.Errorf("%s: ended the session of the cookie", path)
		}
	}
}

func TestASessionIsDescribedAsPublished(t *testing.T) {
	f := newFixture(t)
	for _, path := range paths {
		token := f.login(path)
		w := f.get(path, "Vmware-Api-Session-Id: "+token)
		got := map[string]string{}
		into := any(&got)
		if path == rest.RESTPath {
			into = &struct{ Value *map[string]string }{&got}
		}
		if err := json.Unmarshal(w.Body.Bytes(), into); err != nil || len(got) != 3 ||
			got["user"] != "Administrator@VSPHERE.LOCAL" {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
		when := regexp.MustCompile(`^2026-03-04T05:06:07\.000Z$`)
		if !when.MatchString(got["created_time"]) || !when.MatchString(got["last_accessed_time"]) {
			t.Errorf("%s: times %v", path, got)
		}
	}
}

func TestALogoutResponseIsAsPublishedAndTheSecondFindsNoSession(t *testing.T) {
	f := newFixture(t)
	for path, status := range map[string]int{rest.APIPath: http.StatusNoContent, rest.RESTPath: http.StatusOK} {
		token := "Vmware-Api-Session-Id: " + f.login(path)
		if w := f.send("DELETE", path, token); w.Code != status || w.Body.Len() > 0 {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
		for range 2 {
			if w := f.send("DELETE", path, token); w.Code != http.StatusUnauthorized {
				t.Errorf("%s, once more: %d %s", path, w.Code, w.Body)
			}
		}
	}
}

// Every failed login gets the list of challenges. A malformed Basic credential is a failed login by
// password without a name.
func TestEveryFormOfBasicCredentialsIsAcceptedAndMalformedOnesAreAFailedLogin(t *testing.T) {
	f := newFixture(t)
	const user, password = "jörg", "pässwörd mit ☃ und : darin"
	vimtest.OK(f.Create(user, password, ""))
	vimtest.OK(f.Grant(f.Admin, types.Permission{Principal: user, RoleId: -2, Propagate: true}))
	good := basic(user, password)
	code := strings.TrimPrefix(good, "Basic ")
	latin := base64.StdEncoding.EncodeToString([]byte("j\xf6rg:p\xe4ssw\xf6rd"))
	for _, path := range paths {
		for _, header := range []string{good, "basic " + code, "BASIC " + code, "Basic   " + code} {
			if w := f.send("POST", path, "Authorization: "+header); w.Code >= 300 {
				t.Errorf("%s %q: %d %s", path, header, w.Code, w.Body)
			}
		}
		for _, header := range []string{
			"", "Basic", "Basic !", "Basic " + code[:len(code)-1],
			"Basic " + base64.StdEncoding.EncodeToString([]byte("nocolon")),
			"Basic " + latin, "Basic " + code + " " + code, "Basic realm=\"x\"", "Basic Og==", "SIGN", "Bearer x",
			"Digest x", "Basic" + code,
		} {
			var headers []string
			if header != "" {
				headers = append(headers, "Authorization: "+header)
			}
			w := f.send("POST", path, headers...)
			if w.Code != http.StatusUnauthorized {
				t.Errorf("%s %q: %d %s", path, header, w.Code, w.Body)
			}
			// No issuer of tokens is configured, so SIGN is not among the challenges.
			want := []string{`Basic realm="VAPI endpoint", charset="UTF-8"`}
			if got := w.Header().Values("WWW-Authenticate"); !slices.Equal(got, want) {
				t.Errorf("%s %q: challenge %q", path, header, got)
			}
			if !strings.Contains(w.Body.String(), `"challenge":"Basic realm=\"VAPI endpoint\", charset=\"UTF-8\""`) {
				t.Errorf("%s %q: %s", path, header, w.Body)
			}
		}
		if w := f.send("POST", path, "Authorization: "+good,
			"Authorization: "+basic(vimtest.AdminName, vimtest.AdminPassword)); w.Code != http.StatusUnauthorized {
			t.Errorf("%s with two credentials: %d", path, w.Code)
		}
	}
}

func TestChallengesNameTheSchemesThatAreConfiguredBasicFirst(t *testing.T) {
	f := newFixture(t, "SIGN", "Basic", "Bearer")
	for _, path := range paths {
		w := f.send("POST", path)
		want := []string{
			`Basic realm="VAPI endpoint", charset="UTF-8"`, `SIGN realm="VAPI endpoint"`,
			`Bearer realm="VAPI endpoint"`,
		}
		if got := w.Header().Values("WWW-Authenticate"); !slices.Equal(got, want) {
			t.Errorf("%s: challenges %q", path, got)
		}
	}
}

func TestMalformedBasicCredentialsCountAsFailedPasswordLogins(t *testing.T) {
	f := newFixture(t)
	for _, header := range []string{"Basic !", "Basic bm8=", basic(vimtest.AdminName, "wrong")} {
		before := strings.Count(f.Logged(), "operation=SessionManager.Login outcome=InvalidLogin")
		f.send("POST", rest.APIPath, "Authorization: "+header)
		if n := strings.Count(f.Logged(), "operation=SessionManager.Login outcome=InvalidLogin") - before; n != 1 {
			t.Errorf("%q caused %d log lines of failed logins", header, n)
		}
	}
	for range 100 { // this many failures lock an address
		f.send("POST", rest.APIPath, "Authorization: Basic !")
	}
	if w := f.send("POST", rest.APIPath, "Authorization: "+basic(vimtest.AnnName,
		vimtest.AnnPassword)); w.Code != http.StatusUnauthorized {
		t.Errorf("from an address with 100 failed logins: %d", w.Code)
	}
}
