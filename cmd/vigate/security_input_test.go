package main

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/vigate/vigate/internal/config"
)

// usage is the resources that a process holds.
type usage struct {
	goroutines int
	heap       uint64 // bytes in use after a garbage collection
}

func measure() usage {
	runtime.GC()
	runtime.GC() // frees what the first collection released through finalizers
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return usage{runtime.NumGoroutine(), m.HeapAlloc}
}

// waitForRelease waits until the process holds hardly more than before.
func waitForRelease(t *testing.T, c *http.Client, before usage) {
	t.Helper()
	const moreHeap, moreGoroutines = 16 << 20, 10
	var now usage
	defer func() {
		t.Logf("goroutines %d, then %d; heap %d, then %d", before.goroutines, now.goroutines, before.heap, now.heap)
	}()
	eventually(t, "memory and goroutines are back", func() bool {
		c.CloseIdleConnections()
		now = measure()
		return now.goroutines <= before.goroutines+moreGoroutines && now.heap <= before.heap+moreHeap
	})
}

// bad is a request that must be refused, with the expected refusal. An empty kind means a response
// that is not a fault of the API.
type bad struct {
	what, verb, path, body string
	header                 http.Header
	status                 int
	kind                   string
}

// deep returns JSON that is nested n levels deep.
func deep(n int, open, inner, end string) string {
	return strings.Repeat(open, n) + inner + strings.Repeat(end, n)
}

func badBodies() []bad {
	login := func(what, body, kind string) bad {
		return bad{what, "POST", sm + "Login", body, nil, 500, kind}
	}
	number := func(what, digits, kind string) bad {
		return bad{what, "POST", authorityPath + "UpdateAuthorizationRole", `{"roleId":` + digits + `,"newName":"x"}`,
			nil, 500, kind}
	}
	spec := func(what, text string) bad {
		return bad{what, "POST", sm + "AcquireGenericServiceTicket", `{"spec":` + text + `}`, nil, 500,
			"InvalidRequest"}
	}
	return []bad{
		login("not JSON", "hello", "InvalidRequest"),
		login("half of it", `{"userName":"a","pass`, "InvalidRequest"),
		login("two values", `{"userName":"a","password":"b"}{}`, "InvalidRequest"),
		login("a list", `[]`, "InvalidRequest"),
		login("null", `null`, "InvalidRequest"),
		login("XML", `<Login xmlns="urn:vim25"/>`, "InvalidRequest"),
		login("a byte order mark", "\ufeff{}", "InvalidRequest"),
		login("UTF-16", "{\x00}\x00", "InvalidRequest"),
		login("a byte that is not UTF-8", "{\"userName\":\"\xff\",\"password\":\"b\"}", "InvalidRequest"),
		login("an overlong encoding", "{\"userName\":\"\xc0\xaf\",\"password\":\"b\"}", "InvalidRequest"),
		login("half a surrogate pair", `{"userName":"\ud800","password":"b"}`, "InvalidRequest"),
		login("a raw control character", "{\"userName\":\"a\x01\",\"password\":\"b\"}", "InvalidRequest"),
		login("a repeated key", `{"userName":"a","userName":"b","password":"c"}`, "InvalidRequest"),
		login("a repeated key, escaped", `{"userName":"a","user\u004eame":"b","password":"c"}`, "InvalidRequest"),
		login("an unknown field", `{"userName":"a","password":"b","admin":true}`, "InvalidRequest"),
		login("a field in another case", `{"username":"a","password":"b"}`, "InvalidRequest"),
		login("another type", `{"userName":["a"],"password":"b"}`, "InvalidRequest"),
		login("another method's name", `{"_typeName":"Logout","userName":"a","password":"b"}`, "InvalidRequest"),
		login("a missing field", `{"userName":"a"}`, "InvalidArgument"),
		login("depth 100,000, lists", deep(100_000, "[", "", "]"), "InvalidRequest"),
		login("depth 100,000, objects", deep(100_000, `{"a":`, "1", "}"), "InvalidRequest"),
		login("depth 100,000, never closed", deep(50_000, `{"a":[`, "", ""), "InvalidRequest"),
		login("150,000 fields", "{"+strings.Repeat(`"a":1,`, 150_000)+`"b":1}`, "InvalidRequest"),
		number("a number too large", "99999999999999999999999999", "InvalidRequest"),
		number("a number larger than any", "1e400", "InvalidRequest"),
		number("a million digits", strings.Repeat("9", 1_000_000), "InvalidRequest"),
		number("a broken number", "1.5", "InvalidRequest"),
		number("one past 32 bits", "2147483648", "InvalidRequest"),
		number("not a number", "NaN", "InvalidRequest"),
		number("a leading zero", "01", "InvalidRequest"),
		number("a number in quotes", `"1"`, "InvalidRequest"),
		spec("an unknown type", `{"_typeName":"NoSuchSpec"}`),
		spec("a type that would be a huge array", `{"_typeName":"[1000000000]int"}`),
		spec("a type of a type", `{"_typeName":"ArrayOfArrayOfString"}`),
		spec("a type of another kind", `{"_typeName":"UserSession"}`),
		spec("no type where one is needed", `{"url":"/sdk"}`),
		spec("a type that is not text", `{"_typeName":7}`),
		spec("a type twice",
			`{"_typeName":"SessionManagerHttpServiceRequestSpec","_typeName":"SessionManagerVmomiServiceRequestSpec",`+
				`"method":"cloneSession"}`),
	}
}

