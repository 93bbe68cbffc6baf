package console_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/binding"
	"github.com/vigate/vigate/internal/console"
	"github.com/vigate/vigate/internal/console/consoletest"
	"github.com/vigate/vigate/internal/rest"
	"github.com/vigate/vigate/internal/vim/vimtest"
)

// sample is a section for those who may set the service message.
func sample() console.Section {
	return console.Section{
		Name: "sample", Title: "console.groups",
		Needs: console.Row{Type: "SessionManager", Name: "UpdateServiceMessage", Method: true},
		Pages: map[string]console.Page{
			"GET sample": func(x *console.Request) error {
				return x.Page("home", "sample of "+x.Own().UserName, x.Own())
			},
			"POST sample/change": func(x *console.Request) error { return x.Redirect("/ui/sample?changed") },
		},
	}
}

func TestALoginGivesACookieOfTheConsoleAlone(t *testing.T) {
	t.Parallel()
	f, b := consoletest.Open(t, sample())
	a := b.Post("/ui/login", url.Values{"user": {"administrator"}, "password": {vimtest.AdminPassword}})
	a.LeadsTo("/ui/")
	cookie := a.Header().Get("Set-Cookie")
	want := regexp.MustCompile(
		`^__Host-vigate-ui=[0-9a-f]{40}; Path=/; Secure; HttpOnly; SameSite=Strict$`)
	if !want.MatchString(cookie) {
		t.Errorf("Set-Cookie: %s", cookie)
	}
	s := f.Session(b.Session())
	if s == nil {
		t.Fatal("the cookie has no token of a session")
	}
	got := s.Session()
	if got.UserAgent != consoletest.UserAgent || got.Address != b.Peer.Address || got.Method != "password" {
		t.Errorf("the session is %+v", got)
	}
	b.Get("/ui/").LeadsTo("/ui/sample")
	b.Get("/ui/sample").Is(http.StatusOK, "sample of "+vimtest.AdminName, "30 min")

	// Neither binding takes the credentials of the other.
	mux := http.NewServeMux()
	rest.Mount(mux, f.API, binding.NewBodies(0), []string{"Basic"})
	r := httptest.NewRequest(http.MethodGet, rest.APIPath, nil)
	b.Prepare(r)
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, r)
	if w.Code != http.StatusUnauthorized {
		t.Errorf("the other binding answers %d", w.Code)
	}
	for _, header := range []string{
		"Vmware-Api-Session-Id: " + f.Admin, `Cookie: vmware_soap_session="` + f.Admin + `"`,
		"Cookie: vmware-api-session-id=" + f.Admin, "Cookie: __Host-vigate-ui-lab=" + f.Admin,
	} {
		other := b.Another()
		name, value, _ := strings.Cut(header, ": ")
		other.Header.Set(name, value)
		other.Get("/ui/sample").LeadsTo("/ui/login?next=%2Fui%2Fsample")
	}
}

func TestAWrongPasswordIsAFailedLogin(t *testing.T) {
	t.Parallel()
	f, b := consoletest.Open(t, sample())
	a := b.Post("/ui/login", url.Values{
		"user": {`<b>"ann`}, "password": {"wrong password"}, "next": {"/ui/sample"},
	})
	a.Is(http.StatusForbidden, "Cannot complete login", `value="<b>"ann"`, `value="/ui/sample"`)
	a.Lacks("wrong password", "<b>")
	if b.Session() != "" {
		t.Errorf("cookies: %v", b.Cookies)
	}
	if !strings.Contains(f.Logged(), "binding=console") {
		t.Errorf("the attempt is not in the audit log: %s", f.Logged())
	}
	// The throttle of all ways in counts it.
	for range 5 {
		b.Post("/ui/login", url.Values{"user": {"Ann"}, "password": {"wrong password"}})
	}
	b.Post("/ui/login", url.Values{"user": {"Ann"}, "password": {vimtest.AnnPassword}}).Is(http.StatusForbidden)
}

