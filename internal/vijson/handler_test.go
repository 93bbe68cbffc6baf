package vijson

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/binding"
	"github.com/vigate/vigate/internal/vim"
)

func gives(value any) func(*vim.Call) (vim.Result, *vim.Fault) {
	return func(*vim.Call) (vim.Result, *vim.Fault) { return vim.Result{Value: value}, nil }
}

func TestAMethodIsCalledWithItsArguments(t *testing.T) {
	for _, body := range []string{
		`{"userName":"a","password":"b c"}`,
		`{"_typeName":"Login","userName":"a","password":"b c"}`,
		`{"_typeName":"LoginRequestType","userName":"a","password":"b c","locale":null}`,
		"\r\n{ \"password\" :\t\"\\u0062 c\", \"user\\u004eame\":\"a\" , \"_typeName\":\"Login\"}\n",
	} {
		f := newFake()
		f.do = gives(types.UserSession{Key: "k", LoginTime: time.Unix(1, 5000).In(time.FixedZone("x", 3600))})
		w := f.send("POST", manager+"Login", body, nil)
		if len(f.calls) != 1 {
			t.Fatalf("%s: %d %s", body, w.Code, w.Body)
		}
		want := &types.LoginRequestType{UserName: "a", Password: "b c"}
		if c := f.calls[0]; !reflect.DeepEqual(c.Args, want) || c.Read || c.Object != f.objects[0].Ref() ||
			c.Name != "Login" {
			t.Errorf("%s: the call is %+v", body, c)
		}
		if got := w.Body.String(); w.Code != 200 || !strings.HasPrefix(got, `{"_typeName":"UserSession","key":"k",`) ||
			!strings.Contains(got, `"loginTime":"1970-01-01T00:00:01.000005Z"`) {
			t.Errorf("%d %s", w.Code, got)
		}
	}
}

func TestAMethodWithoutArgumentsNeedsNoBody(t *testing.T) {
	for _, body := range []string{"", "{}", " ", `{"_typeName":"Logout"}`, `{"_typeName":"LogoutRequestType"}`} {
		f := newFake()
		w := f.send("POST", manager+"Logout", body, nil)
		if w.Code != 204 || w.Body.Len() != 0 || len(f.calls) != 1 || w.Header().Get("Content-Type") != "" {
			t.Errorf("%q: %d %q %v", body, w.Code, w.Body, w.Header())
		}
	}
}

func TestAPropertyIsReadWithGET(t *testing.T) {
	f := newFake()
	f.do = gives([]types.UserSession{})
	w := f.send("GET", manager+"sessionList", "", nil)
	if w.Code != 200 || w.Body.String() != "[]" || !f.calls[0].Read {
		t.Errorf("%d %q", w.Code, w.Body)
	}
	f.do = gives(nil)
	if w := f.send("GET", manager+"currentSession", "", nil); w.Code != 204 || w.Body.Len() != 0 {
		t.Errorf("an unset property: %d %q", w.Code, w.Body)
	}
	f.do = gives("text")
	if w := f.send("HEAD", manager+"currentSession", "", nil); w.Code != 200 || w.Body.Len() != 0 ||
		w.Header().Get("Content-Length") != "6" {
		t.Errorf("HEAD: %d %q %v", w.Code, w.Body, w.Header())
	}
}

func TestAnObjectsIDComesUnescapedFromThePath(t *testing.T) {
	for _, id := range []string{"session[52-a]52-b", "session%5B52-a%5D52-b", "session[52-a]52%2Db"} {
		f := newFake()
		f.send("GET", base+"SessionManager/"+id+"/currentSession", "", nil)
		if len(f.calls) != 1 || f.calls[0].Object.Value != "session[52-a]52-b" {
			t.Errorf("%s: %+v", id, f.calls)
		}
	}
	f := newFake()
	f.send("GET", base+"SessionManager/a%2Fb/currentSession", "", nil)
	if len(f.calls) != 1 || f.calls[0].Object.Value != "a/b" {
		t.Errorf("an escaped slash: %+v", f.calls)
	}
}

