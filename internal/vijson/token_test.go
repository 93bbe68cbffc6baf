package vijson

import (
	"net/http"
	"strings"
	"testing"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/binding"
	"github.com/vigate/vigate/internal/httptoken"
	"github.com/vigate/vigate/internal/peer"
	"github.com/vigate/vigate/internal/session"
	"github.com/vigate/vigate/internal/vectors"
	"github.com/vigate/vigate/internal/vim"
)

func TestTheTokenIsTakenFromTheHeaderBeforeTheCookie(t *testing.T) {
	for _, c := range []struct {
		header, cookie, token, ticket string
	}{
		{"h", "", "h", ""},
		{"h", `vmware_soap_session="c"`, "h", ""},
		{"", `vmware_soap_session="c"`, "c", ""},
		{"", `vmware_soap_session=c`, "c", ""},
		{"", `a=b; vmware_soap_session="c"; Path=/; HttpOnly; Secure;`, "c", ""},
		{"", `vmware_soap_session="c"; vmware_soap_session="d"`, "", ""},
		{"", `xvmware_soap_session=c; VMWARE_SOAP_SESSION=c`, "", ""},
		{"", `vmware_cgi_ticket=t`, "", "t"},
		{"h", `vmware_cgi_ticket="t"; vmware_soap_session=`, "h", "t"},
		{"", `vmware_soap_session="`, `"`, ""},
		{"", `;;=;"`, "", ""},
	} {
		f := newFake()
		f.send("GET", manager+"currentSession?a=%41", "", func(r *http.Request) {
			if c.header != "" {
				r.Header.Set("vmware-api-session-id", c.header)
			}
			if c.cookie != "" {
				r.Header.Set("Cookie", c.cookie)
			}
		})
		got := f.calls[0]
		if got.Token.Reveal() != c.token || got.HTTP.Ticket.Reveal() != c.ticket {
			t.Errorf("%+v: token %q, ticket %q", c, got.Token.Reveal(), got.HTTP.Ticket.Reveal())
		}
		if got.HTTP.Method != "GET" || got.HTTP.Target != manager+"currentSession?a=%41" {
			t.Errorf("the request's line is %+v", got.HTTP)
		}
	}
}

// newToken returns the token of a real login, because only a login creates one.
func newToken(t *testing.T) session.Token {
	t.Helper()
	r, fault := vectors.NewWorld(t).Login("reader")
	if fault != nil {
		t.Fatal(fault)
	}
	return r.Token
}

func TestAnAnswerWithATokenSetsHeaderAndCookie(t *testing.T) {
	token := newToken(t)
	digits := token.Reveal()
	for _, tls := range []bool{true, false} {
		f := newFake()
		f.do = func(*vim.Call) (vim.Result, *vim.Fault) {
			return vim.Result{Value: types.UserSession{}, Token: token}, nil
		}
		f.from = peer.Peer{TLS: tls}
		w := f.send("POST", manager+"Login", `{"userName":"a","password":"b"}`, nil)
		want := `vmware_soap_session="` + digits + `"; Path=/; HttpOnly;`
		if tls {
			want += " Secure;"
		}
		if got := w.Header()["Set-Cookie"]; len(got) != 1 || got[0] != want {
			t.Errorf("cookie %q, want %q", got, want)
		}
		if got := w.Header().Get("vmware-api-session-id"); got != digits {
			t.Errorf("header %q", got)
		}
		if strings.Contains(w.Body.String(), digits) {
			t.Error("the token is in the body")
		}
	}
	f := newFake()
	w := f.send("POST", manager+"Logout", "", func(r *http.Request) { r.Header.Set(httptoken.Header, digits) })
	if w.Header().Get(httptoken.Header) != "" || w.Header().Get("Set-Cookie") != "" {
		t.Errorf("a token is repeated: %v", w.Header())
	}
}

func TestAnAnswerThatCannotBeWrittenBringsNoToken(t *testing.T) {
	f, token := newFake(), newToken(t)
	f.do = func(*vim.Call) (vim.Result, *vim.Fault) {
		return vim.Result{Value: make(chan int), Token: token}, nil
	}
	w := f.send("POST", manager+"Login", `{"userName":"a","password":"b"}`, nil)
	wantFault(t, w, 500, "SystemError")
	if w.Header().Get(httptoken.Header) != "" || w.Header().Get("Set-Cookie") != "" {
		t.Errorf("%v", w.Header())
	}
}

