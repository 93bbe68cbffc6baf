package soap

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/vigate/vigate/internal/wsdl"
)

// get reads a file of the description.
func (f *fakeAPI) get(path string, change func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", path, nil)
	if change != nil {
		change(r)
	}
	w := httptest.NewRecorder()
	f.mux().ServeHTTP(w, r)
	return w
}

func TestTheDescriptionIsWhereVCenterHasIt(t *testing.T) {
	f := newFake()
	service := []string{"/sdk/vimService.wsdl", "/sdk/vim25/vimService.wsdl"}
	for _, query := range []string{"?wsdl", "?WSDL", "?Wsdl", "?wsdl="} {
		service = append(service, "/sdk/vimService"+query, "/sdk/webService"+query, "/sdk/"+query)
	}
	for _, path := range service {
		w := f.get(path, nil)
		if w.Code != 200 || w.Header().Get("Content-Type") != "text/xml; charset=utf-8" ||
			!strings.Contains(w.Body.String(), `xmlns:interface="urn:vim25"`) ||
			!strings.Contains(w.Body.String(), `location="https://example.com/sdk/vimService"`) {
			t.Errorf("%s: %d %v %s", path, w.Code, w.Header(), w.Body)
		}
	}
	for _, name := range wsdl.Names() {
		for _, folder := range []string{"/sdk/", "/sdk/vim25/"} {
			w := f.get(folder+name, nil)
			if w.Code != 200 || !strings.HasPrefix(w.Body.String(), "<?xml") || !Serves(folder+name) {
				t.Errorf("%s%s: %d %.100s", folder, name, w.Code, w.Body)
			}
		}
	}
	for _, path := range []string{
		"/sdk", "/sdk?wsdl", "/sdk/vimService", "/sdk/", "/sdk/vimService?xwsdl", "/sdk/x.xsd",
	} {
		if w := f.get(path, nil); w.Code != 404 {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}

func TestTheAddressIsTheOneThatTheClientUsed(t *testing.T) {
	f := newFake()
	for host, want := range map[string]string{
		"h.example:8443": "https://h.example:8443/", "[::1]:1": "https://[::1]:1/", "": "https://localhost/",
		`h"><x`: "https://localhost/", "user@h": "https://localhost/", "h/x": "https://localhost/",
	} {
		w := f.get("/sdk/vimService.wsdl", func(r *http.Request) { r.Host = host })
		if !strings.Contains(w.Body.String(), `<soap:address location="`+want+`sdk/vimService"/>`) {
			t.Errorf("%q: %s", host, w.Body)
		}
	}
	f.from.TLS = false
	if w := f.get("/sdk/vimService.wsdl", nil); !strings.Contains(w.Body.String(), `"http://example.com/sdk`) {
		t.Errorf("over plain HTTP: %s", w.Body)
	}
	f.from.ProxyTLS = true
	if w := f.get("/sdk/vimService.wsdl", nil); !strings.Contains(w.Body.String(), `"https://example.com/sdk`) {
		t.Errorf("behind a proxy: %s", w.Body)
	}
}

func TestACopyOfAFileIsUsedAsLongAsItIsCurrent(t *testing.T) {
	f := newFake()
	for _, path := range []string{"/sdk/vimService.wsdl", "/sdk/vim.wsdl", "/sdk/vim-types.xsd"} {
		for _, encoding := range []string{"", "deflate, gzip", "gzip;q=0"} {
			accept := func(r *http.Request) { r.Header.Set("Accept-Encoding", encoding) }
			w := f.get(path, accept)
			tag := w.Header().Get("ETag")
			if len(tag) < 34 || w.Header().Get("Cache-Control") != "private, no-cache" ||
				w.Header().Get("Vary") != "Accept-Encoding" {
				t.Errorf("%s: %v", path, w.Header())
			}
			for known, status := range map[string]int{
				tag: 304, "W/" + tag: 304, `"x", ` + tag: 304, "*": 304, `"x"`: 200,
			} {
				again := f.get(path, func(r *http.Request) {
					accept(r)
					r.Header.Set("If-None-Match", known)
				})
				if again.Code != status || again.Header().Get("ETag") != tag || status == 304 && again.Body.Len() > 0 {
					t.Errorf("%s with %s: %d %v", path, known, again.Code, again.Header())
				}
			}
			head := f.get(path, func(r *http.Request) { accept(r); r.Method = "HEAD" })
			if head.Body.Len() > 0 || head.Header().Get("Content-Length") != w.Header().Get("Content-Length") {
				t.Errorf("HEAD %s: %v", path, head.Header())
			}
		}
	}
}

func TestAFileIsCompressedForClientsThatKnowIt(t *testing.T) {
	f := newFake()
	plain := f.get("/sdk/vim.wsdl", nil)
	for accept, want := range map[string]bool{
		"gzip": true, "deflate, GZIP;q=0.5": true, "gzip;q=1.0": true, "gzip; q=0.001": true,
		"gzip;q=0": false, "gzip;q=0.000": false, "br": false, "xgzip": false, "": false,
	} {
		w := f.get("/sdk/vim.wsdl", func(r *http.Request) { r.Header.Set("Accept-Encoding", accept) })
		body := w.Body.Bytes()
		if got := w.Header().Get("Content-Encoding"); (got == "gzip") != want {
			t.Errorf("%q: %q", accept, got)
		}
		if want {
			z, err := gzip.NewReader(w.Body)
			if err != nil {
				t.Fatal(err)
			}
			if body, err = io.ReadAll(z); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(body, plain.Body.Bytes()) {
			t.Errorf("%q: another file", accept)
		}
	}
}

func TestADescriptionThatCannotBeMadeIsAFault(t *testing.T) {
	f := newFake()
	mux := http.NewServeMux()
	h := newHandler(f, f.bodies, nil, "8.0.3.0")
	h.describe = func() (*wsdl.Documents, error) { return nil, errors.New("broken") }
	h.mount(mux)
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, f.known(httptest.NewRequest("GET", "/sdk/vim.wsdl", nil)))
	wantFault(t, w, "ServerFaultCode", "SystemError")
}

func TestMessagesArePostedToTheAddressInTheDescriptionOrToTheFileItself(t *testing.T) {
	f := newFake()
	for _, path := range []string{
		"/sdk", "/sdk/", "/sdk/vimService", "/sdk/vimService.wsdl", "/sdk/vimService?wsdl", "/sdk/webService",
		"/sdk/vim25/vimService", "/sdk/vim25/vimService.wsdl", "/sdk/vim.wsdl",
	} {
		w := f.post(envelope(manager("Logout", "")), func(r *http.Request) {
			r.URL.Path, r.URL.RawQuery, _ = strings.Cut(path, "?")
		})
		path, _, _ := strings.Cut(path, "?")
		if w.Code != 200 || !strings.Contains(w.Body.String(), "LogoutResponse") || !Serves(path) {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	if Serves("/sdk/vim25/8.0.3.0/SessionManager/SessionManager/Login") || Serves("/sdk/{$}") {
		t.Error("messages are not posted there")
	}
}