func TestAWrongPathOrReleaseIsAnInvalidRequest(t *testing.T) {
	for _, path := range []string{
		"8.0.0.0/SessionManager/SessionManager/currentSession", "8.0.1/SessionManager/SessionManager/currentSession",
		"7.0.3.0/SessionManager/SessionManager/currentSession",
		"8.0.1.0.0/SessionManager/SessionManager/currentSession",
		"8.0.01.0/SessionManager/SessionManager/currentSession", "latest/SessionManager/SessionManager/currentSession",
		"99999.0.0.0/SessionManager/SessionManager/currentSession",
		"-8.0.1.0/SessionManager/SessionManager/currentSession",
		"8.0.1.0/SessionManager/SessionManager", "8.0.1.0/SessionManager/SessionManager/currentSession/", "8.0.1.0",
		"8.0.1.0//SessionManager/currentSession", "8.0.1.0/SessionManager/%FF/currentSession",
		"8.0.1.0/SessionManager/a%0Ab/currentSession",
		"8.0.1.0/SessionManager/" + strings.Repeat("x", maxID+1) + "/currentSession",
	} {
		f := newFake()
		wantFault(t, f.send("GET", Root+path, "", nil), 500, "InvalidRequest")
		if len(f.calls) != 0 || len(f.refused) != 1 {
			t.Errorf("%s: %d calls, %d refused", path, len(f.calls), len(f.refused))
		}
	}
	for _, release := range []string{"8.0.1.0", "8.0.3.0", "9.1.0.0", "10.0.0.1"} {
		f := newFake()
		if w := f.send("GET", Root+release+"/SessionManager/SessionManager/currentSession", "", nil); w.Code != 204 {
			t.Errorf("release %s: %d", release, w.Code)
		}
	}
}

func TestUnknownNamesHaveTheirFaults(t *testing.T) {
	f := newFake()
	got := wantFault(t, f.send("POST", manager+"Nothing", "", nil), 500, "MethodNotFound")
	want := map[string]any{"_typeName": "ManagedObjectReference", "type": "SessionManager", "value": "SessionManager"}
	if !reflect.DeepEqual(got["receiver"], want) || got["method"] != "Nothing" {
		t.Errorf("%v", got)
	}
	got = wantFault(t, f.send("GET", manager+"nothing", "", nil), 500, "InvalidProperty")
	if got["name"] != "nothing" {
		t.Errorf("%v", got)
	}
	got = wantFault(t, f.send("GET", base+"Nothing/x/name", "", nil), 500, "InvalidType")
	if got["argument"] != "Nothing" {
		t.Errorf("%v", got)
	}
	wantFault(t, f.send("POST", base+"Nothing/x/Name", "", nil), 500, "InvalidType")
}

func TestTheWrongHTTPMethodIsToldTheRightOne(t *testing.T) {
	for _, c := range []struct{ method, name, allow string }{
		{"GET", "Login", "POST"}, {"HEAD", "Login", "POST"}, {"PUT", "Login", "POST"}, {"OPTIONS", "Login", "POST"},
		{"POST", "currentSession", "GET, HEAD"}, {"DELETE", "currentSession", "GET, HEAD"},
		{"PATCH", "sessionList", "GET, HEAD"},
	} {
		f := newFake()
		w := f.send(c.method, manager+c.name, "", nil)
		if w.Code != 405 || w.Header().Get("Allow") != c.allow || len(f.calls) != 0 {
			t.Errorf("%s %s: %d, allow %q", c.method, c.name, w.Code, w.Header().Get("Allow"))
		}
		if c.method != "HEAD" {
			wantFault(t, w, 405, "InvalidRequest")
		}
	}
}

