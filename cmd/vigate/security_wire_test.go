package main

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/config"
)

// send sends a request and reads the whole response.
func (s *scene) send(req *http.Request) response {
	s.t.Helper()
	resp, err := s.c.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return response{resp.StatusCode, resp.Header, string(b)}
}

// post calls a method of the SessionManager with additional headers.
func (s *scene) post(base, method, body string, header http.Header) response {
	s.t.Helper()
	req, err := http.NewRequest("POST", base+"/sdk/vim25/8.0.1.0/"+sm+method, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	for name, values := range header {
		req.Header[name] = values
	}
	return s.send(req)
}

// A request names the types of data objects. Only types of the API are accepted, and only where the
// API declares a type that allows them.
func TestASVS_1_5_2_OnlyTypesOfTheAPIAreMade(t *testing.T) {
	t.Parallel()
	s := newScene(t, nil)
	for _, name := range []string{
		"os/exec.Cmd", "Cmd", "*int", "[1000000000]int", "[]string", "map[string]string", "func()", "interface {}",
		"struct {}",
		"UserSession", "Extension", "SessionManagerServiceRequestSpecification", "sessionmanagerhttpservicerequestspec",
		"", "ArrayOfString", "xsd:string",
	} {
		spec := fmt.Sprintf(`{"spec":{"_typeName":%q,"url":"/sdk"}}`, name)
		if got := s.fault(s.admin, sm+"AcquireGenericServiceTicket", spec); got != "InvalidRequest" {
			t.Errorf("%q as a spec: %s", name, got)
		}
		value := fmt.Sprintf(`{"changedValue":[{"_typeName":"OptionValue","key":"VirtualCenter.InstanceName",`+
			`"value":{"_typeName":%q,"_value":["x"]}}]}`, name)
		if got := s.fault(s.admin, optionPath+"UpdateOptions", value); got != "InvalidRequest" &&
			got != "InvalidArgument" {
			t.Errorf("%q as a value: %s", name, got)
		}
	}
}

func TestASVS_3_3_CookiesAreKeptFromScriptsAndOtherSites(t *testing.T) {
	t.Parallel()
	s := newScene(t, nil)
	body := loginBody(adminUser, adminPassword)
	for base, secure := range map[string]bool{s.tls: true, s.plain: false} {
		a := s.post(base, "Login", body, nil)
		all := a.header.Values("Set-Cookie")
		if len(all) != 1 || strings.Contains(all[0], "Secure") != secure ||
			!strings.Contains(all[0], "HttpOnly") || !strings.Contains(all[0], "Path=/") ||
			strings.Contains(all[0], "Domain") || len(all[0]) > 4096 {
			t.Errorf("%s: cookies %q", base, all)
		}
	}
	// The API's cookie has no SameSite attribute, so the server checks the origin instead.
	cookie := `vmware_soap_session="` + s.admin + `"`
	for what, h := range map[string]http.Header{
		"another site":     {"Cookie": {cookie}, "Sec-Fetch-Site": {"cross-site"}},
		"a sibling":        {"Cookie": {cookie}, "Sec-Fetch-Site": {"same-site"}},
		"an older browser": {"Cookie": {cookie}, "Origin": {"https://evil.example"}},
		"a sandboxed page": {"Cookie": {cookie}, "Origin": {"null"}},
	} {
		if a := s.post(s.tls, "UpdateServiceMessage", `{"message":"from elsewhere"}`,
			h); a.member("_typeName") != "NoPermission" {
			t.Errorf("%s: %d %s", what, a.status, a.body)
		}
		if a := s.post(s.tls, "Login", body, h); a.status == 200 || a.header.Get("Set-Cookie") != "" {
			t.Errorf("%s plants a session: %d", what, a.status)
		}
	}
	if got := s.must(s.admin, sm+"message", "GET").text(); got != "" {
		t.Errorf("the message is %q", got)
	}
	if a := s.post(s.tls, "UpdateServiceMessage", `{"message":"from here"}`,
		http.Header{"Cookie": {cookie}, "Sec-Fetch-Site": {"same-origin"}}); a.status != 204 {
		t.Errorf("its own page: %d %s", a.status, a.body)
	}
	// No other origin is allowed to send the header or to read the response.
	a := s.post(s.tls, "Login", body,
		http.Header{"Origin": {"https://evil.example"}, "Access-Control-Request-Headers": {"vmware-api-session-id"}})
	for name := range a.header {
		if strings.HasPrefix(name, "Access-Control-") {
			t.Errorf("header %s", name)
		}
	}
}

// address logs in with the header and returns the address that the session has.
func (s *scene) address(h http.Header) string {
	s.t.Helper()
	a := s.post(s.plain, "Login", loginBody(adminUser, adminPassword), h)
	if a.status != 200 {
		s.t.Fatalf("login: %d %s", a.status, a.body)
	}
	return a.member("ipAddress")
}

func TestASVS_4_1_3_And_15_3_4_ForwardedHeadersAreBelievedFromConfiguredProxiesOnly(t *testing.T) {
	t.Parallel()
	claims := []http.Header{
		{"X-Forwarded-For": {"192.0.2.66"}}, {"X-Real-Ip": {"192.0.2.66"}}, {"Forwarded": {"for=192.0.2.66"}},
		{"True-Client-Ip": {"192.0.2.66"}},
	}
	s := newScene(t, func(c *config.Config) { c.LocalTickets = config.LocalTicketsLoopback })
	for _, h := range claims {
		if got := s.address(h); got != "127.0.0.1" {
			t.Errorf("%v without a proxy: %s", h, got)
		}
	}
	// A client that guesses passwords can't get a new address for each guess.
	s.user("ann", "a good long password", roleReadOnly)
	for i := range 5 {
		s.post(s.plain, "Login", loginBody("ann", "wrong"),
			http.Header{"X-Forwarded-For": {fmt.Sprintf("192.0.2.%d", i+1)}})
	}
	if got := s.fault("", sm+"Login", loginBody("ann", "a good long password")); got != "InvalidLogin" {
		t.Errorf("after five guesses: %s", got)
	}
	// A relay on the same machine does not count as a local caller.
	for _, h := range claims[:3] {
		if a := s.post(s.plain, "AcquireLocalTicket", `{"userName":"root"}`,
			h); a.member("_typeName") != "InvalidRequest" {
			t.Errorf("%v: %s", h, a.body)
		}
	}

	s = newScene(t, func(c *config.Config) {
		c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
		c.LocalTickets = config.LocalTicketsLoopback
	})
	for forwarded, want := range map[string]string{
		"192.0.2.1": "192.0.2.1", "198.51.100.9, 192.0.2.1": "192.0.2.1", "192.0.2.1, 127.0.0.1": "192.0.2.1",
		"not an address": "127.0.0.1",
	} {
		if got := s.address(http.Header{"X-Forwarded-For": {forwarded}, "X-Real-Ip": {"203.0.113.5"}}); got != want {
			t.Errorf("%q: %s, want %s", forwarded, got, want)
		}
	}
	if a := s.post(s.plain, "AcquireLocalTicket", `{"userName":"root"}`,
		http.Header{"X-Forwarded-For": {"127.0.0.1"}}); a.member("_typeName") != "InvalidRequest" {
		t.Errorf("local by a header: %s", a.body)
	}
}

// sendRaw sends the bytes unchanged and returns everything that the server sends until it closes
// the connection. It fails the test if the server keeps the connection open.
func (s *scene) sendRaw(raw string) string {
	s.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.plain, "http://"))
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(conn, raw); err != nil {
		s.t.Fatal(err)
	}
	b, err := io.ReadAll(bufio.NewReader(conn))
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		s.t.Errorf("the connection stays open after %q", raw[:min(len(raw), 200)])
	}
	return string(b)
}

