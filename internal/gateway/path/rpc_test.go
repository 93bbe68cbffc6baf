package path

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
)

// rpc returns a request of JSON-RPC as the SDKs write it.
func rpc(service, operation, security string) string {
	return `{"jsonrpc": "2.0", "method": "invoke", "id": "7", "params": {"ctx": {"appCtx": {"opId": "a"}, ` +
		`"securityCtx": ` + security + `}, "input": {"STRUCTURE": {"operation-input": {"sessionId": "mine"}}}, ` +
		`"operationId": "` + operation + `", "serviceId": "` + service + `"}}`
}

const bySessionCtx = `{"schemeId": "com.vmware.vapi.std.security.session_id", "sessionId": "` + token + `"}`

func TestASessionInTheBodyOfJSONRPCIsTranslatedAndNothingElse(t *testing.T) {
	s := &seen{}
	w := newWorld(t, echo(s, "Content-Type", "application/json"))
	in := rpc("com.vmware.vcenter.VM", "list", bySessionCtx)
	res, body := w.ask(w.front().URL, "POST", "/api", in, "Content-Type", "application/json")
	got, sent := s.last()
	if res.StatusCode != http.StatusOK || got == nil {
		t.Fatalf("%s %s", res.Status, body)
	}
	if want := strings.Replace(in, token, "rest-id-1", 1); sent != want || got.ContentLength != int64(len(sent)) {
		t.Errorf("the upstream got %s, want %s", sent, want)
	}
	if got.Header.Get("Vmware-Api-Session-Id") != "rest-id-1" {
		t.Errorf("the upstream got %v", got.Header)
	}
	if w.accesses[0].Changes {
		t.Error("a list is taken for a change")
	}
}

func TestJSONRPCWithoutALiveSessionIsNotPassedOn(t *testing.T) {
	s := &seen{}
	w := newWorld(t, echo(s))
	for _, security := range []string{
		`{}`, `{"schemeId": "com.vmware.vapi.std.security.user_pass", "userName": "a", "password": "b"}`,
		`{"schemeId": "com.vmware.vapi.std.security.session_id", "sessionId": "other"}`,
	} {
		res, body := w.do("POST", "/api/", rpc("com.vmware.vcenter.VM", "delete", security))
		var answer struct {
			ID     string
			Result struct {
				Error struct{ ERROR map[string]any }
			}
		}
		err := json.Unmarshal([]byte(body), &answer)
		if err != nil || res.StatusCode != http.StatusOK || answer.ID != "7" ||
			answer.Result.Error.ERROR["com.vmware.vapi.std.errors.unauthenticated"] == nil {
			t.Errorf("%s: %s %s", security, res.Status, body)
		}
	}
	if r, _ := s.last(); r != nil {
		t.Errorf("the upstream got %v", r)
	}
}

func TestJSONRPCThatServersReadInDifferentWaysIsRefused(t *testing.T) {
	s := &seen{}
	w := newWorld(t, echo(s))
	good := rpc("com.vmware.vcenter.VM", "list", bySessionCtx)
	for _, in := range []string{
		"", "[]", "[" + good + "]", good + good, strings.Replace(good, `"serviceId"`, `"serviceId":"x","serviceId"`, 1),
		strings.Replace(good, `"sessionId"`, `"sessionId":"x","SessionID"`, 1), strings.Replace(good, "7", "\xff", 1),
		strings.Replace(good, `"com.vmware.vcenter.VM"`, `null`, 1), `{"params": 1}`, `{"params":`,
	} {
		if _, body := w.do("POST", "/api", in); !strings.Contains(body, "invalid_argument") {
			t.Errorf("%s: %s", in, body)
		}
	}
	if r, _ := s.last(); r != nil {
		t.Errorf("the upstream got %v", r)
	}
}

// sessionResource is the front's own: one user.
type sessionResource struct{ ended bool }

func (s *sessionResource) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	user, password, _ := r.BasicAuth()
	switch {
	case r.Header.Get("Cookie") != "" || r.URL.Path != sessionPath:
		w.WriteHeader(http.StatusTeapot)
	case r.Method == http.MethodPost && user == "ann" && password == "secret":
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, `"`+token+`"`)
	case r.Header.Get("Vmware-Api-Session-Id") != token || s.ended:
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, `{"error_type":"UNAUTHENTICATED","messages":[{"default_message":"Log in."}]}`)
	case r.Method == http.MethodGet:
		_, _ = io.WriteString(w, `{"user":"ann"}`)
	case r.Method == http.MethodDelete:
		s.ended = true
		w.WriteHeader(http.StatusNoContent)
	}
}