func TestALongListIsSentInPieces(t *testing.T) {
	made := 0
	var list iter.Seq[types.UserSession] = func(yield func(types.UserSession) bool) {
		for i := range 5000 {
			if made++; !yield(types.UserSession{Key: fmt.Sprint(i)}) {
				return
			}
		}
	}
	f := newFake()
	f.do = gives(list)
	w := &pieces{ResponseRecorder: httptest.NewRecorder()}
	newHandler(f, f.bodies).ServeHTTP(w, f.known(httptest.NewRequest("GET", manager+"sessionList", nil)))
	if w.largest > 2*binding.FlushAt || w.n < 10 {
		t.Errorf("%d pieces, the largest %d bytes", w.n, w.largest)
	}
	var all []types.UserSession
	if err := types.NewJSONDecoder(w.Body).Decode(&all); err != nil || len(all) != 5000 || all[4999].Key != "4999" {
		t.Errorf("%d sessions, %v", len(all), err)
	}
	// The server stops when the client has disconnected.
	made = 0
	func() {
		defer func() {
			if r := recover(); r != http.ErrAbortHandler {
				t.Errorf("%v, want the connection broken", r)
			}
		}()
		newHandler(f, f.bodies).ServeHTTP(&pieces{ResponseRecorder: httptest.NewRecorder(), fail: true},
			f.known(httptest.NewRequest("GET", manager+"sessionList", nil)))
	}()
	if made > 1000 {
		t.Errorf("%d sessions were made for nobody", made)
	}
}

// pieces counts the writes, or makes them fail.
type pieces struct {
	*httptest.ResponseRecorder
	n, largest int
	fail       bool
}

func (p *pieces) Write(b []byte) (int, error) {
	if p.fail {
		return 0, context.Canceled
	}
	p.n++
	p.largest = max(p.largest, len(b))
	return p.ResponseRecorder.Write(b)
}