func badRequests() []bad {
	h := func(name, value string) http.Header { return http.Header{name: {value}} }
	const body = `{"userName":"a","password":"b"}`
	at := func(what, verb, path string, status int, kind string) bad {
		return bad{what, verb, path, "{}", nil, status, kind}
	}
	return []bad{
		{"a form", "POST", sm + "Login", "userName=a", h("Content-Type", "application/x-www-form-urlencoded"), 500,
			"InvalidRequest"},
		{"text", "POST", sm + "Login", body, h("Content-Type", "text/plain"), 500, "InvalidRequest"},
		{"XML's type", "POST", sm + "Login", body, h("Content-Type", "text/xml"), 500, "InvalidRequest"},
		{"another character set", "POST", sm + "Login", body, h("Content-Type", "application/json; charset=utf-7"), 500,
			"InvalidRequest"},
		{"a broken type", "POST", sm + "Login", body, h("Content-Type", ";;;"), 500, "InvalidRequest"},
		{"compressed", "POST", sm + "Login", string(squeeze(1 << 20)), http.Header{"Content-Encoding": {"gzip"}}, 500,
			"InvalidRequest"},
		at("an unknown method", "POST", sm+"Steal", 500, "MethodNotFound"),
		at("an unknown property", "GET", sm+"secret", 500, "InvalidProperty"),
		at("a method of Go", "POST", sm+"ServeHTTP", 500, "MethodNotFound"),
		at("an unknown object", "GET", "SessionManager/other/currentSession", 500, "ManagedObjectNotFound"),
		at("an unknown object's method", "POST", "SessionManager/other/Logout", 500, "ManagedObjectNotFound"),
		at("an unknown type", "GET", "VirtualMachine/vm-1/name", 500, "InvalidType"),
		at("a type that would be a huge array", "GET", "[1000000000]int/x/y", 500, "InvalidType"),
		at("a way out of the path", "GET", "..%2f..%2fetc/passwd/x", 500, "InvalidType"),
		at("too short a path", "GET", "SessionManager", 500, "InvalidRequest"),
		at("too long a path", "GET", sm+"a/b", 500, "InvalidRequest"),
		at("a NUL in the path", "GET", "SessionManager/SessionManager/%00", 500, "InvalidRequest"),
		at("a byte in the path that is not UTF-8", "GET", "SessionManager/SessionManager/%ff", 500, "InvalidRequest"),
		at("a long name", "GET", sm+strings.Repeat("a", 5000), 500, "InvalidRequest"),
		at("GET of a method", "GET", sm+"Login", 405, "InvalidRequest"),
		at("POST of a property", "POST", sm+"currentSession", 405, "InvalidRequest"),
		at("PUT", "PUT", sm+"Login", 405, "InvalidRequest"),
		at("DELETE", "DELETE", sm+"Logout", 405, "InvalidRequest"),
	}
}

func badReleases() []bad {
	var all []bad
	for _, release := range []string{"7.0.3.0", "8.0.0.0", "8.0.1", "8.0.1.0.0", "v8.0.1.0", "08.0.1.0", "8.0.-1.0",
		"99999999999999999999.0.0.0", "latest", "8.0.1.0%20"} {
		all = append(all, bad{"release " + release, "GET", "../" + release + "/" + sm + "currentSession", "", nil, 500,
			"InvalidRequest"})
	}
	return all
}

