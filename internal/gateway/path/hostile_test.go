package path_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vmware/govmomi"
)

// spy sees what the upstream gets from clients. It answers some paths itself.
type spy struct {
	// answer answers a request to a path, beginning with the longest prefix. Others go to the simulator.
	answer map[string]http.HandlerFunc

	mu  sync.Mutex // guards got
	got []string   // requests as they were written
}

// watch returns the address at which the spy stands before a server.
func (s *spy) watch(t *testing.T, behind http.Handler) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, err := httputil.DumpRequest(r, true)
		if err != nil {
			return
		}
		if !strings.HasPrefix(r.UserAgent(), "vigate/") { // not a call of vigate's own
			s.mu.Lock()
			s.got = append(s.got, string(raw))
			s.mu.Unlock()
		}
		longest := ""
		for prefix := range s.answer {
			if strings.HasPrefix(r.URL.Path, prefix) && len(prefix) > len(longest) {
				longest = prefix
			}
		}
		if longest != "" {
			s.answer[longest](w, r)
			return
		}
		behind.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// seen returns the requests since the last call.
func (s *spy) seen() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	got := s.got
	s.got = nil
	return got
}

// fixed answers with a body and headers.
func fixed(status int, body string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Add(header[i], header[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// tokenOf returns the token of a client's session.
func (s *scene) tokenOf(c *govmomi.Client) string {
	s.t.Helper()
	u, err := url.Parse(s.front.URL + "/sdk")
	s.must(err)
	return strings.Trim(c.Jar.Cookies(u)[0].Value, `"`)
}

// send sends a request as it is written, and returns the answer. The connection is closed after it.
func (s *scene) send(request string) (*http.Response, string) {
	s.t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(s.front.URL, "http://"))
	s.must(err)
	defer c.Close()
	s.must(c.SetDeadline(time.Now().Add(time.Minute)))
	_, err = io.WriteString(c, request)
	s.must(err)
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	s.must(err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	s.must(err)
	s.mu.Lock()
	fmt.Fprintln(&s.got, res.Header)
	s.got.Write(b)
	s.mu.Unlock()
	return res, string(b)
}

// ask sends a request with the headers.
func (s *scene) ask(method, target, body string, header ...string) (*http.Response, string) {
	s.t.Helper()
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nContent-Length: %d\r\n", method, target,
		strings.TrimPrefix(s.front.URL, "http://"), len(body))
	for i := 0; i < len(header); i += 2 {
		fmt.Fprintf(&b, "%s: %s\r\n", header[i], header[i+1])
	}
	fmt.Fprintf(&b, "\r\n%s", body)
	return s.send(b.String())
}

func soapOf(header, call string) string {
	return `<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Header>` + header +
		`</e:Header><e:Body>` + call + `</e:Body></e:Envelope>`
}

const pbmCall = `<PbmRetrieveServiceContent xmlns="urn:pbm"><_this type="PbmServiceInstance">ServiceInstance</_this>` +
	`</PbmRetrieveServiceContent>`

func TestServicesBesideTheSDKKnowASessionByTheSOAPHeaderAlone(t *testing.T) {
	spy := &spy{}
	s := stage(t, spy)
	token := s.tokenOf(s.login())
	cookie := "<vcSessionCookie>" + token + "</vcSessionCookie>"
	for _, kind := range []string{
		"text/xml; charset=utf-8", "application/soap+xml", "application/xml", "text/plain", "application/octet-stream",
		"",
	} {
		spy.seen()
		res, body := s.ask("POST", "/pbm", soapOf(cookie, pbmCall), "Content-Type", kind)
		if res.StatusCode != 200 || !strings.Contains(body, "PbmRetrieveServiceContentResponse") {
			t.Errorf("%q: %s %s", kind, res.Status, body)
		}
		for _, got := range spy.seen() {
			if strings.Contains(got, token) {
				t.Errorf("%q: the upstream got the token:\n%s", kind, got)
			}
		}
	}
	if res, body := s.ask("POST", "/pbm", soapOf("", pbmCall), "Content-Type", "text/xml"); !strings.Contains(body,
		"NotAuthenticated") {
		t.Errorf("without a session: %s %s", res.Status, body)
	}
}

// A careless server may read as a message what is none for others, or what is said to be something else.
func TestTheTokenReachesNoServiceBesideTheSDK(t *testing.T) {
	spy := &spy{answer: map[string]http.HandlerFunc{
		"/pbm": fixed(200, ""), "/vslm": fixed(200, ""), "/api/x": fixed(200, "{}", "Content-Type", "application/json"),
		"/lookupservice": fixed(200, ""), "/sts": fixed(200, ""), "/eam": fixed(200, ""),
	}}
	s := stage(t, spy)
	token := s.tokenOf(s.login())
	cookie := "<vcSessionCookie>" + token + "</vcSessionCookie>"
	spy.seen()
	broken := map[string]string{
		"cut":            soapOf(cookie, pbmCall)[:200],
		"two operations": soapOf(cookie, pbmCall+pbmCall),
		"two cookies":    soapOf(cookie+cookie, pbmCall),
		"a document type": `<!DOCTYPE a [<!ENTITY t "` + token + `">]>` +
			soapOf("<vcSessionCookie>&t;</vcSessionCookie>", pbmCall),
		"no envelope":     "<a>" + cookie + "</a>",
		"UTF-16":          "\xfe\xff\x00<\x00a" + cookie,
		"no _this":        soapOf(cookie, "<x/>"),
		"a mark":          "\xef\xbb\xbf" + soapOf(cookie, pbmCall+pbmCall),
		"in a name":       soapOf("<x>"+token+"</x>", pbmCall),
		"a form":          "token=" + token,
		"JSON":            `{"session":"` + token + `"}`,
		"JSON before XML": `{}` + soapOf(cookie, pbmCall),
	}
	kinds := []string{"text/xml", "application/xml", "application/json", "application/octet-stream", ""}
	for name, body := range broken {
		for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "GET"} {
			for _, kind := range kinds {
				for _, at := range []string{"/pbm", "/vslm/sdk", "/eam//sdk"} {
					_, _ = s.ask(method, at, body, "Content-Type", kind, "Cookie", "vmware_soap_session="+token)
				}
			}
		}
		for _, at := range []string{"/lookupservice/sdk", "/api/x"} {
			_, _ = s.ask("POST", at, body, "Content-Type", "text/xml", "Cookie", "vmware_soap_session="+token)
		}
		for _, got := range spy.seen() {
			if strings.Contains(got, token) || strings.Contains(strings.ReplaceAll(got, "\x00", ""), token) {
				t.Errorf("%s: the upstream got\n%s", name, got)
			}
		}
	}
	for _, target := range []string{
		"/folder/x?dcPath=" + token, "/folder/" + token,
		"/api/x?a=1&%74oken=%" + fmt.Sprintf("%x", token[0]) + token[1:], "/sts/STSService?t=" + token,
	} {
		_, _ = s.ask("GET", target, "", "Cookie", "vmware_soap_session="+token, "X-Token", token, "Referer",
			s.front.URL+"/?"+token, "Connection", "X-Token, Cookie")
		for _, got := range spy.seen() {
			if strings.Contains(got, token) || strings.Contains(got, token[1:]) {
				t.Errorf("%s: the upstream got\n%s", target, got)
			}
		}
	}
}

// The upstream's own VI JSON names the object and the operation in the path, so a call there would pass unread.
func TestVIJSONOfTheUpstreamIsOutOfReach(t *testing.T) {
	spy := &spy{answer: map[string]http.HandlerFunc{
		"/sdk/": fixed(200, `"cst-VCT-upstream"`, "Content-Type", "application/json"),
	}}
	s := stage(t, spy)
	token := s.tokenOf(s.login())
	spy.seen()
	call := soapOf("", `<CurrentTime xmlns="urn:vim25"><_this type="ServiceInstance">ServiceInstance</_this>`+
		`</CurrentTime>`)
	for _, at := range []string{
		"/sdk//vim25/8.0.1.0/SessionManager/SessionManager/AcquireCloneTicket",
		"/sdk/./vim25/8.0.1.0/SessionManager/SessionManager/AcquireCloneTicket", "/sdk/x/../vim25/8.0.1.0/a/b/c",
		"/sdk/%76im25/8.0.1.0/a/b/c", "/sdk/vim25%2F8.0.1.0%2Fa%2Fb%2Fc", "/sdk/vim25;x/8.0.1.0/a/b/c",
		"/sdk/pbm/1/a/b/c",
		"//sdk/vim25/8.0.1.0/a/b/c", "/SDK/vim25/8.0.1.0/a/b/c", "/sdk%2Fvim25/8.0.1.0/a/b/c",
		"http://elsewhere.example/sdk//vim25/8.0.1.0/a/b/c",
	} {
		for _, kind := range []string{"text/xml", "application/json"} {
			res, body := s.ask("POST", at, call, "Content-Type", kind, "Cookie", "vmware_soap_session="+token)
			if got := spy.seen(); len(got) > 0 || strings.Contains(body, "cst-VCT") {
				t.Errorf("%s: %s %s, the upstream got %q", at, res.Status, body, got)
			}
		}
	}
	for _, at := range []string{
		"/sdk", "/sdk/", "/sdk/vimService", "/sdk/webService", "//sdk", "http://elsewhere.example/sdk",
	} {
		res, body := s.ask("POST", at, call, "Content-Type", "text/xml", "Cookie", "vmware_soap_session="+token)
		if got := spy.seen(); len(got) != 1 || res.StatusCode != 200 {
			t.Errorf("%s: %s %s, the upstream got %q", at, res.Status, body, got)
		}
	}
}

func TestTokensOfTheUpstreamsIdentityAreOutOfReach(t *testing.T) {
	spy := &spy{answer: map[string]http.HandlerFunc{"/api": fixed(200, `{"jsonrpc":"2.0"}`), "/rest": fixed(200, `{}`)}}
	s := stage(t, spy)
	token := s.tokenOf(s.login())
	spy.seen()
	for _, at := range []string{
		"/api/vcenter/tokenservice/token-exchange", "/api/vcenter/authentication/token",
		"/api/vcenter/%61uthentication/token", "/api/x/..//vcenter/authentication/token",
		"/api/vcenter/authentication;a=b/token", "/api/vcenter/AUTHENTICATION/token",
		"/api/vcenter%2fauthentication%2ftoken", "/api/vcenter%252fauthentication/token",
		"/rest/vcenter/authentication/token",
		"/rest/com/vmware/vcenter/tokenservice/token-exchange", "/sso-adminserver/sdk", "/websso/SAML2/SSO/x", "/ui",
		"/%73so-adminserver/sdk", "/invsvc", "/mob", "/folder/..%2fsso-adminserver", "/api/..%5csso-adminserver",
	} {
		res, _ := s.ask("POST", at, "{}", "Content-Type", "application/json", "Vmware-Api-Session-Id", token)
		if got := spy.seen(); len(got) > 0 || res.StatusCode < 400 {
			t.Errorf("%s: %s, the upstream got %q", at, res.Status, got)
		}
	}
	rpc := func(service string) string {
		return `{"jsonrpc":"2.0","id":"1","method":"invoke","params":{"serviceId":"` + service + `",` +
			`"operationId":"issue","ctx":{"securityCtx":{"schemeId":"com.vmware.vapi.std.security.session_id",` +
			`"sessionId":"` + token + `"}},"input":{"STRUCTURE":{"operation-input":{}}}}}`
	}
	for _, service := range []string{
		"com.vmware.vcenter.authentication.token", "com.vmware.vcenter.tokenservice.token_exchange",
		"Com.VMware.vCenter.Authentication.Token", " com.vmware.vcenter.authentication.token", "com.vmware.cis.session",
		"com.vmware.vcenter.\\u0061uthentication.token",
	} {
		for _, at := range []string{"/api", "/api/", "//api", "/%61pi"} {
			_, body := s.ask("POST", at, rpc(service), "Content-Type", "application/json")
			if got := spy.seen(); len(got) > 0 {
				t.Errorf("%s at %s: %s, the upstream got %q", service, at, body, got)
			}
		}
	}
	if _, body := s.ask("POST", "/api", rpc("com.vmware.vcenter.authenticationx")); len(spy.seen()) == 0 {
		t.Errorf("another service: %s", body)
	}
}

func TestOnlyAWebSocketSwitchesProtocols(t *testing.T) {
	switched := func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "" {
			return
		}
		fixed(http.StatusSwitchingProtocols, "", "Connection", "Upgrade", "Upgrade", r.Header.Get("Upgrade"))(w, r)
	}
	spy := &spy{answer: map[string]http.HandlerFunc{}}
	for _, p := range []string{"/api/x", "/folder", "/pbm", "/ticket", "/sts", "/lookupservice"} {
		spy.answer[p] = switched
	}
	s := stage(t, spy)
	token := s.tokenOf(s.login())
	spy.seen()
	for _, c := range []struct{ at, protocol, more string }{
		{"/api/x", "websocket", ""}, {"/folder/x", "websocket", ""},
		{"/pbm", "h2c", "HTTP2-Settings: AAMAAABkAAQAAP__\r\n"},
		{"/ticket/x", "h2c", "HTTP2-Settings: AAMAAABkAAQAAP__\r\n"}, {"/ticket/x", "TLS/1.2", ""},
		{"/ticket/x", "websocket, h2c", ""}, {"/ticket/x", "websocket\r\nUpgrade: h2c", ""}, {"/sts/x", "h2c", ""},
		{"/lookupservice/sdk", "websocket", ""}, {"/ticket/x", "websocket", "Content-Length: 1\r\n"},
	} {
		res, _ := s.send("GET " + c.at + " HTTP/1.1\r\nHost: front\r\nConnection: Upgrade, HTTP2-Settings\r\n" +
			"Upgrade: " + c.protocol + "\r\n" + c.more + "Cookie: vmware_soap_session=" + token + "\r\n\r\nx")
		for _, got := range spy.seen() {
			if strings.Contains(got, "Upgrade:") || strings.Contains(strings.ToLower(got), "http2-settings") {
				t.Errorf("%s at %s: %s, the upstream got\n%s", c.protocol, c.at, res.Status, got)
			}
		}
		if res.StatusCode == http.StatusSwitchingProtocols {
			t.Errorf("%s at %s switches", c.protocol, c.at)
		}
	}
}

