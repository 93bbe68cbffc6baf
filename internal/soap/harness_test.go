package soap

import (
	"context"
	"encoding/xml"
	"iter"
	"log/slog"
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

// fakeAPI has a small table of objects, and answers every call with the result of do.
type fakeAPI struct {
	unwanted error // the result of Wanted
	from     peer.Peer
	objects  []*vim.Object
	do       func(*vim.Call) (vim.Result, *vim.Fault)
	calls    []*vim.Call
	refused  []*vim.Fault
	// unreadable says whether the latest refused request brings a token that can't be read.
	unreadable bool

	decoding []int // the bytes for which turns were requested
	decoded  int   // the number of turns that ended
	crowded  bool  // no turn is available
	log      strings.Builder
	bodies   *binding.Bodies
}

func newFake() *fakeAPI {
	session := reflect.TypeFor[types.UserSession]()
	text := reflect.TypeFor[string]()
	return &fakeAPI{bodies: binding.NewBodies(0),
		from: peer.Peer{Address: "192.0.2.1", TLS: true, Request: peer.RequestID{Run: "r", Number: 7}},
		objects: []*vim.Object{{
			Type: "SessionManager", ID: "SessionManager",
			Methods: []vim.Method{
				{Name: "Login", Privilege: vim.Anonymous, Args: reflect.TypeFor[types.LoginRequestType](),
					Result: session},
				{Name: "LoginByToken", Privilege: vim.Anonymous, NeedsProof: true,
					Args: reflect.TypeFor[types.LoginByTokenRequestType](), Result: session},
				{Name: "Logout", Privilege: vim.View, Args: reflect.TypeFor[types.LogoutRequestType]()},
				{Name: "TerminateSession", Args: reflect.TypeFor[types.TerminateSessionRequestType]()},
				{Name: "AcquireCloneTicket", Args: reflect.TypeFor[types.AcquireCloneTicketRequestType](),
					Result: text},
				{Name: "AcquireGenericServiceTicket",
					Args: reflect.TypeFor[types.AcquireGenericServiceTicketRequestType](), Result: text},
			},
			Properties: []vim.Property{
				{Name: "currentSession", Type: session, Optional: true},
				{Name: "sessionList", Type: reflect.TypeFor[iter.Seq[types.UserSession]]()},
				{Name: "messageLocaleList", Type: reflect.TypeFor[[]string]()},
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
			Type: "PropertyCollector", ID: "propertyCollector",
			Methods: []vim.Method{{
				Name: "RetrievePropertiesEx", Args: reflect.TypeFor[types.RetrievePropertiesExRequestType](),
				Result: reflect.TypeFor[types.RetrieveResult](), Optional: true,
			}},
		}}}
}

func (f *fakeAPI) Objects() []*vim.Object { return f.objects }

func (f *fakeAPI) object(typ string) *vim.Object {
	for _, o := range f.objects {
		if o.Type == typ {
			return o
		}
	}
	return &vim.Object{}
}

func (f *fakeAPI) Method(ref types.ManagedObjectReference, name string) (*vim.Method, *vim.Fault) {
	o := f.object(ref.Type)
	for i := range o.Methods {
		if o.Methods[i].Name == name {
			return &o.Methods[i], nil
		}
	}
	if o.Type == "" {
		return nil, vim.TypeNotFound(ref.Type)
	}
	return nil, vim.MethodNotFound(ref, name)
}

func (f *fakeAPI) Property(ref types.ManagedObjectReference, name string) (*vim.Property, *vim.Fault) {
	o := f.object(ref.Type)
	for i := range o.Properties {
		if o.Properties[i].Name == name {
			return &o.Properties[i], nil
		}
	}
	if o.Type == "" {
		return nil, vim.TypeNotFound(ref.Type)
	}
	return nil, vim.PropertyNotFound(name)
}

func (f *fakeAPI) Lookup(context.Context, *vim.Call) *vim.Fault { return nil }

func (f *fakeAPI) TypeOf(_ context.Context, _ *vim.Call, id string) (string, *vim.Fault) {
	for _, o := range f.objects {
		if o.ID == id {
			return o.Type, nil
		}
	}
	return "", nil
}

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

func (f *fakeAPI) Refuse(_ context.Context, c *vim.Call, fault *vim.Fault) {
	f.refused = append(f.refused, fault)
	f.unreadable = c.Proof.Unreadable
}

func (f *fakeAPI) MessageLocale(c *vim.Call) string {
	if c.AcceptLanguage != "" {
		return c.AcceptLanguage
	}
	return "en"
}

func (f *fakeAPI) gives(value any) *fakeAPI {
	f.do = func(*vim.Call) (vim.Result, *vim.Fault) { return vim.Result{Value: value}, nil }
	return f
}

func (f *fakeAPI) mux() http.Handler {
	mux := http.NewServeMux()
	log := slog.New(slog.NewTextHandler(&f.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	newHandler(f, f.bodies, log, "8.0.3.0").mount(mux)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { mux.ServeHTTP(w, f.known(r)) })
}

// known returns the request with the fake's peer in its context.
func (f *fakeAPI) known(r *http.Request) *http.Request {
	return r.WithContext(peer.With(r.Context(), &f.from))
}

// post sends an envelope. If change is set, it changes the request first.
func (f *fakeAPI) post(message string, change func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", "/sdk", strings.NewReader(message))
	r.Header.Set("Content-Type", `text/xml; charset="utf-8"`)
	r.Header.Set("SOAPAction", "urn:vim25/8.0.3.0")
	if change != nil {
		change(r)
	}
	w := httptest.NewRecorder()
	f.mux().ServeHTTP(w, r)
	return w
}

// call sends the element of an operation in an envelope.
func (f *fakeAPI) call(operation string) *httptest.ResponseRecorder {
	return f.post(envelope(operation), nil)
}

func envelope(body string) string {
	return `<?xml version="1.0" encoding="UTF-8"?>` + "\n" + `<soapenv:Envelope xmlns:soapenv="` + nsEnvelope +
		`" xmlns:xsd="` + nsSchema + `" xmlns:xsi="` + nsInstance + `"><soapenv:Body>` + body +
		`</soapenv:Body></soapenv:Envelope>`
}

// operation returns the element of an operation on an object.
func operation(typ, id, name, members string) string {
	return `<` + name + ` xmlns="urn:vim25"><_this type="` + typ + `">` + id + `</_this>` + members + `</` + name + `>`
}

// manager returns the element of an operation on the session manager.
func manager(name, members string) string {
	return operation("SessionManager", "SessionManager", name, members)
}

// soapFault is a fault as a client decodes it.
type soapFault struct {
	Code   string `xml:"Body>Fault>faultcode"`
	Text   string `xml:"Body>Fault>faultstring"`
	Detail struct {
		Faults []struct {
			XMLName xml.Name
			Type    string `xml:"http://www.w3.org/2001/XMLSchema-instance type,attr"`
			Inner   string `xml:",innerxml"`
		} `xml:",any"`
	} `xml:"Body>Fault>detail"`
}

// wantFault checks that the response is the given fault, and has the form that all faults have.
func wantFault(t *testing.T, w *httptest.ResponseRecorder, code, kind string) soapFault {
	t.Helper()
	var f soapFault
	if err := xml.Unmarshal(w.Body.Bytes(), &f); err != nil {
		t.Fatalf("the body %.300q is not XML: %v", w.Body, err)
	}
	if w.Code != 500 || f.Code != code || f.Text == "" || w.Header().Get("Content-Type") != "text/xml; charset=utf-8" ||
		w.Header().Get("Set-Cookie") != "" {
		t.Errorf("%d %v %.400s, want 500 %s", w.Code, w.Header(), w.Body, code)
	}
	if len(f.Detail.Faults) != 1 {
		t.Fatalf("the detail is of %d elements: %.400s", len(f.Detail.Faults), w.Body)
	}
	if d := f.Detail.Faults[0]; d.Type != kind || d.XMLName != (xml.Name{Space: nsVim, Local: kind + "Fault"}) {
		t.Errorf("the detail is %+v %.400s, want %s", d, w.Body, kind)
	}
	return f
}
