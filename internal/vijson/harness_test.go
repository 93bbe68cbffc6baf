package vijson

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/binding"
	"github.com/vigate/vigate/internal/budget"
	"github.com/vigate/vigate/internal/peer"
	"github.com/vigate/vigate/internal/vim"
)

const (
	base    = "/sdk/vim25/8.0.1.0/"
	manager = base + "SessionManager/SessionManager/"
)

// fakeAPI has a small table of objects, and answers every call with the result of do.
type fakeAPI struct {
	unwanted error // the result of Wanted
	bodies   *binding.Bodies
	from     peer.Peer
	objects  []*vim.Object
	do       func(*vim.Call) (vim.Result, *vim.Fault)
	calls    []*vim.Call
	refused  []*vim.Fault

	decoding []int // the bytes for which turns were requested
	decoded  int   // the number of turns that ended
	crowded  bool  // no turn is available
	lookedUp []int // the number of open turns at each lookup
}

func newFake() *fakeAPI {
	session := reflect.TypeFor[types.UserSession]()
	text := reflect.TypeFor[string]()
	return &fakeAPI{bodies: binding.NewBodies(0), from: peer.Peer{Address: "192.0.2.1", TLS: true},
		objects: []*vim.Object{{
			Type: "SessionManager", ID: "SessionManager",
			Methods: []vim.Method{
				{Name: "Login", Privilege: "System.Anonymous", Args: reflect.TypeFor[types.LoginRequestType](),
					Result: session},
				{Name: "LoginByToken", Privilege: "System.Anonymous", NeedsProof: true,
					Args: reflect.TypeFor[types.LoginByTokenRequestType](), Result: session},
				{Name: "Logout", Privilege: "System.View", Args: reflect.TypeFor[types.LogoutRequestType]()},
				{Name: "TerminateSession", Args: reflect.TypeFor[types.TerminateSessionRequestType]()},
				{Name: "AcquireCloneTicket", Args: reflect.TypeFor[types.AcquireCloneTicketRequestType](),
					Result: text},
				{Name: "AcquireGenericServiceTicket",
					Args: reflect.TypeFor[types.AcquireGenericServiceTicketRequestType](), Result: text},
			},
			Properties: []vim.Property{
				{Name: "currentSession", Type: session, Optional: true},
				{Name: "sessionList", Type: reflect.TypeFor[iter.Seq[types.UserSession]]()},
			},
		}, {
			Type: "OptionManager", ID: "VpxSettings",
			Methods: []vim.Method{{Name: "UpdateOptions", Args: reflect.TypeFor[types.UpdateOptionsRequestType]()}},
		}, {
			Type: "EventManager", ID: "EventManager",
			Methods: []vim.Method{
				{Name: "PostEvent", Args: reflect.TypeFor[types.PostEventRequestType]()},
				{Name: "QueryEvents", Args: reflect.TypeFor[types.QueryEventsRequestType](),
					Result: reflect.TypeFor[[]types.BaseEvent]()},
			},
		}, {
			Type: "AuthorizationManager", ID: "AuthorizationManager",
			Methods: []vim.Method{
				{Name: "RemoveAuthorizationRole", Args: reflect.TypeFor[types.RemoveAuthorizationRoleRequestType]()},
			},
		}}}
}

func (f *fakeAPI) Objects() []*vim.Object { return f.objects }

func (f *fakeAPI) Method(ref types.ManagedObjectReference, name string) (*vim.Method, *vim.Fault) {
	for _, o := range f.objects {
		if o.Type != ref.Type {
			continue
		}
		for i := range o.Methods {
			if o.Methods[i].Name == name {
				return &o.Methods[i], nil
			}
		}
		return nil, vim.MethodNotFound(ref, name)
	}
	return nil, vim.TypeNotFound(ref.Type)
}

func (f *fakeAPI) Property(ref types.ManagedObjectReference, name string) (*vim.Property, *vim.Fault) {
	for _, o := range f.objects {
		if o.Type != ref.Type {
			continue
		}
		for i := range o.Properties {
			if o.Properties[i].Name == name {
				return &o.Properties[i], nil
			}
		}
		return nil, vim.PropertyNotFound(name)
	}
	return nil, vim.TypeNotFound(ref.Type)
}

func (f *fakeAPI) Lookup(context.Context, *vim.Call) *vim.Fault {
	f.lookedUp = append(f.lookedUp, len(f.decoding)-f.decoded)
	return nil
}

func (f *fakeAPI) TypeOf(context.Context, *vim.Call, string) (string, *vim.Fault) { return "", nil }

func (f *fakeAPI) Do(_ context.Context, c *vim.Call) (vim.Result, *vim.Fault) {
	f.calls = append(f.calls, c)
	if f.do == nil {
		return vim.Result{}, nil
	}
	return f.do(c)
}

func (f *fakeAPI) Wanted(context.Context, *vim.Call) error { return f.unwanted }

func (f *fakeAPI) Decode(_ context.Context, _ *vim.Call, bytes int) (func(), *vim.Fault) {
	f.decoding = append(f.decoding, bytes)
	if f.crowded {
		return nil, vim.Unavailable(budget.ErrBusy)
	}
	return func() { f.decoded++ }, nil
}

func (f *fakeAPI) Refuse(_ context.Context, _ *vim.Call, fault *vim.Fault) {
	f.refused = append(f.refused, fault)
}

func (f *fakeAPI) MessageLocale(*vim.Call) string { return "en" }

// send passes a request to the fake's handler. If change is set, it changes the request first.
func (f *fakeAPI) send(method, path, body string, change func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if body == "" {
		r = httptest.NewRequest(method, path, nil)
	}
	if change != nil {
		change(r)
	}
	w := httptest.NewRecorder()
	newHandler(f, f.bodies).ServeHTTP(w, f.known(r))
	return w
}

// known returns the request with the fake's peer in its context.
func (f *fakeAPI) known(r *http.Request) *http.Request {
	return r.WithContext(peer.With(r.Context(), &f.from))
}

// wantFault checks that the response is the given fault, and has the form that all faults have.
func wantFault(t *testing.T, w *httptest.ResponseRecorder, status int, kind string) map[string]any {
	t.Helper()
	var got map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatalf("the body %.200q is not JSON: %v", w.Body, err)
	}
	if w.Code != status || got["_typeName"] != kind || w.Header().Get("Content-Type") != "application/json" {
		t.Errorf("%d %s %.300s, want %d %s", w.Code, w.Header().Get("Content-Type"), w.Body, status, kind)
	}
	if !strings.HasPrefix(w.Body.String(), `{"_typeName":"`+kind+`","faultstring":"`) {
		t.Errorf("the fault begins %.60s", w.Body)
	}
	if s, _ := got["faultstring"].(string); s == "" {
		t.Error("the fault has no text")
	}
	return got
}