// A proxy and the server must agree on where a request ends. Each of these inputs could be read as
// one request or as two, of which the second is a logout.
func TestASVS_4_2_1_NoRequestIsSmuggledBehindAnother(t *testing.T) {
	t.Parallel()
	s := newScene(t, nil)
	logout := "POST /sdk/vim25/8.0.1.0/" + sm + "Logout HTTP/1.1\r\nHost: localhost\r\nvmware-api-session-id: " +
		s.admin + "\r\nContent-Length: 0\r\n\r\n"
	request := "POST /sdk/vim25/8.0.1.0/" + sm + "AcquireCloneTicket HTTP/1.1\r\nHost: localhost\r\n"
	n := fmt.Sprint(len(logout))
	for what, raw := range map[string]string{
		"both lengths": request + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" +
			logout,
		"both lengths, other order": request + "Transfer-Encoding: chunked\r\nContent-Length: " + n +
			"\r\n\r\n0\r\n\r\n" + logout,
		"two lengths":       request + "Content-Length: 0\r\nContent-Length: " + n + "\r\n\r\n" + logout,
		"a list of lengths": request + "Content-Length: 0, " + n + "\r\n\r\n" + logout,
		"a signed length":   request + "Content-Length: +0\r\n\r\n" + logout,
		"a length in hex":   request + "Content-Length: 0x0\r\n\r\n" + logout,
		"an unknown coding": request + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + logout,
		"two codings":       request + "Transfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n" + logout,
		"a coding twice": request + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n" +
			"\r\n" + logout,
		"a space before the colon": request + "Content-Length : 0\r\n\r\n" + logout,
		"a folded coding": request + "Content-Length: " + n + "\r\nTransfer-Encoding:\r\n chunked\r\n\r\n" +
			"0\r\n\r\n" + logout,
		"a chunk's bad length": request + "Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n" + logout,
		"HTTP/1.0 and chunked": strings.Replace(request, "1.1", "1.0", 1) + "Transfer-Encoding: chunked\r\n\r\n0\r\n" +
			"\r\n" + logout,
		"HTTP/0.9":              "GET /\r\n\r\n" + logout,
		"a bare CR in a header": request + "X: a\rContent-Length: 0\r\n\r\n" + logout,
	} {
		got := s.sendRaw(raw)
		if strings.Count(got, "HTTP/1.") > 1 || strings.Contains(got, " 204 ") {
			t.Errorf("%s: answered\n%s", what, got)
		}
		if !s.lives(s.admin) {
			t.Fatalf("%s: the hidden request was run", what)
		}
	}
}