func (s *scene) try(base string, x bad) {
	s.t.Helper()
	path := base + "/sdk/vim25/8.0.1.0/" + x.path
	if rest, ok := strings.CutPrefix(x.path, "../"); ok {
		path = base + "/sdk/vim25/" + rest
	}
	var body io.Reader
	if x.verb != "GET" {
		body = strings.NewReader(x.body)
	}
	req, err := http.NewRequest(x.verb, path, body)
	if err != nil {
		s.t.Fatal(err)
	}
	for name, values := range x.header {
		req.Header[name] = values
	}
	req.Header.Set("vmware-api-session-id", s.admin)
	if strings.HasPrefix(x.path, sm+"Login") {
		req.Header.Del("vmware-api-session-id") // a login with a live session has another result
	}
	a := s.send(req)
	if a.status != x.status || x.kind != "" && a.member("_typeName") != x.kind ||
		a.header.Get("vmware-api-session-id") != "" {
		s.t.Errorf("%s: %d %.300s, want %d %s", x.what, a.status, a.body, x.status, x.kind)
	}
	if x.status == 405 && a.header.Get("Allow") == "" {
		s.t.Errorf("%s: no Allow", x.what)
	}
	if len(a.body) > 4<<10 {
		s.t.Errorf("%s: the response has %d bytes", x.what, len(a.body))
	}
}

// Bad input is refused with its fault or status. The process survives, and it releases the memory
// that the input took.
func TestBadRequestsGetTheirFaultsAndLeaveNothingBehind(t *testing.T) {
	s := newScene(t, nil)
	all := append(append(badBodies(), badRequests()...), badReleases()...)
	round := func() {
		for _, base := range []string{s.plain, s.tls} {
			for _, x := range all {
				s.try(base, x)
			}
		}
	}
	round() // the first round allocates what is allocated only once
	s.c.CloseIdleConnections()
	before := measure()
	for range 2 {
		round()
	}
	if !s.lives(s.admin) || s.Sessions.Size() != 1 {
		t.Errorf("%d sessions", s.Sessions.Size())
	}
	waitForRelease(t, s.c, before)
	for l := range strings.Lines(s.log.String()) {
		if strings.Contains(l, "panic") {
			t.Errorf("logged: %s", l)
		}
	}
}

// Failed logins are counted by the user name. The memory for a counter must not grow with the
// length of the name.
func TestLongNamesOfFailedLoginsAreNotKept(t *testing.T) {
	s := newScene(t, func(c *config.Config) { c.Lockout.AddressFailures = 1_000_000 })
	long := strings.Repeat("a", 1<<20-500)
	fail := func(i int) {
		if got := s.fault("", sm+"Login", loginBody(fmt.Sprint(i, long), "wrong")); got != "InvalidLogin" {
			t.Errorf("%s", got)
		}
	}
	fail(0)
	s.c.CloseIdleConnections()
	before := measure()
	for i := range 16 {
		fail(i)
	}
	waitForRelease(t, s.c, before)
}

// endless is a JSON string of n bytes that has no end.
type endless struct {
	left int64
	read atomic.Int64
}

func (e *endless) Read(p []byte) (int, error) {
	if e.left <= 0 {
		return 0, io.EOF
	}
	n := int(min(int64(len(p)), e.left))
	for i := range p[:n] {
		p[i] = 'a'
	}
	if e.read.Load() == 0 {
		p[0] = '"'
	}
	e.left -= int64(n)
	e.read.Add(int64(n))
	return n, nil
}