func TestAFaultHasItsMembersAndItsText(t *testing.T) {
	f := newFake()
	f.do = func(c *vim.Call) (vim.Result, *vim.Fault) {
		return vim.Result{}, vim.NotAuthenticated(c.Object, "System.View")
	}
	w := f.send("GET", manager+"sessionList", "", nil)
	wantFault(t, w, 500, "NotAuthenticated")
	want := `{"_typeName":"NotAuthenticated","faultstring":"The session is not authenticated.",` +
		`"object":{"_typeName":"ManagedObjectReference","type":"SessionManager","value":"SessionManager"},` +
		`"privilegeId":"System.View",` +
		`"missingPrivileges":[{"_typeName":"NoPermissionEntityPrivileges",` +
		`"entity":{"_typeName":"ManagedObjectReference",` +
		`"type":"SessionManager","value":"SessionManager"},"privilegeIds":["System.View"]}]}`
	if got := w.Body.String(); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

func TestAnOverloadIsA503(t *testing.T) {
	f := newFake()
	f.do = func(*vim.Call) (vim.Result, *vim.Fault) {
		return vim.Result{}, &vim.Fault{RetryAfter: 1500 * time.Millisecond}
	}
	w := f.send("POST", manager+"Logout", "", nil)
	if w.Code != 503 || w.Header().Get("Retry-After") != "2" ||
		!bytes.HasPrefix(w.Body.Bytes(), []byte(`{"faultstring":"`)) {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
}

func TestAnAnswerThatHasNoFormIsASystemErrorAndBringsNoToken(t *testing.T) {
	f := newFake()
	f.do = gives(make(chan int))
	w := f.send("POST", manager+"AcquireCloneTicket", "", nil)
	wantFault(t, w, 500, "SystemError")
}

func TestHelloChoosesTheFirstReleaseThatIsServed(t *testing.T) {
	id := func(n int) string { return strings.Repeat("8", n) }
	for _, c := range []struct {
		body   string
		status int
		want   string
	}{
		{`{"api_releases":["8.0.2.0","8.0.1.0"]}`, 200, `{"api_release":"8.0.2.0"}`},
		{`{"api_releases":["7.0.0.0","1","9.0.0.0","8.0.1.0"]}`, 200, `{"api_release":"9.0.0.0"}`},
		{`{"api_releases":["99.0.0.0","9.1.0.1","8.0.1.1","8.0.0.0","09.0.0.0","9.0.0.0 ","8.0.3.0"]}`, 200,
			`{"api_release":"8.0.3.0"}`},
		{`{"api_releases":["99.0.0.0","10.0.0.0"]}`, 200, `{"api_release":""}`},
		{`{"api_releases":["7.0.0.0"]}`, 200, `{"api_release":""}`},
		{`{"api_releases":["` + id(64) + `"]}`, 200, `{"api_release":""}`},
		{`{"api_releases":["` + id(65) + `"]}`, 400, ""},
		{`{"api_releases":["8.0.1.0","` + id(65) + `"]}`, 400, ""},
		{`{"api_releases":[]}`, 400, ""},
		{`{"api_releases":null}`, 400, ""},
		{`{}`, 400, ""}, {``, 400, ""}, {`[]`, 400, ""}, {`{"api_releases":[1]}`, 400, ""},
		{`{"api_releases":"8.0.1.0"}`, 400, ""},
		{`{"api_releases":["1"` + strings.Repeat(`,"1"`, 127) + `]}`, 200, `{"api_release":""}`},
		{`{"api_releases":["1"` + strings.Repeat(`,"1"`, 128) + `]}`, 400, ""},
		{`{"api_releases":["` + strings.Repeat("1", maxBody) + `"]}`, 413, ""},
	} {
		w := newFake().send("POST", HelloPath+"?action=hello", c.body, nil)
		if w.Code != c.status || c.want != "" && w.Body.String() != c.want {
			t.Errorf("%.60s: %d %s", c.body, w.Code, w.Body)
		}
	}
	if w := newFake().send("GET", HelloPath+"?action=hello", "", nil); w.Code != 405 ||
		w.Header().Get("Allow") != "POST" {
		t.Errorf("GET: %d", w.Code)
	}
	if w := newFake().send("POST", HelloPath+"?action=other", "{}", nil); w.Code != 404 {
		t.Errorf("another action: %d", w.Code)
	}
}

// hello returns the releases that the library's types know. The newest one is the version of the library's
// clients.
func TestHelloKnowsTheReleasesOfTheAPIsTypes(t *testing.T) {
	if newest := releases[len(releases)-1]; newest != vim25.Version {
		t.Errorf("the newest is %s, and that of the types %s", newest, vim25.Version)
	}
	if !slices.IsSortedFunc(releases, func(a, b string) int {
		x, errX := parseRelease(a)
		y, errY := parseRelease(b)
		if err := errors.Join(errX, errY); err != nil {
			t.Error(err)
		}
		return slices.Compare(x[:], y[:])
	}) {
		t.Errorf("%v are not in order", releases)
	}
	marked := map[string]bool{}
	seen := map[reflect.Type]bool{}
	var walk func(reflect.Type)
	walk = func(typ reflect.Type) {
		for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice {
			typ = typ.Elem()
		}
		if typ.Kind() != reflect.Struct || seen[typ] {
			return
		}
		seen[typ] = true
		for f := range typ.Fields() {
			if release, err := parseRelease(f.Tag.Get("vim")); err == nil {
				marked[release.String()] = true
			}
			walk(f.Type)
		}
	}
	for _, name := range []string{"VirtualMachineConfigInfo", "ClusterConfigSpecEx", "HostConfigInfo",
		"HostSystemSwapConfiguration", "Capability"} {
		typ, ok := types.TypeFunc()(name)
		if !ok {
			t.Fatalf("no type %s", name)
		}
		walk(typ)
	}
	if len(marked) < 3 {
		t.Errorf("only %v are marked", marked)
	}
	for release := range marked {
		if !slices.Contains(releases, release) {
			t.Errorf("a member came with %s, which hello does not know", release)
		}
	}
}

func TestTheDocumentIsServedForEachRelease(t *testing.T) {
	f := newFake()
	w := f.send("GET", Root+"9.0.0.0/openapi.json", "", nil)
	if w.Code != 200 || !strings.Contains(w.Body.String(), `"url":"/sdk/vim25/9.0.0.0"`) {
		t.Errorf("%d %.300s", w.Code, w.Body)
	}
	if w := f.send("GET", Root+"99.0.0.0/openapi.json", "", nil); w.Code != 200 {
		t.Errorf("a release that is newer than all that are known: %d", w.Code)
	}
	w = f.send("GET", Root+"7.0.0.0/openapi.json", "", nil)
	wantFault(t, w, 404, "InvalidRequest")
	w = f.send("POST", Root+"9.0.0.0/openapi.json", "{}", nil)
	wantFault(t, w, 405, "InvalidRequest")
	if allow := w.Header().Get("Allow"); allow != "GET, HEAD" {
		t.Errorf("POST: Allow %q", allow)
	}
}

func TestTheBodyIsDecodedInATurnThatEndsBeforeTheCall(t *testing.T) {
	body := `{"userName":"a","password":"` + strings.Repeat("x", 100<<10) + `"}`
	f := newFake()
	f.do = func(*vim.Call) (vim.Result, *vim.Fault) {
		if f.decoded != 1 {
			t.Error("the turn has not ended when the call is run")
		}
		return vim.Result{}, nil
	}
	if w := f.send("POST", manager+"Login", body, nil); len(f.calls) != 1 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if len(f.decoding) != 1 || f.decoding[0] != len(body) {
		t.Errorf("turns for %d bytes, want %d", f.decoding, len(body))
	}
	f.send("POST", manager+"Login", strings.Replace(body, "userName", "user", 1), nil)
	if len(f.lookedUp) != 1 || f.lookedUp[0] != 0 {
		t.Errorf("lookups of a refused call, each with the turns that have not ended: %d", f.lookedUp)
	}
	f.refused, f.crowded = nil, true
	if w := f.send("POST", manager+"Login", body, nil); w.Code != 503 || len(f.calls) != 1 || len(f.refused) != 1 {
		t.Errorf("without a turn: %d %s", w.Code, w.Body)
	}
	if f.bodies.Held() != 0 {
		t.Errorf("%d bytes of bodies are held", f.bodies.Held())
	}
}

func TestMembersNewerThanTheCallersReleaseAreLeftOut(t *testing.T) {
	value := types.Extension{Server: []types.ExtensionServerInfo{{
		Description: &types.Description{Label: "l"}, Url: "https://x", ServerThumbprint: "00", ServerCertificate: "pem",
	}}}
	for release, want := range map[string]bool{"8.0.1.0": false, "8.0.2.0": true, "8.0.3.0": true, "9.1.0.0": true} {
		f := newFake()
		f.do = gives(&value)
		w := f.send("POST", strings.Replace(manager, "8.0.1.0", release, 1)+"AcquireCloneTicket", "{}", nil)
		got := w.Body.String()
		if has := strings.Contains(got, `"serverCertificate":"pem"`); w.Code != 200 || has != want ||
			!strings.Contains(got, `"serverThumbprint":"00"`) {
			t.Errorf("%s: %d %s", release, w.Code, got)
		}
	}
}

func TestAResponseThatIsNoLongerWantedIsAFault(t *testing.T) {
	f := newFake()
	f.do = gives(slices.Repeat([]types.UserSession{{Key: "k"}}, 1000))
	f.unwanted = vim.NotAuthenticated(f.objects[0].Ref(), vim.View)
	w := f.send("GET", manager+"sessionList", "", nil)
	if w.Code != 500 || !strings.HasPrefix(w.Body.String(), `{"_typeName":"NotAuthenticated"`) ||
		strings.Contains(w.Body.String(), "UserSession") {
		t.Errorf("%d %.200q", w.Code, w.Body)
	}
}
