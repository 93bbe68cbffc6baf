package server

import (
	"bufio"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// smuggled is a second request. The server sees it only if it has lost track of where the first one ends.
const smuggled = "GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"

func TestAmbiguousFramingIsRefusedOrEndsTheConnection(t *testing.T) {
	seen := make(chan string, 100)
	r := start(t, Config{PlainHTTP: "127.0.0.1:0",
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			seen <- r.URL.Path
			readBody(w, r)
		})})
	post := "POST /first HTTP/1.1\r\nHost: localhost\r\n"
	for name, tt := range map[string]struct {
		request string
		want    int
	}{
		"lengths that differ":  {post + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello" + smuggled, 400},
		"a list of lengths":    {post + "Content-Length: 5, 5\r\n\r\nhello" + smuggled, 400},
		"a signed length":      {post + "Content-Length: +5\r\n\r\nhello" + smuggled, 400},
		"a negative length":    {post + "Content-Length: -5\r\n\r\nhello" + smuggled, 400},
		"a hexadecimal length": {post + "Content-Length: 0x5\r\n\r\nhello" + smuggled, 400},
		"an empty length":      {post + "Content-Length: \r\n\r\n" + smuggled, 400},
		"two transfer encodings": {post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n" +
			"0\r\n\r\n" + smuggled, 501},
		"an unknown encoding":      {post + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + smuggled, 501},
		"a list of encodings":      {post + "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + smuggled, 501},
		"a space before the colon": {post + "Content-Length : 5\r\n\r\nhello" + smuggled, 400},
		"a folded header":          {post + " Content-Length: 5\r\n\r\nhello" + smuggled, 400},
		"a bare CR in a header":    {post + "X: a\rContent-Length: 5\r\n\r\nhello" + smuggled, 400},
		"a NUL in a header":        {post + "X: a\x00b\r\nContent-Length: 5\r\n\r\nhello" + smuggled, 400},
		"two hosts": {"POST /first HTTP/1.1\r\nHost: localhost\r\nHost: y\r\nContent-Length: 5\r\n" +
			"\r\nhello" + smuggled, 400},
		"no host": {"POST /first HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello" + smuggled, 400},
		"a chunk size that is none": {post + "Transfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n" + smuggled,
			400},
		"a signed chunk size": {post + "Transfer-Encoding: chunked\r\n\r\n+5\r\nhello\r\n0\r\n\r\n" + smuggled,
			400},
		"a chunk size with 0x": {post + "Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n" + smuggled,
			400},
		"a chunk size that overflows": {post + "Transfer-Encoding: chunked\r\n\r\n10000000000000005\r\nhello\r\n0\r\n" +
			"\r\n" + smuggled, 400},
		"a chunk longer than it says": {post + "Transfer-Encoding: chunked\r\n\r\n3\r\nhello\r\n0\r\n\r\n" + smuggled,
			400},
		// net/http follows Transfer-Encoding here, as RFC 9112 §6.3 requires, and hides the length. It answers the
		// request and closes the connection.
		"a length and chunks": {post + "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled,
			200},
		"chunks and a length": {post + "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n5\r\nhello\r\n0\r\n" +
			"\r\n" + smuggled, 200},
		"chunks in HTTP/1.0": {"POST /first HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 5\r\n" +
			"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled, 200},
		"an HTTP/2 preface": {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + smuggled, 505},
	} {
		_, answer := r.raw(tt.request)
		if code := status(t, answer); code != tt.want {
			t.Errorf("%s: %d, want %d", name, code, tt.want)
		}
		if rest, err := io.ReadAll(answer); strings.Contains(string(rest), "HTTP/1") {
			t.Errorf("%s: a second answer %q, %v", name, rest, err)
		}
	}
	for len(seen) > 0 {
		if path := <-seen; path == "/smuggled" {
			t.Error("a smuggled request was served")
		}
	}
}

func TestHonestRequestsKeepTheirConnection(t *testing.T) {
	r := start(t, Config{PlainHTTP: "127.0.0.1:0", Handler: readBody})
	c, answer := r.raw("POST /a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello")
	if code := status(t, answer); code != 200 {
		t.Fatal(code)
	}
	io.WriteString(c, "GET /b HTTP/1.1\r\nHost: localhost\r\n\r\n")
	if code := status(t, answer); code != 200 {
		t.Fatal(code)
	}
}

func TestOverlongHeadersAreRefused(t *testing.T) {
	r := start(t, Config{PlainHTTP: "127.0.0.1:0", Handler: readBody, Limits: Limits{HeaderBytes: 4096}})
	_, answer := r.raw("GET / HTTP/1.1\r\nHost: localhost\r\nX: " + strings.Repeat("a", 16<<10) + "\r\n\r\n")
	if code := status(t, answer); code != 431 {
		t.Fatal(code)
	}
}

func TestASlowHeaderIsCutOff(t *testing.T) {
	r := start(t, Config{PlainHTTP: "127.0.0.1:0", Handler: readBody, Limits: Limits{Header: 30 * time.Millisecond}})
	_, answer := r.raw("GET / HTTP/1.1\r\nHos")
	if b, _ := io.ReadAll(answer); strings.Contains(string(b), "200") {
		t.Fatalf("got %q", b)
	}
}

func TestASilentHandshakeIsCutOff(t *testing.T) {
	r := start(t, Config{Handler: readBody, Limits: Limits{Header: 30 * time.Millisecond}})
	c, err := net.Dial("tcp", r.Addr("tls").String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	if n, err := c.Read(make([]byte, 1)); err == nil || isTimeout(err) {
		t.Fatalf("read %d bytes, %v: still connected", n, err)
	}
}

// patience is how long a test waits for an expected event on a very slow machine.
const patience = 5 * time.Minute

// longEnough runs a trial with growing limits, until one of them suffices on this machine for everything
// that must happen within it.
func longEnough(t *testing.T, trial func(limit time.Duration) error) {
	t.Helper()
	for limit := 50 * time.Millisecond; ; limit *= 3 {
		err := trial(limit)
		if err == nil {
			return
		}
		if limit > patience/10 {
			t.Fatalf("with a limit of %v: %v", limit, err)
		}
	}
}

func TestASlowBodyIsCutOff(t *testing.T) {
	longEnough(t, func(limit time.Duration) error {
		r := start(t, Config{Handler: readBody, Limits: Limits{Request: limit}})
		_, answer := r.raw("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nabc")
		resp, err := http.ReadResponse(answer, nil)
		if err != nil {
			return fmt.Errorf("HTTP/1.1: %w", err)
		}
		defer resp.Body.Close()
		if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != 408 {
			return fmt.Errorf("HTTP/1.1: %s, %v", resp.Status, err)
		}
		if _, err := answer.ReadByte(); err == nil || isTimeout(err) {
			t.Errorf("HTTP/1.1: still connected, %v", err)
		}
		return nil
	})
	longEnough(t, func(limit time.Duration) error {
		r := start(t, Config{Handler: readBody, Limits: Limits{Request: limit}})
		body, feed := io.Pipe()
		defer feed.Close()
		c, base := r.client("tls")
		resp, err := c.Post(base, "text/plain", body)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.ProtoMajor != 2 || resp.StatusCode != 408 {
			return fmt.Errorf("%s: %d", resp.Proto, resp.StatusCode)
		}
		return nil
	})
}

func TestACallThatWaitsOutlivesTheTimeForItsRequest(t *testing.T) {
	for _, name := range []string{"plain", "tls"} {
		longEnough(t, func(limit time.Duration) error {
			wait := func(w http.ResponseWriter, r *http.Request) {
				if _, err := io.ReadAll(r.Body); err != nil {
					http.Error(w, err.Error(), 400)
					return
				}
				select {
				case <-time.After(4 * limit):
					io.WriteString(w, "news")
				case <-r.Context().Done():
					http.Error(w, "cancelled", 500)
				}
			}
			r := start(t, Config{Limits: Limits{Request: limit, Header: limit, Idle: limit},
				Handler: http.HandlerFunc(wait)})
			c, base := r.client(name)
			resp, err := c.Post(base, "text/plain", strings.NewReader("wait"))
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			defer resp.Body.Close()
			if b, err := io.ReadAll(resp.Body); err != nil || string(b) != "news" {
				return fmt.Errorf("%s: %q, %v", name, b, err)
			}
			return nil
		})
	}
}

func TestAClientThatStopsReadingIsCutOff(t *testing.T) {
	ended := make(chan error, 1)
	r := start(t, Config{Limits: Limits{Stall: 100 * time.Millisecond},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			block := make([]byte, 1<<20)
			for {
				if _, err := w.Write(block); err != nil {
					ended <- err
					return
				}
			}
		})})
	r.raw("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
	if err := <-ended; !isTimeout(err) {
		t.Errorf("plain: %v", err)
	}
	c, base := r.client("tls")
	c.Transport.(*http.Transport).ForceAttemptHTTP2 = false
	if resp, err := c.Get(base); err == nil { // a slow client may be disconnected before that
		defer resp.Body.Close()
	}
	<-ended
}

func TestAnAnswerOfManyChunksArrivesWhole(t *testing.T) {
	const size = 4 << 20
	r := start(t, Config{PlainHTTP: "127.0.0.1:0", Limits: Limits{Stall: patience},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Write(make([]byte, size)) // far more than the chunk of one write
		})})
	_, answer := r.raw("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
	resp, err := http.ReadResponse(answer, nil)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, resp.Body); err != nil || n != size {
		t.Fatalf("%d bytes, %v", n, err)
	}
}

