package vijson_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"

	"github.com/vigate/vigate/internal/binding"
	"github.com/vigate/vigate/internal/peer"
	"github.com/vigate/vigate/internal/vectors"
	"github.com/vigate/vigate/internal/vijson"
	"github.com/vigate/vigate/internal/vim"
)

const (
	root   = "https://vigate.test"
	prefix = "/sdk/vim25/8.0.1.0/"
)

// overWire makes the calls of vectors over VI JSON. It checks each request and response against the
// server's own OpenAPI document.
type overWire struct {
	handler http.Handler
	router  func() (routers.Router, error)
}

func newBinding(t testing.TB, api *vim.API) *overWire {
	t.Helper()
	mux := http.NewServeMux()
	vijson.Mount(mux, api, binding.NewBodies(0))
	return &overWire{handler: mux, router: sync.OnceValues(func() (routers.Router, error) { return newRouter(mux) })}
}

// newRouter reads the server's OpenAPI document.
func newRouter(handler http.Handler) (routers.Router, error) {
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequest("GET", root+prefix+"openapi.json", nil))
	doc, err := openapi3.NewLoader().LoadFromData(w.Body.Bytes())
	if err != nil {
		return nil, err
	}
	// The URL in the document has no host. It is relative to the URL of the document.
	doc.Servers[0].URL = root + doc.Servers[0].URL
	for _, item := range doc.Paths.Map() {
		for _, s := range item.Servers {
			s.URL = root + s.URL
		}
	}
	return legacy.NewRouter(doc)
}

func (b *overWire) Do(ctx context.Context, c vectors.Call) (vectors.Outcome, error) {
	method, body := "POST", []byte(c.Args)
	if c.Read {
		method = "GET"
	}
	r := httptest.NewRequest(method, root+prefix+c.Object.Type+"/"+url.PathEscape(c.Object.Value)+"/"+c.Name,
		bytes.NewReader(body))
	if len(body) > 0 {
		r.Header.Set("Content-Type", "application/json")
	}
	if c.Token != "" {
		r.Header.Set("vmware-api-session-id", c.Token)
	}
	if c.AcceptLanguage != "" {
		r.Header.Set("Accept-Language", c.AcceptLanguage)
	}
	w := httptest.NewRecorder()
	b.handler.ServeHTTP(w, r.WithContext(peer.With(ctx, &c.Peer)))
	r.Body = io.NopCloser(bytes.NewReader(body))
	if err := b.validate(ctx, r, w); err != nil {
		return vectors.Outcome{}, fmt.Errorf("%s %s: %d %s: %w", method, r.URL.Path, w.Code, w.Body, err)
	}
	return outcome(w)
}

// validate checks a request and its response against the document.
func (b *overWire) validate(ctx context.Context, r *http.Request, w *httptest.ResponseRecorder) error {
	router, err := b.router()
	if err != nil {
		return err
	}
	route, params, err := router.FindRoute(r)
	if err != nil && unknown(w.Body.Bytes()) {
		return nil // the document does not have operations that are not served
	}
	if err != nil {
		return fmt.Errorf("find in document: %w", err)
	}
	options := &openapi3filter.Options{
		IncludeResponseStatus: true,
		AuthenticationFunc:    openapi3filter.NoopAuthenticationFunc,
	}
	request := &openapi3filter.RequestValidationInput{Request: r, PathParams: params, Route: route, Options: options}
	// These faults can be returned before the arguments are read, so the arguments may be invalid.
	refused := slices.ContainsFunc([]string{"Invalid", "ManagedObjectNotFound", "NotAuthenticated"},
		func(kind string) bool {
			return strings.HasPrefix(w.Body.String(), `{"_typeName":"`+kind)
		})
	if err := openapi3filter.ValidateRequest(ctx, request); err != nil && !refused {
		return fmt.Errorf("the request is not as documented: %w", err)
	}
	response := &openapi3filter.ResponseValidationInput{RequestValidationInput: request, Status: w.Code,
		Header: w.Header(), Options: options}
	if w.Code != http.StatusNoContent {
		response.SetBodyBytes(w.Body.Bytes())
	}
	if err := openapi3filter.ValidateResponse(ctx, response); err != nil {
		return fmt.Errorf("the answer is not as documented: %w", err)
	}
	return nil
}

func unknown(body []byte) bool {
	for _, fault := range []string{"MethodNotFound", "InvalidProperty", "InvalidType", "ManagedObjectNotFound"} {
		if bytes.HasPrefix(body, []byte(`{"_typeName":"`+fault+`"`)) {
			return true
		}
	}
	return false
}

func outcome(w *httptest.ResponseRecorder) (vectors.Outcome, error) {
	o := vectors.Outcome{Token: w.Header().Get("vmware-api-session-id")}
	switch w.Code {
	case http.StatusOK:
		o.Result = w.Body.Bytes()
	case http.StatusNoContent:
	case http.StatusInternalServerError:
		o.Fault = w.Body.Bytes()
	default:
		return o, fmt.Errorf("status %d: %s", w.Code, w.Body)
	}
	return o, nil
}

func TestVectors(t *testing.T) {
	var first *overWire
	vectors.Run(t, func(t testing.TB, api *vim.API) vectors.Binding {
		b := newBinding(t, api)
		if first == nil {
			first = b
		}
		b.router = first.router // all servers have the same document
		return b
	})
}
