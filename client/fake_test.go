package client

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
)

const fakePassword = "pass word-Secret"

// received is one request that the fake server got.
type received struct {
	op     string // such as "GET SessionManager.currentSession"
	header http.Header
	body   string
	url    string
}

// fakeServer is a small VI JSON server. It follows the specification and uses no code of the
// client.
type fakeServer struct {
	mu       sync.Mutex // guards the fields below
	live     map[string]bool
	tickets  map[string]bool
	made     int
	requests []received
	// override replaces the handler of an operation, such as "POST SessionManager.Login".
	override map[string]http.HandlerFunc
}

func newFake() *fakeServer {
	return &fakeServer{live: map[string]bool{}, tickets: map[string]bool{}, override: map[string]http.HandlerFunc{}}
}

func (f *fakeServer) on(op string, h http.HandlerFunc) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.override[op] = h
}

// kill ends all sessions.
func (f *fakeServer) kill() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.live)
}

func (f *fakeServer) liveSessions() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.live)
}

func (f *fakeServer) count(op string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, r := range f.requests {
		if r.op == op {
			n++
		}
	}
	return n
}

func (f *fakeServer) last(t testing.TB, op string) received {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range slices.Backward(f.requests) {
		if r.op == op {
			return r
		}
	}
	t.Fatalf("the server never got %s", op)
	return received{}
}