func TestAPageOfAnotherOriginCannotUseTheCookies(t *testing.T) {
	const cookie = `vmware_soap_session="c"`
	login := `{"userName":"a","password":"b"}`
	for _, c := range []struct {
		what, method, name, header, cookie, site, origin string
		refused                                          bool
	}{
		{"no browser", "GET", "currentSession", "", cookie, "", "", false},
		{"own page", "GET", "currentSession", "", cookie, "same-origin", "https://example.com", false},
		{"typed by the user", "GET", "currentSession", "", cookie, "none", "", false},
		{"another site", "GET", "currentSession", "", cookie, "cross-site", "", true},
		{"another port of the host", "GET", "currentSession", "", cookie, "same-site", "", true},
		{"a value not known yet", "GET", "currentSession", "", cookie, "new-thing", "", true},
		{"another site, a ticket", "GET", "currentSession", "", "vmware_cgi_ticket=t", "cross-site", "", true},
		{"another site, nothing to use", "GET", "currentSession", "", "", "cross-site", "", false},
		{"another site, with the header", "GET", "currentSession", "h", cookie, "cross-site", "https://evil.example",
			false},
		{"an empty header", "GET", "currentSession", " ", cookie, "cross-site", "", true},
		{"an older browser", "GET", "currentSession", "", cookie, "", "https://evil.example", true},
		{"an older browser, own page", "GET", "currentSession", "", cookie, "", "https://EXAMPLE.com", false},
		{"a sandbox", "GET", "currentSession", "", cookie, "", "null", true},
		{"another port", "GET", "currentSession", "", cookie, "", "https://example.com:8443", true},
		{"a login planted", "POST", "Login", "", "", "cross-site", "https://evil.example", true},
		{"own login", "POST", "Login", "", "", "same-origin", "https://example.com", false},
	} {
		f := newFake()
		body := ""
		if c.method == "POST" {
			body = login
		}
		w := f.send(c.method, manager+c.name, body, func(r *http.Request) {
			for name, value := range map[string]string{httptoken.Header: strings.TrimSpace(c.header),
				"Cookie": c.cookie, "Sec-Fetch-Site": c.site, "Origin": c.origin} {
				if value != "" || name == httptoken.Header && c.header != "" {
					r.Header.Set(name, value)
				}
			}
		})
		if c.refused {
			wantFault(t, w, 500, "NoPermission")
		}
		if refused := len(f.calls) == 0; refused != c.refused {
			t.Errorf("%s: refused %v", c.what, refused)
		}
	}
}

func TestWhatALoginBringsOutsideItsArgumentsReachesTheCall(t *testing.T) {
	f := newFake()
	body := `{"_typeName":"LoginByToken", "locale":"` + strings.Repeat("x", 10<<10) + `"}`
	f.do = func(*vim.Call) (vim.Result, *vim.Fault) {
		if f.bodies.Held() < int64(len(body)) {
			t.Errorf("a body of %d bytes is kept, and %d are counted", len(body), f.bodies.Held())
		}
		return vim.Result{}, nil
	}
	f.send("POST", manager+"LoginByToken", body, func(r *http.Request) {
		r.Header.Set("Authorization", `SIGN token="x"`)
		r.Header["Accept-Language"] = []string{"de", "en;q=0.5"}
	})
	c := f.calls[0]
	if c.Proof.Authorization.Reveal() != `SIGN token="x"` || string(c.Proof.Body.Reveal()) != body ||
		c.AcceptLanguage != "de,en;q=0.5" ||
		c.Binding != "vijson" || c.Peer.Address != "192.0.2.1" || c.Release != vim.FirstRelease {
		t.Errorf("%+v", c)
	}
	if held := f.bodies.Held(); held != 0 {
		t.Errorf("after the call %d bytes are counted", held)
	}
}

func TestOnlyACallThatNeedsProofKeepsItsBody(t *testing.T) {
	f := newFake()
	f.do = func(c *vim.Call) (vim.Result, *vim.Fault) {
		if held := f.bodies.Held(); held != 0 || !c.Proof.Body.IsZero() {
			t.Errorf("%s keeps %.60q, and %d bytes are counted", c.Name, c.Proof.Body.Reveal(), held)
		}
		return vim.Result{}, nil
	}
	f.send("POST", manager+"Login", `{"userName":"a","password":"b"}`+strings.Repeat(" ", 100<<10), nil)
	f.send("POST", manager+"Logout", strings.Repeat(" ", 100<<10), nil)
	if len(f.calls) != 2 || f.bodies.Held() != 0 {
		t.Errorf("%d calls, and %d bytes are counted after them: %v", len(f.calls), f.bodies.Held(), f.refused)
	}
}

func TestLargeBodiesShareABound(t *testing.T) {
	f := newFake()
	f.bodies = binding.NewBodies(2 << 20) // one address may use a quarter
	large := `{"userName":"a","password":"b"}` + strings.Repeat(" ", 600<<10)
	w := f.send("POST", manager+"Login", large, nil)
	if w.Code != 503 || w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), `"faultstring"`) ||
		len(f.refused) != 1 {
		t.Errorf("past the bound: %d %v %s", w.Code, w.Header(), w.Body)
	}
	if w := f.send("POST", HelloPath+"?action=hello", large, nil); w.Code != 503 ||
		w.Header().Get("Retry-After") == "" {
		t.Errorf("hello past the bound: %d %v %s", w.Code, w.Header(), w.Body)
	}
	if held := f.bodies.Held(); held != 0 {
		t.Errorf("refused bodies hold %d bytes", held)
	}
	if w := f.send("POST", manager+"Login", `{"userName":"a","password":"b"}`, nil); w.Code != 204 {
		t.Errorf("a small body past the bound: %d %s", w.Code, w.Body)
	}
}