func TestHeadersOfTheConnectionAndOfProxiesDoNotPass(t *testing.T) {
	spy := &spy{answer: map[string]http.HandlerFunc{"/folder": fixed(200, ""), "/api/x": fixed(200, "")}}
	s := stage(t, spy)
	token := s.tokenOf(s.login())
	spy.seen()
	_, _ = s.send("GET /folder/x HTTP/1.1\r\nHost: elsewhere.example\r\nConnection: close, Cookie, X-Hop\r\n" +
		"X-Hop: 1\r\nX-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Host: 192.0.2.7\r\n" +
		"X-Forwarded-Client-Cert: 192.0.2.7\r\n" +
		"X-Real-IP: 192.0.2.7\r\nForwarded: for=192.0.2.7\r\nX-Original-URL: /192.0.2.7\r\n" +
		"X-Rewrite-Url: /192.0.2.7\r\nX-HTTP-Method-Override: 192.0.2.7\r\n" +
		"X_Forwarded_For: 192.0.2.7\r\nVia: 192.0.2.7\r\nTE: trailers\r\n" +
		"Authorization: Basic 192.0.2.7\r\nProxy-Authorization: Basic 192.0.2.7\r\nProxy-Connection: x\r\n" +
		"Vmware-Api-Session-Id: " + token + "\r\nExpect: 100-continue\r\n\r\n")
	got := spy.seen()
	if len(got) != 1 {
		t.Fatalf("the upstream got %q", got)
	}
	for _, bad := range []string{"192.0.2.7", "X-Hop", "elsewhere", "Te:", "Proxy", "Expect", token} {
		if strings.Contains(got[0], bad) {
			t.Errorf("the upstream got %s in\n%s", bad, got[0])
		}
	}
	if strings.Count(got[0], "Cookie:") != 1 {
		t.Errorf("the cookie of the upstream's session was removed:\n%s", got[0])
	}
	// Two framings: the server refuses the request, or ends the connection after it.
	_, _ = s.send("POST /folder/x HTTP/1.1\r\nHost: front\r\nVmware-Api-Session-Id: " + token + "\r\n" +
		"Connection: close\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" +
		"GET /api/x HTTP/1.1\r\nHost: front\r\n\r\n")
	for _, got := range spy.seen() {
		if strings.HasPrefix(got, "GET /api/x") {
			t.Errorf("a request was smuggled:\n%s", got)
		}
	}
}