func TestAFormNeedsTheTokenOfItsSession(t *testing.T) {
	t.Parallel()
	f, b := consoletest.Open(t, sample())
	b.Login("administrator", vimtest.AdminPassword)
	other := b.Another()
	other.Login("administrator", vimtest.AdminPassword)
	b.Get("/ui/sample")
	stolen := other.Get("/ui/sample").Field("token")[0]
	for name, token := range map[string]string{"none": "", "another session's": stolen, "session": b.Session()} {
		for _, target := range []string{"/ui/logout", "/ui/sample/change"} {
			b.Post(target, url.Values{"token": {token}}).Is(http.StatusForbidden, "another session")
		}
		if !f.Alive(b.Session()) {
			t.Fatalf("%s: the session has ended", name)
		}
	}
	b.Post("/ui/sample/change", nil).LeadsTo("/ui/sample?changed")
	token := b.Session()
	a := b.Post("/ui/logout", nil).LeadsTo("/ui/login?out=1")
	if f.Alive(token) || b.Session() != "" || !strings.Contains(a.Header().Get("Set-Cookie"), "Max-Age=0") {
		t.Errorf("after the logout: %v", a.Header())
	}
	b.Get("/ui/login?out=1").Is(http.StatusOK, "You have logged out.")
	b.Get("/ui/sample").LeadsTo("/ui/login?next=%2Fui%2Fsample")
	if !f.Alive(other.Session()) {
		t.Error("the other session has ended")
	}
}

func TestALoginNeedsTheTokenOfItsBrowserIfThatDoesNotSayWhereTheFormIsFrom(t *testing.T) {
	t.Parallel()
	f, b := consoletest.Open(t, sample())
	ann := func(token string) url.Values {
		return url.Values{"user": {"Ann"}, "password": {vimtest.AnnPassword}, "token": {token}}
	}
	stolen := b.Another().Get("/ui/login").Field("token")[0]
	for name, header := range map[string]http.Header{
		"neither header": {}, "the origin alone": {"Origin": {"https://example.com"}},
		"typed": {"Sec-Fetch-Site": {"none"}},
	} {
		b := b.Another()
		b.Header = header
		for what, token := range map[string]string{"no token": "", "another browser's token": stolen} {
			before := strings.Count(f.Logged(), "binding=console")
			b.Post("/ui/login", ann(token)).Is(http.StatusForbidden, "Log in again.", `value="Ann"`)
			if b.Session() != "" || strings.Count(f.Logged(), "binding=console") != before {
				t.Errorf("%s, %s: it is a login: %s", name, what, f.Logged())
			}
		}
		// The refusal shows the form that works.
		b.Post("/ui/login", ann(b.Get("/ui/login").Field("token")[0])).LeadsTo("/ui/")
	}

	b.Header = nil
	a := b.Get("/ui/login")
	want := regexp.MustCompile(`^__Host-vigate-login=[0-9A-Z]{26}; Path=/; Secure; HttpOnly; SameSite=Strict$`)
	if cookie := a.Header().Get("Set-Cookie"); !want.MatchString(cookie) {
		t.Errorf("Set-Cookie: %s", cookie)
	}
	a.Lacks(b.Cookies["__Host-vigate-login"])
	// All tabs have the same cookie, also after a failed login, a login and a logout.
	token := a.Field("token")[0]
	again := b.Get("/ui/login")
	wrong := b.Post("/ui/login", url.Values{"user": {"Ann"}, "password": {"wrong password"}})
	wrong.Is(http.StatusForbidden, "Cannot complete login")
	for _, a := range []*consoletest.Answer{again, wrong} {
		if got := a.Field("token")[0]; got != token || a.Header().Get("Set-Cookie") != "" {
			t.Errorf("the token becomes %s, and %q", got, a.Header().Get("Set-Cookie"))
		}
	}
	b.Post("/ui/login", ann(token)).LeadsTo("/ui/")
	session := b.Get("/ui/").Field("token")[0]
	b.Post("/ui/logout", ann(token)).Is(http.StatusForbidden, "another session")
	b.Post("/ui/login", ann(session)).Is(http.StatusForbidden)
	b.Post("/ui/logout", ann(session)).LeadsTo("/ui/login?out=1")
	b.Post("/ui/login", ann(token)).LeadsTo("/ui/")
}

