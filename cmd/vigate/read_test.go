package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
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

// soapRead reads the current session in the way of govmomi.
const soapRead = `<?xml version="1.0" encoding="UTF-8"?>
<Envelope xmlns="http://schemas.xmlsoap.org/soap/envelope/"><Body>` +
	`<RetrievePropertiesEx xmlns="urn:vim25"><_this type="PropertyCollector">propertyCollector</_this>` +
	`<specSet><propSet><type>SessionManager</type><pathSet>currentSession</pathSet></propSet>` +
	`<objectSet><obj type="SessionManager">SessionManager</obj></objectSet></specSet><options></options>` +
	`</RetrievePropertiesEx></Body></Envelope>`

// soapReader does the same as reader for the request that govmomi sends over SOAP.
func soapReader(t testing.TB) (read func() int) {
	r := start(t, t.TempDir(), func(c *config.Config) { c.AdminListen = "127.0.0.1:0" })
	token, _ := r.login(t, httpClient(t))
	text := strings.NewReader(soapRead)
	request := httptest.NewRequest("POST", "/sdk", nil)
	request.ContentLength = int64(len(soapRead))
	request.Body = io.NopCloser(text)
	request.Header.Set("Cookie", `vmware_soap_session="`+token+`"`)
	request.Header.Set("Content-Type", `text/xml; charset="utf-8"`)
	request.Header.Set("SOAPAction", "urn:vim25/8.0.3.0")
	return r.repeat(request, func() { text.Reset(soapRead) })
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

// BenchmarkOverLoopback sends the requests of the other benchmarks over one connection of HTTP/1.1, to
// the whole server and to a bare net/http server that does the least for the same answer to
// VI JSON. The client allocates nothing, so the difference is what this server adds to net/http.
func BenchmarkOverLoopback(b *testing.B) {
	r := start(b, b.TempDir(), func(c *config.Config) {
		c.AdminListen, c.LogLevel = "127.0.0.1:0", slog.LevelInfo // with metrics, without a log of each request
	})
	token, _ := r.login(b, httpClient(b))
	address := strings.TrimPrefix(r.plain, "http://")
	get := "GET /sdk/vim25/8.0.3.0/" + sm + "currentSession HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: reader\r\n" +
		"vmware-api-session-id: " + token + "\r\n\r\n"
	post := fmt.Sprintf("POST /sdk HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: reader\r\n"+
		"Cookie: vmware_soap_session=\"%s\"\r\nContent-Type: text/xml; charset=\"utf-8\"\r\n"+
		"SOAPAction: urn:vim25/8.0.3.0\r\nContent-Length: %d\r\n\r\n%s", token, len(soapRead), soapRead)
	body := exchanged(b, address, get)
	floor := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("vmware-api-session-id") != token {
			http.Error(w, "who are you", http.StatusInternalServerError)
			return
		}
		h := w.Header()
		h["Cache-Control"], h["X-Content-Type-Options"] = []string{"no-store"}, []string{"nosniff"}
		h["Content-Type"], h["Content-Length"] = []string{"application/json"}, []string{strconv.Itoa(len(body))}
		_, _ = w.Write(body)
	}))
	b.Cleanup(floor.Close)
	for _, c := range []struct{ name, address, request string }{
		{"floor", floor.Listener.Addr().String(), get}, {"vijson", address, get}, {"soap", address, post},
	} {
		b.Run(c.name, func(b *testing.B) {
			conn := dialed(b, c.address)
			request, buffer := []byte(c.request), make([]byte, 8<<10)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := conn.Write(request); err != nil {
					b.Fatal(err)
				}
				// The response comes in one piece: it is shorter than net/http's buffer.
				if n, err := conn.Read(buffer); err != nil || !bytes.HasPrefix(buffer[:n], []byte("HTTP/1.1 200 ")) {
					b.Fatalf("%q, %v", buffer[:n], err)
				}
			}
		})
	}
}

func dialed(b *testing.B, address string) net.Conn {
	b.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { c.Close() })
	return c
}

// exchanged sends a request and returns the body of the response.
func exchanged(b *testing.B, address, request string) []byte {
	b.Helper()
	c := dialed(b, address)
	if _, err := io.WriteString(c, request); err != nil {
		b.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		b.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		b.Fatalf("%d %s %v", resp.StatusCode, body, err)
	}
	return body
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
