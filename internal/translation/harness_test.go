package translation_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/binding"
	"github.com/vigate/vigate/internal/translation"
	"github.com/vigate/vigate/internal/vijson"
	"github.com/vigate/vigate/internal/vim"
	"github.com/vigate/vigate/internal/vim/vimtest"
)

// front is a front of which a test says what the server behind answers.
type front struct {
	content types.ServiceContent
	fault   *vim.Fault // of every call
	status  int
	answer  func(*translation.Call) io.Reader

	mu    sync.Mutex // guards calls and open
	calls []*translation.Call
	open  int // bodies that have not been closed
}

func (f *front) Content(context.Context) (*types.ServiceContent, *vim.Fault) { return &f.content, nil }

func (f *front) Forward(_ context.Context, c *translation.Call) (*translation.Answer, *vim.Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, c)
	if f.fault != nil {
		return nil, f.fault
	}
	f.open++
	status := f.status
	if status == 0 {
		status = http.StatusOK
	}
	return &translation.Answer{Status: status, Body: &body{f.answer(c), f}}, nil
}

// body is the body of an answer, which must be closed.
type body struct {
	io.Reader
	front *front
}

func (b *body) Close() error {
	b.front.mu.Lock()
	defer b.front.mu.Unlock()
	b.front.open--
	return nil
}

// handler returns the VI JSON of a front whose own API has no objects.
func handler(t testing.TB, f translation.Front) http.Handler {
	t.Helper()
	fixture := vimtest.New(t)
	api := vim.New(fixture.Domain, vim.Options{Logger: slog.New(slog.DiscardHandler)})
	mux := http.NewServeMux()
	vijson.MountWith(mux, api, binding.NewBodies(0), translation.New(f))
	return mux
}

const base = "/sdk/vim25/8.0.3.0/"

// answers returns a front that answers every call with the content of a response.
func answers(content string) *front {
	return &front{
		content: types.ServiceContent{
			About:             types.AboutInfo{ApiVersion: "8.0.2.0"},
			PropertyCollector: types.ManagedObjectReference{Type: "PropertyCollector", Value: "propertyCollector"},
		},
		answer: func(c *translation.Call) io.Reader { return strings.NewReader(envelope(c.Name, content)) },
	}
}

func envelope(method, content string) string {
	return `<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope ` +
		`xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns:xsd="http://www.w3.org/2001/XMLSchema" ` +
		`xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body><` + method +
		`Response xmlns="urn:vim25">` + content + "</" + method + `Response></soapenv:Body></soapenv:Envelope>`
}

func faultEnvelope(detail string) string {
	return `<Envelope xmlns="http://schemas.xmlsoap.org/soap/envelope/" ` +
		`xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><Body><Fault><faultcode>ServerFaultCode</faultcode>` +
		`<faultstring>It is &lt;not&gt; there.</faultstring>` + detail + `</Fault></Body></Envelope>`
}

func send(h http.Handler, method, path, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// wantFault checks that the response is a fault of the type.
func wantFault(t *testing.T, w *httptest.ResponseRecorder, status int, kind string) map[string]any {
	t.Helper()
	var got map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatalf("the body %.200q is not JSON: %v", w.Body, err)
	}
	if text, _ := got["faultstring"].(string); w.Code != status || got["_typeName"] != kind || text == "" {
		t.Errorf("%d %.300s, want %d %s", w.Code, w.Body, status, kind)
	}
	return got
}

// vcenter is a front with govmomi's simulator behind. All its clients share one session.
type vcenter struct {
	url    string
	client *http.Client
	shown  types.ServiceContent
}

func (v *vcenter) Content(context.Context) (*types.ServiceContent, *vim.Fault) { return &v.shown, nil }

func (v *vcenter) Forward(ctx context.Context, c *translation.Call) (*translation.Answer, *vim.Fault) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, v.url, bytes.NewReader(c.Message))
	if err != nil {
		return nil, vim.FaultOf(err)
	}
	r.Header.Set("Content-Type", "text/xml; charset=utf-8")
	r.Header.Set("SOAPAction", c.Action)
	res, err := v.client.Do(r)
	if err != nil {
		return nil, vim.FaultOf(err)
	}
	return &translation.Answer{Status: res.StatusCode, Body: res.Body}, nil
}

// simulated runs the simulator, and returns clients of it: over SOAP, and over VI JSON through a front.
func simulated(t testing.TB, model *simulator.Model) (direct, translated *vim25.Client, h http.Handler) {
	t.Helper()
	if err := model.Create(); err != nil {
		t.Fatalf("make inventory: %v", err)
	}
	t.Cleanup(model.Remove)
	model.Service.RegisterEndpoints = false
	server := model.Service.NewServer()
	t.Cleanup(server.Close)
	ctx := context.Background()
	direct, err := vim25.NewClient(ctx, soap.NewClient(server.URL, true))
	if err != nil {
		t.Fatal(err)
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	u := *server.URL
	u.User = nil
	h = handler(t, &vcenter{u.String(), &http.Client{Jar: jar}, direct.ServiceContent})
	front := httptest.NewServer(h)
	t.Cleanup(front.Close)
	address, err := soap.ParseURL(front.URL + "/sdk")
	if err != nil {
		t.Fatal(err)
	}
	c := soap.NewClient(address, true)
	c.UseJSON(true)
	c.Namespace, c.Version = "vim25", "8.0.3.0"
	translated, err = vim25.NewClient(ctx, c)
	if err != nil {
		t.Fatalf("the first call of a client over VI JSON: %v", err)
	}
	for _, client := range []*vim25.Client{direct, translated} {
		login(ctx, t, client)
	}
	return direct, translated, h
}