func TestRequestsOfOtherOriginsAreRefused(t *testing.T) {
	t.Parallel()
	f, b := consoletest.Open(t, sample())
	b.Login("administrator", vimtest.AdminPassword)
	b.Get("/ui/sample")
	for name, header := range map[string]http.Header{
		"another site":          {"Sec-Fetch-Site": {"cross-site"}},
		"another port":          {"Sec-Fetch-Site": {"same-site"}, "Origin": {"https://example.com:8443"}},
		"an old browser":        {"Origin": {"https://evil.example"}},
		"a page without origin": {"Origin": {"null"}},
		"a navigation by a form": {
			"Sec-Fetch-Site": {"cross-site"}, "Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"document"},
		},
	} {
		b.Header = header
		b.Post("/ui/logout", nil).Is(http.StatusForbidden, "another origin")
		b.Post("/ui/login", url.Values{"user": {"Ann"}, "password": {vimtest.AnnPassword}}).Is(http.StatusForbidden)
		if !f.Alive(b.Session()) {
			t.Fatalf("%s: the session has ended", name)
		}
	}
	b.Header = http.Header{"Sec-Fetch-Site": {"cross-site"}, "Sec-Fetch-Mode": {"no-cors"}, "Sec-Fetch-Dest": {"image"}}
	b.Get("/ui/sample").Is(http.StatusForbidden).Lacks(vimtest.AdminName)
	b.Header = http.Header{
		"Sec-Fetch-Site": {"cross-site"}, "Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"document"},
	}
	b.Get("/ui/sample").Is(http.StatusOK)
}

func TestEveryAnswerHasTheHeadersOfAPage(t *testing.T) {
	t.Parallel()
	_, b := consoletest.Open(t, sample())
	b.Login("administrator", vimtest.AdminPassword)
	script := regexp.MustCompile(`<script src="([^"]+)" nonce="([^"]+)" defer></script>`)
	for _, path := range []string{"/ui/sample", "/ui/none", "/ui/sample/change", "/ui", "/ui/login"} {
		a := b.Get(path)
		h := a.Header()
		for name, want := range map[string]string{
			"Cache-Control": "no-store", "X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff",
			"Referrer-Policy": "no-referrer", "Cross-Origin-Opener-Policy": "same-origin",
			"Cross-Origin-Resource-Policy": "same-origin",
		} {
			if got := h.Get(name); got != want {
				t.Errorf("%s: %s is %q", path, name, got)
			}
		}
		policy := h.Get("Content-Security-Policy")
		for _, part := range []string{
			"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'",
		} {
			if !strings.Contains(policy, part) {
				t.Errorf("%s: the policy is %s", path, policy)
			}
		}
		if strings.Contains(policy, "unsafe") {
			t.Errorf("%s: the policy is %s", path, policy)
		}
		m := script.FindStringSubmatch(a.Page)
		if a.Page != "" && (m == nil || !strings.Contains(policy, "script-src 'nonce-"+m[2]+"'")) {
			t.Errorf("%s: the policy %s does not allow the script of %s", path, policy, a.Page)
		}
		a.Lacks(" style=", "<style", "onclick", "http://", "https://")
		if m == nil {
			continue
		}
		static := b.Get(m[1]).Is(http.StatusOK)
		if got := static.Header().Get("Cache-Control"); !strings.Contains(got, "immutable") {
			t.Errorf("the script is kept as %q", got)
		}
		b.Get(strings.Replace(m[1], "static/", "static/0", 1)).Is(http.StatusNotFound)
	}
}

