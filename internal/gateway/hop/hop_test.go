package hop_test

import (
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/vigate/vigate/internal/gateway/hop"
)

func TestNeitherCredentialsNorTheConnectionPass(t *testing.T) {
	same := func(s string) string { return strings.ToUpper(s) }
	request := http.Header{
		"Cookie": {"a=b"}, "Authorization": {"Basic x"}, "Vmware-Api-Session-Id": {"x"}, "Accept-Encoding": {"gzip"},
		"Connection": {"close, X-Mine", "y-mine"}, "X-Mine": {"1"}, "Y-Mine": {"1"}, "Te": {"trailers"},
		"Soapaction": {"urn:vim25/8.0"}, "X-Other": {"1", "2"}, "X-Forwarded-For": {"192.0.2.1"}, "Via": {"1.1 a"},
		"X-Forwarded-Client-Cert": {"By=a"}, "X-Original-Url": {"/b"}, "X-Http-Method-Override": {"DELETE"},
		"X_forwarded_for": {"192.0.2.1"}, "Http2-Settings": {"AAMAAABk"}, "X-Session": {`a="front's token"`},
	}
	got := hop.Request(request, "front's token")
	if len(got) != 2 || len(got["X-Other"]) != 2 || got.Get("SOAPAction") == "" {
		t.Errorf("the request goes with %v", got)
	}
	answer := http.Header{
		"Set-Cookie": {"a=b"}, "Vmware-Api-Session-Id": {"x"}, "Content-Length": {"7"}, "Content-Type": {"text/xml"},
		"Www-Authenticate": {"Basic"}, "Alt-Svc": {`h3=":443"`},
	}
	before := maps.Clone(answer)
	if got := hop.Answer(answer, same); len(got) != 1 || got.Get("Content-Type") != "TEXT/XML" {
		t.Errorf("the answer goes with %v", got)
	}
	if !maps.EqualFunc(before, answer, func(a, b []string) bool { return a[0] == b[0] }) {
		t.Error("the upstream's headers are changed")
	}
}

func TestAQueryPassesWithoutTheToken(t *testing.T) {
	for query, want := range map[string]string{
		"": "", "wsdl": "wsdl", "a=%20b&c;d&&e=f": "a=%20b&c;d&&e=f", "a=1&token=secret&b=2": "a=1&b=2",
		"x=%73ecret": "", "secret": "", "a=%zz&b=secret": "a=%zz",
	} {
		if got := hop.Query(query, "secret"); got != want {
			t.Errorf("%q became %q, want %q", query, got, want)
		}
	}
	if got := hop.Query("a=1", ""); got != "a=1" {
		t.Errorf("without a token: %q", got)
	}
}

func TestAnEncodingIsSeen(t *testing.T) {
	for value, want := range map[string]bool{
		"": false, "identity": false, "gzip": true, "Identity": false, "br": true,
	} {
		if got := hop.Encoded(http.Header{"Content-Encoding": {value}}); got != want {
			t.Errorf("%q: %v", value, got)
		}
	}
	if !hop.Encoded(http.Header{"Content-Encoding": {"identity", "gzip"}}) {
		t.Error("the second encoding is not seen")
	}
}

// written is a connection that tells the parts that are written.
type written struct {
	net.Conn
	parts chan<- string
}

func (w written) Write(b []byte) (int, error) {
	w.parts <- string(b)
	return w.Conn.Write(b)
}

func TestARequestIsSentInOnePartAndKnownToBeSent(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(w, r.Body) // the client compares
	}))
	defer server.Close()
	parts := make(chan string, 10)
	refused := errors.New("refused")
	reachable := false
	transport := &http.Transport{DialContext: func(ctx context.Context, network, at string) (net.Conn, error) {
		if !reachable {
			return nil, refused
		}
		c, err := (&net.Dialer{}).DialContext(ctx, network, at)
		return written{c, parts}, err
	}}
	defer transport.CloseIdleConnections()
	send := func() (begun bool, answer string, err error) {
		var sent atomic.Bool
		r, err := http.NewRequestWithContext(hop.Sending(t.Context(), &sent), http.MethodPost, server.URL,
			hop.Body([]byte("the body")))
		if err != nil {
			t.Fatal(err)
		}
		r.ContentLength = int64(len("the body"))
		a, err := transport.RoundTrip(r)
		if err != nil {
			return sent.Load(), "", err
		}
		defer func() { _ = a.Body.Close() }()
		b, err := io.ReadAll(a.Body)
		return sent.Load(), string(b), err
	}
	if begun, _, err := send(); begun || !errors.Is(err, refused) {
		t.Errorf("without a connection: %v, sent %v", err, begun)
	}
	reachable = true
	begun, answer, err := send()
	if !begun || answer != "the body" || err != nil {
		t.Errorf("%q %v, sent %v", answer, err, begun)
	}
	if part := <-parts; len(parts) > 0 || !strings.HasSuffix(part, "\r\n\r\nthe body") {
		t.Errorf("the first of %d parts is %q", len(parts)+1, part)
	}
}

func TestOnlyUTF8IsSaidToBeUTF8(t *testing.T) {
	for value, want := range map[string]bool{
		"text/xml": true, "text/xml; charset=utf-8": true, `text/xml; charset="UTF-8"`: true, "": true,
		"text/xml; charset=utf-16": false, "text/xml; charset=utf-7": false,
	} {
		if got := hop.InUTF8(http.Header{"Content-Type": {value}}); got != want {
			t.Errorf("%q: %v", value, got)
		}
	}
	if got := hop.Printable("a b\n" + strings.Repeat("x", 999)); !strings.HasPrefix(got, "a.b.x") || len(got) != 128 {
		t.Errorf("the log gets %q", got)
	}
}