// deadlines records the deadlines that are set on a connection.
type deadlines struct {
	net.Conn
	set []time.Time
}

func (d *deadlines) SetWriteDeadline(t time.Time) error { d.set = append(d.set, t); return nil }
func (d *deadlines) Write(b []byte) (int, error)        { return len(b), nil }

func TestTheStallLimitIsRenewedSparinglyAndGivesWayToOtherDeadlines(t *testing.T) {
	d := &deadlines{}
	c := &conn{Conn: d, opened: time.Now(), stall: time.Hour, release: func() {}}
	write := func() {
		t.Helper()
		if _, err := c.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	write()
	write()
	c.SetWriteDeadline(time.Time{}) // net/http does this after a response
	write()
	if len(d.set) != 1 {
		t.Fatalf("set %d times: %v", len(d.set), d.set)
	}
	other := time.Now().Add(time.Second)
	c.SetWriteDeadline(other)
	write()
	if len(d.set) != 2 || !d.set[1].Equal(other) {
		t.Fatalf("another's deadline does not hold: %v", d.set)
	}
	c.SetWriteDeadline(time.Time{})
	write()
	if len(d.set) != 3 || time.Until(d.set[2]) < 50*time.Minute {
		t.Fatalf("the stall limit is not back: %v", d.set)
	}
}

func TestHTTP2StreamsAreBounded(t *testing.T) {
	r := start(t, Config{Handler: tellPeer, Limits: Limits{StreamsPerConnection: 17}})
	c, err := tls.Dial("tcp", r.Addr("tls").String(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
	var head [9]byte // RFC 9113 §4.1; the server's first frame is SETTINGS
	if _, err := io.ReadFull(c, head[:]); err != nil || head[3] != 4 {
		t.Fatalf("frame %v, %v", head, err)
	}
	settings := make([]byte, int(head[1])<<8|int(head[2]))
	if _, err := io.ReadFull(c, settings); err != nil {
		t.Fatal(err)
	}
	got := map[uint16]uint32{}
	for ; len(settings) >= 6; settings = settings[6:] {
		got[binary.BigEndian.Uint16(settings)] = binary.BigEndian.Uint32(settings[2:])
	}
	if got[3] != 17 { // SETTINGS_MAX_CONCURRENT_STREAMS, §6.5.2
		t.Fatalf("settings %v", got)
	}
}

func TestHTTP2IsForTLSOnly(t *testing.T) {
	r := start(t, Config{PlainHTTP: "127.0.0.1:0", Handler: tellPeer})
	c, answer := r.raw("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n" +
		"HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n\r\n")
	if code := status(t, answer); code != 200 {
		t.Fatal(code)
	}
	io.WriteString(c, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	if resp, err := http.ReadResponse(bufio.NewReader(answer), nil); err == nil && resp.StatusCode != 505 {
		t.Fatal(resp.Status)
	}
}