func TestASVS_4_2_5_OverlongHeadersAndTargetsAreRefused(t *testing.T) {
	t.Parallel()
	s := newScene(t, nil)
	for what, raw := range map[string]string{
		"target": "GET /sdk/vim25/8.0.1.0/" + strings.Repeat("a", 100<<10) + " HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"header": "GET /sdk/vim25/8.0.1.0/" + sm + "message HTTP/1.1\r\nHost: localhost\r\nX: " +
			strings.Repeat("a", 100<<10) + "\r\n\r\n",
	} {
		if got := s.sendRaw(raw); !strings.HasPrefix(got, "HTTP/1.1 431 ") {
			t.Errorf("%s: %.80q", what, got)
		}
	}
}

func TestASVS_8_3_2_AChangeOfAuthorityHoldsForTheNextRequest(t *testing.T) {
	t.Parallel()
	s := newScene(t, nil)
	s.user("ann", "a good long password", roleReadOnly)
	token, _ := s.loginAs("ann", "a good long password")
	clone, _ := s.clone(token)
	may := func() bool {
		t.Helper()
		a, b := s.call(token, sm+"sessionList", "GET"), s.call(clone, sm+"sessionList", "GET")
		if a.status != b.status {
			t.Errorf("the session has %d, its clone %d", a.status, b.status)
		}
		return a.status == 200
	}
	role := s.role("Watcher", "Sessions.TerminateSession")
	if may() {
		t.Error("before it was granted")
	}
	s.permit("ann", role)
	if !may() {
		t.Error("not after it was granted")
	}
	s.must(s.admin, authorityPath+"UpdateAuthorizationRole",
		fmt.Sprintf(`{"roleId":%d,"newName":"Watcher","privIds":[]}`, role))
	if may() {
		t.Error("after the role lost it")
	}
	s.permit("ann", roleAdmin)
	if !may() {
		t.Error("not as an administrator")
	}
	s.must(s.admin, authorityPath+"RemoveEntityPermission",
		fmt.Sprintf(`{"entity":%s,"user":"ann","isGroup":false}`, rootFolderJSON))
	if may() {
		t.Error("after the permission was removed")
	}
}