// An answer 401 need not mean that the session is lost. A client must not make vigate log in by it.
func TestA401CostsNoLogin(t *testing.T) {
	spy := &spy{answer: map[string]http.HandlerFunc{"/api/x": fixed(401, "{}", "Content-Type", "application/json")}}
	s := stage(t, spy)
	token := s.tokenOf(s.login())
	if res, body := s.ask("GET", "/api/vcenter/vm", "", "Vmware-Api-Session-Id", token); res.StatusCode >= 500 {
		t.Fatalf("%s %s", res.Status, body)
	}
	before := s.up.State()
	for range 10 {
		res, body := s.ask("GET", "/api/x", "", "Vmware-Api-Session-Id", token)
		if res.StatusCode != 401 || body != "{}" {
			t.Errorf("%s %s", res.Status, body)
		}
	}
	if after := s.up.State(); after.Logins != before.Logins || after.Lost != before.Lost || before.Logins == 0 {
		t.Errorf("%d logins and %d losses before, then %d and %d", before.Logins, before.Lost, after.Logins, after.Lost)
	}
}

func TestAnswersOfOtherPathsBringNoCookiesWhereverTheyStand(t *testing.T) {
	spy := &spy{answer: map[string]http.HandlerFunc{"/api/x": func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h.Set("Set-Cookie", "early=1")
		w.WriteHeader(http.StatusEarlyHints)
		h["Set-Cookie"] = []string{"JSESSIONID=1"}
		h["Trailer"] = []string{"X-Late"}
		h["Alt-Svc"] = []string{`h3=":443"`}
		h["Location"] = []string{"http://elsewhere.example/?s=1"}
		_, _ = io.WriteString(w, "{}")
		h.Set("X-Late", "cookie=1")
		h.Set(http.TrailerPrefix+"Set-Cookie", "late=1")
	}}}
	s := stage(t, spy)
	token := s.tokenOf(s.login())
	c, err := net.Dial("tcp", strings.TrimPrefix(s.front.URL, "http://"))
	s.must(err)
	defer c.Close()
	_, err = fmt.Fprintf(c, "GET /api/x HTTP/1.1\r\nHost: front\r\nTE: trailers\r\nConnection: close\r\n"+
		"Vmware-Api-Session-Id: %s\r\n\r\n", token)
	s.must(err)
	all, err := io.ReadAll(c)
	s.must(err)
	for _, bad := range []string{"ookie", "103 ", "X-Late", "Alt-Svc", "early", "JSESSIONID"} {
		if strings.Contains(string(all), bad) {
			t.Errorf("the client got %s in\n%s", bad, all)
		}
	}
	if !strings.Contains(string(all), "Location: http://elsewhere.example/?s=1") {
		t.Errorf("the client got\n%s", all) // it is not followed here
	}
}
