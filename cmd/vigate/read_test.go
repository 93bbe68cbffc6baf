package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/vigate/vigate/internal/config"
	"github.com/vigate/vigate/internal/peer"
)

// unsent is a response writer that discards the response.
type unsent struct {
	header http.Header
	length int
}

func (u *unsent) Header() http.Header { return u.header }
func (u *unsent) WriteHeader(int)     {}
func (u *unsent) Write(p []byte) (int, error) {
	u.length += len(p)
	return len(p), nil
}

// reader returns a function that calls the server's handler with the most frequent request. It uses
// no network and no HTTP server.
func reader(t testing.TB) (read func() int) {
	r := start(t, t.TempDir(), func(c *config.Config) { c.AdminListen = "127.0.0.1:0" }) // with metrics
	token, _ := r.login(t, httpClient(t))
	request := httptest.NewRequest("GET", "/sdk/vim25/8.0.3.0/"+sm+"currentSession", nil)
	request.Header.Set("vmware-api-session-id", token)
	request.Header.Set("User-Agent", "reader")
	return r.repeat(request, func() {})
}

// repeat returns a function that calls the handler with the request and returns the length of the
// response. ready is called before each request.
func (r *running) repeat(request *http.Request, ready func()) func() int {
	routes, w := r.Handler(), &unsent{header: http.Header{}}
	request = request.WithContext(peer.With(request.Context(), &peer.Peer{Address: "192.0.2.1"}))
	return func() int {
		clear(w.header)
		w.length = 0
		ready()
		routes.ServeHTTP(w, request)
		return w.length
	}
}

func TestAReadAllocatesLittle(t *testing.T) {
	read := reader(t)
	if n := read(); n < 300 {
		t.Fatalf("the response has %d bytes", n)
	}
	// The allocations are: the call, the session and its key; the match of the ServeMux; the length
	// header; and buffers, if a garbage collection or the race detector has emptied the pool.
	const most = 8 + 3
	if got := testing.AllocsPerRun(1000, func() { read() }); got > most {
		t.Errorf("%v allocations, want %d at most", got, most)
	}
}

func BenchmarkARead(b *testing.B) {
	read := reader(b)
	b.ReportAllocs()
	for b.Loop() {
		read()
	}
}

// soapReader does the same as reader for the request that govmomi sends over SOAP.
func soapReader(t testing.TB) (read func() int) {
	const body = `<?xml version="1.0" encoding="UTF-8"?>
<Envelope xmlns="http://schemas.xmlsoap.org/soap/envelope/"><Body>` +
		`<RetrievePropertiesEx xmlns="urn:vim25"><_this type="PropertyCollector">propertyCollector</_this>` +
		`<specSet><propSet><type>SessionManager</type><pathSet>currentSession</pathSet></propSet>` +
		`<objectSet><obj type="SessionManager">SessionManager</obj></objectSet></specSet><options></options>` +
		`</RetrievePropertiesEx></Body></Envelope>`
	r := start(t, t.TempDir(), func(c *config.Config) { c.AdminListen = "127.0.0.1:0" })
	token, _ := r.login(t, httpClient(t))
	text := strings.NewReader(body)
	request := httptest.NewRequest("POST", "/sdk", nil)
	request.ContentLength = int64(len(body))
	request.Body = io.NopCloser(text)
	request.Header.Set("Cookie", `vmware_soap_session="`+token+`"`)
	request.Header.Set("Content-Type", `text/xml; charset="utf-8"`)
	request.Header.Set("SOAPAction", "urn:vim25/8.0.3.0")
	return r.repeat(request, func() { text.Reset(body) })
}

func TestAReadOverSOAPAllocatesLittle(t *testing.T) {
	read := soapReader(t)
	if n := read(); n < 800 {
		t.Fatalf("the response has %d bytes", n)
	}
	// The allocations are: the body, the call with its message, its arguments and space for them;
	// the reader, the filter and the result; the session and its key.
	const most = 10 + 5
	if got := testing.AllocsPerRun(1000, func() { read() }); got > most {
		t.Errorf("%v allocations, want %d at most", got, most)
	}
}

func BenchmarkAReadOverSOAP(b *testing.B) {
	read := soapReader(b)
	if n := read(); n < 800 {
		b.Fatalf("the response has %d bytes", n)
	}
	b.ReportAllocs()
	for b.Loop() {
		read()
	}
}

func TestResponsesOverSOAPDeclareTheirLength(t *testing.T) {
	r := start(t, t.TempDir(), nil)
	c := httpClient(t)
	token, _ := r.login(t, c)
	for _, base := range []string{r.plain, r.tls} {
		for _, of := range []string{"SessionManager.defaultLocale", "ServiceInstance.content"} {
			object, property, _ := strings.Cut(of, ".")
			req, err := http.NewRequest("POST", base+"/sdk",
				strings.NewReader(`<Envelope xmlns="http://schemas.xmlsoap.org/soap/envelope/"><Body>`+
					`<Fetch xmlns="urn:vim25"><_this type="`+object+`">`+object+`</_this><prop>`+property+
					`</prop></Fetch></Body></Envelope>`))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("vmware-api-session-id", token)
			resp, err := c.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err != nil || resp.StatusCode != 200 || len(resp.TransferEncoding) > 0 || len(body) == 0 ||
				resp.ContentLength != int64(len(body)) {
				t.Errorf("%s %s: %d, length %d of %d, %v, %v", resp.Proto, of, resp.StatusCode, resp.ContentLength,
					len(body), resp.TransferEncoding, err)
			}
		}
	}
}

func TestResponsesDeclareTheirLength(t *testing.T) {
	r := start(t, t.TempDir(), nil)
	c := httpClient(t)
	token, _ := r.login(t, c)
	for _, base := range []string{r.plain, r.tls} { // HTTP/1.1 and HTTP/2
		// One response is so short that net/http sets its length, and one is longer.
		for _, path := range []string{sm + "defaultLocale", "ServiceInstance/ServiceInstance/content"} {
			lengths := map[string]int64{}
			for _, method := range []string{"GET", "HEAD"} {
				req, err := http.NewRequest(method, base+"/sdk/vim25/8.0.1.0/"+path, nil)
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("vmware-api-session-id", token)
				resp, err := c.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				body, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if err != nil || resp.StatusCode != 200 || len(resp.TransferEncoding) > 0 || method == "GET" &&
					resp.ContentLength != int64(len(body)) {
					t.Errorf("%s %s %s: %d, length %d of %d, %v, %v", resp.Proto, method, path, resp.StatusCode,
						resp.ContentLength, len(body), resp.TransferEncoding, err)
				}
				lengths[method] = resp.ContentLength
			}
			if got := lengths["HEAD"]; got < 1 || got != lengths["GET"] {
				t.Errorf("%s %s: lengths %v", base, path, lengths)
			}
		}
	}
}