func TestTheSessionServiceOfJSONRPCIsTheFronts(t *testing.T) {
	s := &seen{}
	w := newWorld(t, echo(s))
	w.Sessions = &sessionResource{}
	by := func(user, password string) string {
		return `{"schemeId": "com.vmware.vapi.std.security.user_pass", "userName": "` + user + `", "password": "` +
			password + `"}`
	}
	result := func(body string) string { return `{"id":"7","jsonrpc":"2.0","result":` + body + `}` }
	for _, c := range []struct{ operation, security, want string }{
		{"create", by("ann", "secret"), result(`{"output":{"SECRET":"` + token + `"}}`)},
		{"create", by("ann", "wrong"), `"default_message":"Log in."`},
		{"create", by("a:b", "secret"), "com.vmware.vapi.std.errors.unauthenticated"},
		{"create", `{"schemeId": "com.vmware.vapi.std.security.saml_bearer_token"}`,
			"com.vmware.vapi.std.errors.unauthenticated"},
		{"get", bySessionCtx, result(`{"output":{"STRUCTURE":{"com.vmware.cis.session.info":{"user":"ann"}}}}`)},
		{"get", `{}`, "com.vmware.vapi.std.errors.unauthenticated"},
		{"keepalive", bySessionCtx, "com.vmware.vapi.std.errors.not_found"},
		{"delete", bySessionCtx, result(`{"output":null}`)},
		{"delete", bySessionCtx, "com.vmware.vapi.std.errors.unauthenticated"},
	} {
		_, body := w.do("POST", "/api", rpc("com.vmware.cis.session", c.operation, c.security))
		if !strings.Contains(body, c.want) {
			t.Errorf("%s %s: %s, want %s", c.operation, c.security, body, c.want)
		}
	}
	_, body := w.do("POST", "/api", rpc("x", "get", bySessionCtx), "Vapi-Service", "com.vmware.cis.session")
	if !strings.Contains(body, "com.vmware.vapi.std.errors.unsupported") {
		t.Errorf("the session service by a header: %s", body)
	}
	if r, _ := s.last(); r != nil {
		t.Errorf("the upstream got %v", r)
	}
}

func TestEverySpellingOfTheSessionResourceIsTheFronts(t *testing.T) {
	s := &seen{}
	w := newWorld(t, echo(s))
	got := ""
	w.Sessions = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.URL.Path })
	for in, want := range map[string]string{
		"/api/session": sessionPath, "/api/session/": sessionPath, "/api/%73ession": sessionPath,
		"/API/Session;x": sessionPath,
		"/rest/com/vmware/cis/session?~action=get": oldSessionPath, "/rest//com/vmware/cis/session/": oldSessionPath,
		"/rest/com%2Fvmware/cis/session": oldSessionPath,
	} {
		if got = ""; true {
			w.do("DELETE", in, "")
		}
		if got != want {
			t.Errorf("%s was served as %q", in, got)
		}
	}
	if r, _ := s.last(); r != nil {
		t.Errorf("the upstream got %v", r.URL)
	}
}

func FuzzARequestOfJSONRPCKeepsAllOtherBytes(f *testing.F) {
	f.Add(rpc("a", "b", bySessionCtx))
	f.Add(`{"params":{"ctx":{"securityCtx":{"sessionId":"a\"\\"}}}}`)
	f.Fuzz(func(t *testing.T, in string) {
		c, err := parseRPC([]byte(in))
		if err != nil || c.at == nil {
			return
		}
		if c.at.from <= 0 || c.at.to > len(in) || in[c.at.from] != '"' || in[c.at.to-1] != '"' {
			t.Fatalf("the session is at %v of %q", c.at, in)
		}
		var got string
		if err := json.Unmarshal([]byte(in[c.at.from:c.at.to]), &got); err != nil || got != c.session.Reveal() {
			t.Fatalf("the session is %q, not %q: %v", c.session.Reveal(), got, err)
		}
		out := c.at.replace([]byte(in), c.session)
		if again, err := parseRPC(out); err != nil || again.session.Reveal() != c.session.Reveal() {
			t.Fatalf("%q became %q: %v", in, out, err)
		}
	})
}