func (f *fakeServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	r.Body = io.NopCloser(strings.NewReader(string(body)))
	op := "POST hello"
	if r.URL.Path != "/api/vcenter/system" {
		part := strings.Split(strings.TrimPrefix(r.URL.EscapedPath(), "/sdk/vim25/"), "/")
		if len(part) != 4 {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		op = r.Method + " " + part[1] + "." + part[3]
	}
	f.mu.Lock()
	f.requests = append(f.requests, received{op: op, header: r.Header.Clone(), body: string(body), url: r.URL.String()})
	override := f.override[op]
	f.mu.Unlock()
	if override != nil {
		override(w, r)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.serve(w, op, r.Header.Get("vmware-api-session-id"), string(body))
}

const sessionManagerID = "the-session-manager"

func (f *fakeServer) serve(w http.ResponseWriter, op, token, body string) {
	var in map[string]any
	if body != "" && json.Unmarshal([]byte(body), &in) != nil {
		fault(w, "InvalidRequest", "bad JSON")
		return
	}
	switch op {
	case "POST hello":
		reply(w, `{"api_release":"8.0.2.0"}`)
	case "GET ServiceInstance.content":
		reply(w, `{"_typeName":"ServiceContent","rootFolder":{"_typeName":"ManagedObjectReference","type":"Folder",`+
			`"value":"group-d1"},`+
			`"sessionManager":{"_typeName":"ManagedObjectReference","type":"SessionManager","value":"`+sessionManagerID+
			`"},`+
			`"about":{"_typeName":"AboutInfo","apiType":"VirtualCenter"}}`)
	case "POST SessionManager.Login":
		if in["password"] != fakePassword {
			fault(w, "InvalidLogin", "Cannot complete login due to an incorrect user name or password.")
			return
		}
		f.newSession(w, token)
	case "POST SessionManager.LoginByToken", "POST SessionManager.LoginBySSPI",
		"POST SessionManager.LoginExtensionByCertificate", "POST SessionManager.LoginExtensionBySubjectName":
		f.newSession(w, token)
	case "POST SessionManager.LoginExtension":
		fault(w, "NotSupported", "The operation is not supported on the object.")
	case "POST SessionManager.CloneSession":
		ticket, _ := in["cloneTicket"].(string)
		if !f.tickets[ticket] {
			fault(w, "InvalidLogin", "bad ticket "+ticket)
			return
		}
		delete(f.tickets, ticket)
		f.newSession(w, token)
	case "GET SessionManager.currentSession":
		if !f.live[token] {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		reply(w, sessionJSON)
	case "GET SessionManager.defaultLocale":
		reply(w, `"en"`)
	case "GET SessionManager.messageLocaleList", "GET SessionManager.supportedLocaleList":
		reply(w, `["en","de"]`)
	case "POST SessionManager.AcquireGenericServiceTicket":
		reply(w, `{"_typeName":"SessionManagerGenericServiceTicket","id":"generic-1","ticketType":"http"}`)
	case "POST SessionManager.AcquireLocalTicket":
		reply(w, `{"_typeName":"SessionManagerLocalTicket","userName":"root","passwordFilePath":"/run/p"}`)
	default:
		if !f.live[token] {
			fault(w, "NotAuthenticated", "The session is not authenticated.")
			return
		}
		f.serveAuthenticated(w, op, token)
	}
}

func (f *fakeServer) serveAuthenticated(w http.ResponseWriter, op, token string) {
	switch op {
	case "POST SessionManager.AcquireCloneTicket":
		ticket := fmt.Sprintf("cst-VCT-%d", len(f.requests))
		f.tickets[ticket] = true
		reply(w, `"`+ticket+`"`)
	case "GET SessionManager.message":
		reply(w, `"hello"`)
	case "GET SessionManager.sessionList":
		reply(w, `[`+sessionJSON+`,`+sessionJSON+`]`)
	case "POST SessionManager.ImpersonateUser":
		reply(w, sessionJSON)
	case "POST SessionManager.SessionIsActive":
		reply(w, `true`)
	case "POST ServiceInstance.CurrentTime":
		reply(w, `"2025-01-02T03:04:05Z"`)
	case "POST SessionManager.Logout":
		delete(f.live, token)
		w.WriteHeader(http.StatusNoContent)
	case "POST SessionManager.SetLocale", "POST SessionManager.TerminateSession",
		"POST SessionManager.UpdateServiceMessage":
		w.WriteHeader(http.StatusNoContent)
	default:
		fault(w, "MethodNotFound", "no such thing")
	}
}

const sessionJSON = `{"_typeName":"UserSession","key":"52f1","userName":"VSPHERE.LOCAL\\Administrator",` +
	`"fullName":"Administrator vsphere.local","loginTime":"2025-01-02T03:04:05Z",` +
	`"lastActiveTime":"2025-01-02T03:04:05.123Z",` +
	`"locale":"en","messageLocale":"en","extensionSession":false,"ipAddress":"127.0.0.1","userAgent":"test",` +
	`"callCount":3}`

// newSession must be called while the lock is held.
func (f *fakeServer) newSession(w http.ResponseWriter, token string) {
	if f.live[token] {
		fault(w, "InvalidLogin", "already logged in")
		return
	}
	f.made++
	token = fmt.Sprintf("%040x", f.made)
	f.live[token] = true
	w.Header().Set("vmware-api-session-id", token)
	reply(w, sessionJSON)
}

func reply(w http.ResponseWriter, body string) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, body)
}

func fault(w http.ResponseWriter, name, text string) {
	faultStatus(w, http.StatusInternalServerError, name, text)
}

func faultStatus(w http.ResponseWriter, status int, name, text string) {
	body, err := json.Marshal(map[string]string{"_typeName": name, "faultstring": text})
	if err != nil {
		panic(err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// inProcess is a transport that calls a handler directly. Tests in a synctest bubble use it because
// waiting for a socket would stop the bubble's clock.
type inProcess struct{ http.Handler }

func (p inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	in := r.Clone(r.Context())
	if in.Body == nil {
		in.Body = http.NoBody
	}
	rec := httptest.NewRecorder()
	p.ServeHTTP(rec, in)
	return rec.Result(), nil
}

// start serves the fake server on a loopback address and returns a client for it.
func start(t testing.TB, f http.Handler, change func(*Config)) *Client {
	t.Helper()
	srv := httptest.NewServer(f)
	t.Cleanup(srv.Close)
	cfg := Config{URL: srv.URL + "/sdk", Release: "8.0.1.0"}
	if change != nil {
		change(&cfg)
	}
	c, err := New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// startInProcess does the same as start, but without sockets.
func startInProcess(t testing.TB, f http.Handler, change func(*Config)) *Client {
	t.Helper()
	cfg := Config{URL: "http://vc.example", Release: "8.0.1.0", Transport: inProcess{f}}
	if change != nil {
		change(&cfg)
	}
	c, err := New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func login(t testing.TB, c *Client) {
	t.Helper()
	if _, err := c.Login(t.Context(), "user", fakePassword, ""); err != nil {
		t.Fatal(err)
	}
}