// A body is read up to its limit and no further, whether or not its length was declared: 1 MiB of
// JSON, 8 MiB of XML.
func TestABodyOfAGigabyteIsCutOffAtItsLimit(t *testing.T) {
	s := newScene(t, nil)
	send := func(base, path string, length int64) {
		t.Helper()
		want := 413
		if path == "/sdk" {
			want = 500 // SOAP has no other status for a fault
		}
		body := &endless{left: 1 << 30}
		req, err := http.NewRequest("POST", base+path, io.NopCloser(body))
		if err != nil {
			t.Fatal(err)
		}
		req.ContentLength = length
		resp, err := s.c.Do(req)
		// Buffers between client and server hold a few MiB.
		if n := body.read.Load(); n > 32<<20 {
			t.Errorf("%s: %d bytes were taken", base+path, n)
		}
		if err != nil {
			// The client may notice the closed connection before it has read the response. The next
			// request shows whether the server is alive.
			var op *net.OpError
			if !errors.As(err, &op) && !strings.Contains(err.Error(), "closed") &&
				!strings.Contains(err.Error(), "reset") {
				t.Errorf("%s: %v", base+path, err)
			}
			return
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		if resp.StatusCode != want {
			t.Errorf("%s: %d %.200s", base+path, resp.StatusCode, b)
		}
	}
	all := func() {
		for _, base := range []string{s.plain, s.tls} {
			for _, length := range []int64{-1, 1 << 30} {
				send(base, "/sdk/vim25/8.0.1.0/"+sm+"Login", length)
				send(base, "/api/vcenter/system?action=hello", length)
				send(base, "/api/session", length)
				send(base, "/sdk", length)
			}
		}
	}
	all()
	before := measure()
	all()
	if !s.lives(s.admin) {
		t.Error("the session is lost")
	}
	waitForRelease(t, s.c, before)
	// A body just within the limit is read and then refused because of its content.
	if got := s.fault("", sm+"Login", `{"userName":"`+strings.Repeat("a", 1<<20-200)+
		`","password":"b"}`); got != "InvalidLogin" {
		t.Errorf("a name of nearly 1 MiB: %s", got)
	}
}

// Clients that send their bodies slowly, or not at all, do not block other clients.
// TestASlowBodyIsCutOff and TestASlowHeaderIsCutOff in internal/server show with shorter times that
// they are disconnected.
func TestSlowClientsHoldUpNobodyAndLeaveNothingBehind(t *testing.T) {
	s := newScene(t, nil)
	s.lives(s.admin)
	s.c.CloseIdleConnections()
	before := measure()
	var conns []net.Conn
	for i := range 200 {
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.plain, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, conn)
		text := "POST /sdk/vim25/8.0.1.0/" + sm + "Login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n" +
			"\r\n{\"userName\":"
		// every other client stops within the header
		if _, err := io.WriteString(conn, text[:len(text)-i%2*40]); err != nil {
			t.Fatal(err)
		}
	}
	for range 20 {
		if !s.lives(s.admin) {
			t.Error("the session is lost")
		}
	}
	s.loginAs(adminUser, adminPassword)
	for _, conn := range conns {
		_ = conn.Close()
	}
	waitForRelease(t, s.c, before)
}

// squeeze returns n zeros, compressed.
func squeeze(n int) []byte {
	var b bytes.Buffer
	w, _ := gzip.NewWriterLevel(&b, gzip.BestCompression)
	zeros := make([]byte, 1<<16)
	for ; n > 0; n -= len(zeros) {
		_, _ = w.Write(zeros)
	}
	_ = w.Close()
	return b.Bytes()
}

// A token in the Authorization header may be compressed. A header of 64 KiB can hold 32 MiB that
// way. The server must not decompress that much for an unauthenticated caller.
func TestACompressedTokenIsNotInflatedWithoutBounds(t *testing.T) {
	s := newScene(t, nil)
	const inflated = 32 << 20
	header := `SIGN token="` + base64.StdEncoding.EncodeToString(squeeze(inflated)) + `"`
	if len(header) > 60<<10 {
		t.Fatalf("the header has %d bytes and would be refused for that", len(header))
	}
	bomb := http.Header{"Authorization": {header}}
	send := func() {
		if a := s.post(s.plain, "LoginByToken", "{}", bomb); a.member("_typeName") != "InvalidLogin" {
			t.Errorf("VI JSON: %d %.200s", a.status, a.body)
		}
		if a := automation(t, s.c, "POST", s.plain+"/api/session",
			func(r *http.Request) { r.Header = bomb.Clone() }); a.status != 401 {
			t.Errorf("Automation API: %d %.200s", a.status, a.body)
		}
	}
	send()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 5 {
		send()
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > inflated/2 {
		t.Errorf("10 requests took %d bytes", got)
	}
	if strings.Contains(s.log.String(), header[12:60]) {
		t.Error("the token is in the log")
	}
}
