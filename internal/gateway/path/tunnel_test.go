package path

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// socket switches to a protocol that sends every line back.
func socket(w http.ResponseWriter, r *http.Request) {
	c, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer c.Close()
	fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n",
		r.Header.Get("Upgrade"))
	for {
		line, err := rw.ReadString('\n')
		if err != nil {
			return
		}
		_, _ = io.WriteString(c, line)
	}
}

// openSocket opens a WebSocket through the front.
func openSocket(t *testing.T, address string) (net.Conn, *bufio.Reader) {
	t.Helper()
	u, _ := url.Parse(address)
	c, err := net.Dial("tcp", u.Host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	fmt.Fprintf(c, "GET /ticket/x HTTP/1.1\r\nHost: front\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Cookie: vmware_soap_session=%s\r\n\r\n", token)
	in := bufio.NewReader(c)
	res, err := http.ReadResponse(in, nil)
	if err != nil || res.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%v, %v", res, err)
	}
	return c, in
}

func TestAWebSocketPassesAndEndsWithItsClientSession(t *testing.T) {
	w := newWorld(t, http.HandlerFunc(socket))
	c, in := openSocket(t, w.front().URL)
	fmt.Fprint(c, "hello\n")
	if line, err := in.ReadString('\n'); err != nil || line != "hello\n" {
		t.Fatalf("%q, %v", line, err)
	}
	if !w.accesses[0].Waits {
		t.Error("the front does not know that it stays open")
	}
	close(w.over)
	if b, err := in.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("after the end: %q, %v", b, err)
	}
}

func TestAWebSocketEndsWhenTheServerShutsDown(t *testing.T) {
	w := newWorld(t, http.HandlerFunc(socket))
	draining := make(chan struct{})
	w.Draining = draining
	_, in := openSocket(t, w.front().URL)
	close(draining)
	if b, err := in.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("after the end: %q, %v", b, err)
	}
}

func TestServicesWithLoginsOfTheirOwnGetNoCredentials(t *testing.T) {
	s := &seen{}
	w := newWorld(t, echo(s, "Content-Type", "text/xml", "Set-Cookie", "JSESSIONID=1"))
	url := "<u>http://" + w.upstream.Host + "/sdk</u>"
	res, body := w.do("POST", "/sts/STSService", url, "Content-Type", "text/xml", "Authorization", "Basic YTpi")
	got, _ := s.last()
	if res.StatusCode != http.StatusOK || body != url || got.Header.Get("Cookie") != "" ||
		got.Header.Get("Authorization") != "" || len(res.Header["Set-Cookie"]) > 0 {
		t.Errorf("%s %q, the upstream got %v", res.Status, body, got.Header)
	}
	_, body = w.do("POST", "/lookupservice/sdk", url, "Content-Type", "text/xml")
	if strings.Contains(body, w.upstream.Host) || len(w.accesses) != 0 {
		t.Errorf("the lookup service answered %q", body)
	}
}

func TestADocumentForEverybodyComesFromACache(t *testing.T) {
	s := &seen{}
	w := newWorld(t, echo(s, "Content-Type", "text/xml"))
	for range 3 {
		res, _ := w.ask(w.front().URL, "GET", "/sdk/vsanServiceVersions.xml", "")
		if res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "text/xml" {
			t.Errorf("%s %v", res.Status, res.Header)
		}
	}
	if len(s.all) != 1 {
		t.Errorf("the upstream was asked %d times", len(s.all))
	}
}

func TestACompressedMessageIsNotPassedOnUnread(t *testing.T) {
	w := newWorld(t, echo(&seen{}, "Content-Type", "application/json", "Content-Encoding", "gzip"))
	res, body := w.do("POST", "/api/x", "upstream-key-1")
	if res.StatusCode < 500 || strings.Contains(body, "upstream-key-1") {
		t.Errorf("%s %q", res.Status, body)
	}
}

func TestARequestOfAnotherOriginIsRefused(t *testing.T) {
	s := &seen{}
	w := newWorld(t, echo(s))
	res, _ := w.do("POST", "/folder/x", "", "Sec-Fetch-Site", "cross-site")
	if r, _ := s.last(); res.StatusCode != http.StatusForbidden || r != nil {
		t.Errorf("%s, the upstream got %v", res.Status, r)
	}
}

func TestABodyThatIsTooLargeIsRefused(t *testing.T) {
	w := newWorld(t, echo(&seen{}))
	res, _ := w.do("POST", "/sts/STSService", string(bytes.Repeat([]byte{'x'}, maxOpenBody+1)))
	if res.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("%s", res.Status)
	}
}