// A session that impersonates a user has the user's authority and none of its own.
func TestASVS_8_3_3_WhoActsForAnotherHasTheOthersAuthorityOnly(t *testing.T) {
	t.Parallel()
	s := newScene(t, nil)
	s.user("ann", "a good long password", roleReadOnly)
	s.user("service", "a good long password", s.role("Broker", "Sessions.ImpersonateUser", "Sessions.TerminateSession"))
	ann, _ := s.loginAs("ann", "a good long password")
	broker, _ := s.loginAs("service", "a good long password")
	s.must(broker, sm+"sessionList", "GET")
	s.must(broker, sm+"ImpersonateUser", `{"userName":"ann"}`)
	clone, _ := s.clone(broker)
	for what, token := range map[string]string{"the session": broker, "its clone": clone} {
		for path, body := range map[string]string{sm + "sessionList": "GET", sm + "ImpersonateUser": `{"userName":"` +
			adminUser + `"}`} {
			if got := s.fault(token, path, body); got != "NoPermission" {
				t.Errorf("%s, %s: %s", what, path, got)
			}
		}
		// Impersonation does not allow the takeover of the user's account.
		if got := s.fault(token, accountPath+"UpdateUser",
			`{"user":{"_typeName":"HostAccountSpec","id":"ann","password":"taken over by `+
				`it"}}`); got != "NoPermission" {
			t.Errorf("%s sets the user's password: %s", what, got)
		}
	}
	// A service ticket has the authority of the user who acquired it, no matter who sends it.
	ticket := s.must(ann, sm+"AcquireGenericServiceTicket",
		`{"spec":{"_typeName":"SessionManagerHttpServiceRequestSpec",`+
			`"url":"/sdk/vim25/8.0.1.0/SessionManager/SessionManager/sessionList"}}`).member("id")
	if a := s.get("sessionList", "Cookie", "vmware_cgi_ticket="+ticket); a.member("_typeName") != "NoPermission" {
		t.Errorf("by a ticket: %d %s", a.status, a.body)
	}
}

func TestASVS_12_1_1_NothingBelowTLS12IsSpoken(t *testing.T) {
	t.Parallel()
	r := start(t, t.TempDir(), nil)
	dial := func(version uint16) error {
		conn, err := tls.Dial("tcp", strings.TrimPrefix(r.tls, "https://"),
			&tls.Config{InsecureSkipVerify: true, MinVersion: version, MaxVersion: version})
		if err != nil {
			return err
		}
		if got := conn.ConnectionState().Version; got != version {
			t.Errorf("asked for %x, got %x", version, got)
		}
		return conn.Close()
	}
	for _, version := range []uint16{tls.VersionTLS10, tls.VersionTLS11} {
		if err := dial(version); err == nil {
			t.Errorf("%s is spoken", tls.VersionName(version))
		}
	}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		if err := dial(version); err != nil {
			t.Errorf("%s: %v", tls.VersionName(version), err)
		}
	}
	conn, err := tls.Dial("tcp", strings.TrimPrefix(r.tls, "https://"), &tls.Config{
		InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12,
		CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, tls.TLS_RSA_WITH_AES_128_GCM_SHA256},
	})
	if err == nil {
		_ = conn.Close()
		t.Error("a suite without authenticated encryption or forward secrecy is spoken")
	}
}