func TestALoginLeadsOnlyToPagesOfTheConsole(t *testing.T) {
	t.Parallel()
	_, b := consoletest.Open(t, sample())
	for next, want := range map[string]string{
		"/ui/sample?q=1": "/ui/sample?q=1", "": "/ui/", "https://evil.example/ui/": "/ui/",
		"//evil.example/ui/": "/ui/",
		"/sdk":               "/ui/", `/ui/\evil`: "/ui/", "/ui/../sdk": "/ui/", "/ui/logout": "/ui/",
		"javascript:alert(1)":      "/ui/",
		"/ui/a\r\nSet-Cookie: x=y": "/ui/",
	} {
		b.Post("/ui/login", url.Values{
			"user": {"administrator"}, "password": {vimtest.AdminPassword}, "next": {next},
		}).LeadsTo(want)
	}
}

func TestALoginEndsTheSessionThatTheBrowserHadBefore(t *testing.T) {
	t.Parallel()
	f, b := consoletest.Open(t, sample())
	b.Login("administrator", vimtest.AdminPassword)
	before := b.Session()
	b.Login("Ann", vimtest.AnnPassword)
	if f.Alive(before) || !f.Alive(b.Session()) {
		t.Error("the session before is alive, or the new one is not")
	}
}

func TestASessionThatHasEndedLeadsToTheLogin(t *testing.T) {
	t.Parallel()
	f, b := consoletest.Open(t, sample())
	b.Login("administrator", vimtest.AdminPassword)
	f.Pass(31 * time.Minute)
	b.Get("/ui/sample").LeadsTo("/ui/login?ended=1&next=%2Fui%2Fsample")
	if len(b.Cookies) > 0 {
		t.Errorf("cookies: %v", b.Cookies)
	}
	b.Get("/ui/login?ended=1").Is(http.StatusOK, "Your session has ended.")
}

func TestWhatACallerMayNotDoIsNotOffered(t *testing.T) {
	t.Parallel()
	f, b := consoletest.Open(t, sample())
	b.Login("Ann", vimtest.AnnPassword)
	b.Get("/ui/").Is(http.StatusOK, "Ann Example", "the privileges for any section").Lacks("/ui/sample")
	f.User("messenger", access.GlobalMessage)
	b.Login("messenger", "password of messenger")
	b.Get("/ui/").LeadsTo("/ui/sample")
}

func TestPagesAreInTheLanguageOfTheBrowser(t *testing.T) {
	t.Parallel()
	_, b := consoletest.Open(t, sample())
	b.Header.Set("Accept-Language", "de-AT,de;q=0.9")
	b.Get("/ui/login").Is(http.StatusOK, `lang="de"`, "Kennwort")
	b.Login("administrator", vimtest.AdminPassword)
	b.Header.Set("Accept-Language", "ja")
	b.Get("/ui/sample").Is(http.StatusOK, `lang="de"`, "Abmelden")
}

func TestAPageIsOneCallOfItsSession(t *testing.T) {
	t.Parallel()
	f, b := consoletest.Open(t, sample())
	b.Login("administrator", vimtest.AdminPassword)
	before := f.Session(b.Session()).Session().CallCount
	b.Get("/ui/sample").Is(http.StatusOK)
	if n := f.Session(b.Session()).Session().CallCount - before; n != 1 {
		t.Errorf("%d calls", n)
	}
}

func TestAFormIsBounded(t *testing.T) {
	t.Parallel()
	_, b := consoletest.Open(t, sample())
	b.Post("/ui/login", url.Values{"user": {strings.Repeat("x", 70<<10)}}).Is(http.StatusBadRequest)
	inURL := url.Values{"user": {"administrator"}, "password": {vimtest.AdminPassword}}
	b.Post("/ui/login?"+inURL.Encode(), nil).Is(http.StatusForbidden)
}
