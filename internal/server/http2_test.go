package server

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// startForAll serves TLS, plain HTTP and the Unix socket. Its clients on the other listeners have another
// address than those on TLS.
func startForAll(t *testing.T, limits Limits, h http.HandlerFunc) *running {
	t.Helper()
	return start(t, Config{Handler: h, Listen: "127.0.0.1:0", PlainHTTP: "127.0.0.1:0", Unix: t.TempDir() + "/s",
		Limits: limits})
}

// servesOthers checks that a client from another address is served.
func (r *running) servesOthers(while string) {
	r.t.Helper()
	if code, _ := r.get("unix", "/short", nil); code != 200 {
		r.t.Errorf("while there are %s another client gets %d", while, code)
	}
}

// gone waits until the server has closed the connection, and returns the last frame. It fails the test if
// the server goes on.
func (x *rough) gone() (last frame) {
	x.t.Helper()
	last, err := x.until(func(f frame) bool {
		last = f
		return f.kind == frameGoAway && f.code() != 0
	})
	for err == nil {
		_, err = x.next()
	}
	if isTimeout(err) {
		x.t.Errorf("the connection stays, the last frame was %+v", last)
	}
	return last
}

// answers returns a handler with a long response, a short one, and one that reads a body.
func answers(ended chan<- error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/long":
			_, err := w.Write(make([]byte, 1<<20))
			ended <- err
		case "/body":
			readBody(w, r)
		default:
			_, _ = io.WriteString(w, "short")
		}
	}
}

// A client may refuse to receive the body of a response, but answer every ping, so that its connection
// looks healthy.
func TestAStreamWhoseClientTakesNothingIsReset(t *testing.T) {
	ended := make(chan error, 1)
	r := startForAll(t, Limits{Stall: 100 * time.Millisecond, Header: patience}, answers(ended))
	for _, path := range []string{"/long", "/short", "/body"} {
		x := r.rough(settingWindow, 0)
		x.must(x.send(get(1, path)))
		r.servesOthers("answers that nobody reads")
		f, err := x.until(func(f frame) bool { return f.kind == frameReset })
		if err != nil || f.stream != 1 {
			t.Errorf("%s: %+v, %v", path, f, err)
		}
		// The connection still works.
		x.must(x.send(frame{framePing, 0, 0, make([]byte, 8)}))
		if _, err := x.until(func(f frame) bool { return f.kind == framePing && f.flags&flagAck != 0 }); err != nil {
			t.Errorf("%s: after it %v", path, err)
		}
		x.Close()
	}
	if err := <-ended; err == nil {
		t.Error("the long answer was sent")
	}
	if l := r.Load(); l.InFlight != 0 {
		t.Errorf("%+v", l)
	}
}

func TestAClientOfHTTP2ThatReadsNothingAtAllIsCutOff(t *testing.T) {
	ended := make(chan error, 10)
	r := startForAll(t, Limits{Stall: 100 * time.Millisecond, Header: patience}, answers(ended))
	x := r.rough(settingWindow, 1<<31-1)
	x.must(x.send(frame{frameWindow, 0, 0, binary.BigEndian.AppendUint32(nil, 1<<31-1-65535)}))
	for i := range uint32(10) {
		x.must(x.send(get(2*i+1, "/long")))
	}
	r.servesOthers("answers that nobody reads")
	for range 10 {
		<-ended // the result depends on how much the kernel buffers for a connection
	}
}

func TestAHandlerOverHTTP2MayPauseForLongerThanAClient(t *testing.T) {
	longEnough(t, func(limit time.Duration) error {
		r := start(t, Config{Limits: Limits{Stall: limit},
			Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				for range 3 {
					_, _ = w.Write(make([]byte, 64<<10))
					_ = http.NewResponseController(w).Flush()
					<-time.After(3 * limit)
				}
			})})
		c, base := r.client("tls")
		resp, err := c.Get(base)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if n, err := io.Copy(io.Discard, resp.Body); err != nil || n != 3*64<<10 || resp.ProtoMajor != 2 {
			return fmt.Errorf("%d bytes over %s: %w", n, resp.Proto, err)
		}
		return nil
	})
}

// Streams whose bodies do not arrive are in flight for as long as a request may take.
func TestOneAddressHasAShareOfTheRequestsOverHTTP2(t *testing.T) {
	r := startForAll(t, Limits{Requests: 16, AddressRequests: 4, Request: patience}, answers(nil))
	flood := r.rough()
	for i := range uint32(4) {
		flood.must(flood.send(post(2*i+1, "/body")))
	}
	eventually(t, func() bool { return r.Load().InFlight == 4 })
	x := r.rough()
	for i := range uint32(20) {
		x.must(x.send(post(2*i+1, "/body")))
		if f, err := x.until(func(f frame) bool { return f.kind == frameHeaders }); err != nil || f.status() != "503" {
			t.Fatalf("past its share: %q, %+v, %v", f.status(), f, err)
		}
	}
	r.servesOthers("streams without a body")
	if code, _ := r.get("plain", "/short", nil); code != 200 {
		t.Errorf("over HTTP/1.1 the address gets %d", code)
	}
	flood.Close()
	eventually(t, func() bool { return r.Load().InFlight == 0 })
	x.must(x.send(get(41, "/short")))
	if f, err := x.until(func(f frame) bool { return f.kind == frameHeaders && f.stream == 41 }); err != nil ||
		f.status() != "200" {
		t.Errorf("after it: %q, %v", f.status(), err)
	}
}

// eventually waits until a condition holds.
func eventually(t *testing.T, happened func() bool) {
	t.Helper()
	for begun := time.Now(); !happened(); {
		if time.Since(begun) > patience {
			t.Fatal("it never happens")
		}
		<-time.After(time.Millisecond)
	}
}

func TestAnAddressHasFewConnectionsOfHTTP2AndOthersSpeakHTTP1(t *testing.T) {
	r := startForAll(t, Limits{HTTP2: 8}, answers(nil))
	dial := func(protocols ...string) (*tls.Conn, error) {
		return tls.Dial("tcp", r.Addr("tls").String(), &tls.Config{InsecureSkipVerify: true, NextProtos: protocols})
	}
	speaks := func(protocols ...string) string {
		t.Helper()
		c, err := dial(protocols...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c.ConnectionState().NegotiatedProtocol
	}
	first := r.rough()
	if got := speaks("h2", "http/1.1"); got != "h2" {
		t.Errorf("the second speaks %q", got)
	}
	for range 3 {
		if got := speaks("h2", "http/1.1"); got != "http/1.1" {
			t.Errorf("past the share one speaks %q", got)
		}
	}
	if got := speaks(); got != "" {
		t.Errorf("a client that offers nothing speaks %q", got)
	}
	if c, err := dial("h2"); err == nil {
		c.Close()
		t.Error("a client that speaks HTTP/2 only is let in past the share")
	}
	if code, body := r.get("tls", "/short", nil); code != 200 || body != "short" {
		t.Errorf("a client past the share: %d %q", code, body)
	}
	first.Close()
	eventually(t, func() bool { return speaks("h2", "http/1.1") == "h2" })
}

func TestTheHeadersOfOneAddressHaveAShareOfTheMemory(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	r := startForAll(t, Limits{Headers: 80 << 10}, func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/wait" {
			entered <- struct{}{}
			<-leave
		}
	})
	long := "X: " + strings.Repeat("a", 8<<10) + "\r\n"
	closed := func(request string) bool {
		t.Helper()
		_, answer := r.raw(request)
		_, err := answer.ReadByte()
		if isTimeout(err) {
			t.Error("the connection stays")
		}
		return err != nil
	}
	// One header is being received, and one belongs to a request in flight: together they are the address's
	// share.
	coming, _ := r.raw("GET / HTTP/1.1\r\nHost: localhost\r\n" + long)
	waiting, answer := r.raw("GET /wait HTTP/1.1\r\nHost: localhost\r\n" + long + "\r\n")
	<-entered
	eventually(t, func() bool { return r.shares.headers.held() > 12<<10 })
	for _, end := range []string{"", "\r\n"} {
		if !closed("GET / HTTP/1.1\r\nHost: localhost\r\n" + long + long + end) {
			t.Error("a header past the share is read")
		}
	}
	r.servesOthers("large headers of one address")
	if code, _ := r.get("unix", "/", http.Header{"X": {strings.Repeat("a", 8<<10)}}); code != 200 {
		t.Errorf("a large header of another address: %d", code)
	}
	if code, _ := r.get("plain", "/", nil); code != 200 {
		t.Errorf("a small header of the address: %d", code)
	}
	x := r.rough()
	x.must(x.send(get(1, "/", field("x", strings.Repeat("a", 10<<10)))))
	if f, err := x.until(func(f frame) bool { return f.kind == frameHeaders }); err != nil || f.status() != "503" {
		t.Errorf("over HTTP/2: %q, %v", f.status(), err)
	}
	close(leave)
	if code := status(t, answer); code != 200 {
		t.Errorf("the request in flight: %d", code)
	}
	coming.Close()
	waiting.Close()
	eventually(t, func() bool { return r.shares.headers.held() == 0 })
	if closed("GET / HTTP/1.1\r\nHost: localhost\r\n" + long + "\r\n") {
		t.Error("the room does not come back")
	}
	if r.Load().RefusedRequests == 0 {
		t.Error("what was refused is not counted")
	}
}

// held returns the bytes that are counted for all addresses.
func (q *addressQuota) held() int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.total
}

// A field takes memory of its own, even if it is short and even if another field has the same name.
func TestAHeaderOfManyFieldsIsRefused(t *testing.T) {
	r := startForAll(t, Limits{}, answers(nil))
	for what, name := range map[string]func(int) string{
		"names of their own": func(i int) string { return fmt.Sprintf("x%d", i) },
		"one name":           func(int) string { return "x" },
	} {
		var one bytes.Buffer
		var two [][]byte
		for i := range 2 * maxFields {
			fmt.Fprintf(&one, "%s:\r\n", name(i))
			two = append(two, field(name(i), ""))
		}
		_, answer := r.raw("GET /short HTTP/1.1\r\nHost: localhost\r\n" + one.String() + "\r\n")
		if code := status(t, answer); code != 431 {
			t.Errorf("%s, HTTP/1.1: %d", what, code)
		}
		x := r.rough()
		x.must(x.send(get(1, "/short", two...)))
		if f, err := x.until(func(f frame) bool { return f.kind == frameHeaders }); err != nil || f.status() != "431" {
			t.Errorf("%s, HTTP/2: %q, %v", what, f.status(), err)
		}
	}
}

// The client opens each stream and resets it immediately. That costs the client nothing, and the server a
// handler (CVE-2023-44487).
func TestStreamsThatAreResetAtOnceRunFewHandlers(t *testing.T) {
	const streams = 16
	var running, most atomic.Int64
	leave := make(chan struct{})
	r := startForAll(t, Limits{StreamsPerConnection: streams}, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/wait" {
			n := running.Add(1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
			<-leave
			running.Add(-1)
		}
	})
	x := r.rough()
	var code uint32
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if f, err := x.until(func(f frame) bool { return f.kind == frameGoAway }); err == nil {
			code = f.code()
		}
	}()
	cancel := binary.BigEndian.AppendUint32(nil, errCancel)
	for stream := uint32(1); ; stream += 2 {
		if _, err := x.send(get(stream, "/wait"), frame{frameReset, 0, stream, cancel}); err != nil {
			break
		}
		select {
		case <-ended:
		default:
			continue
		}
		break
	}
	<-ended
	r.servesOthers("streams that are reset")
	close(leave)
	if code != errCalm {
		t.Errorf("the connection ends with the error %#x", code)
	}
	if n := most.Load(); n > streams {
		t.Errorf("%d handlers at a time", n)
	}
}

// The client sends the frames of one header that never ends (CVE-2023-45288).
func TestAHeaderThatNeverEndsEndsTheConnection(t *testing.T) {
	r := startForAll(t, Limits{}, answers(nil))
	more := field("x", strings.Repeat("a", 8<<10))
	for what, payload := range map[string][]byte{"long fields": more, "empty frames": nil} {
		x := r.rough()
		x.must(x.send(frame{frameHeaders, 0, 1, head("GET", "/short")}))
		go x.gone()
		sent := 0
		for ; sent < 64<<20; sent += 9 + len(payload) {
			if _, err := x.send(frame{frameContinuation, 0, 1, payload}); err != nil {
				break
			}
			if payload == nil && sent > 1<<20 {
				break // they leave no state behind, and a ping detects a frame that never ends
			}
		}
		r.servesOthers("headers that never end")
		if sent >= 64<<20 {
			t.Errorf("%s: all of %d bytes are read", what, sent)
		}
		x.Close()
	}
}

func TestAnOverlongHeaderOverHTTP2IsRefused(t *testing.T) {
	r := startForAll(t, Limits{}, answers(nil))
	// The header is 16 KB on the wire and 64 MB decoded: one long field, which the table keeps, and its index
	// many times.
	long := appendString(appendString([]byte{0x40}, "x"), strings.Repeat("a", 4000))
	bomb := slices16K(long)
	for what, fields := range map[string][]byte{"one long field": field("x", strings.Repeat("a", 70<<10)),
		"a field repeated by its index": bomb} {
		x := r.rough()
		block := append(head("GET", "/short"), fields...)
		frames := []frame{{frameHeaders, flagEndStream, 1, block[:min(len(block), 16<<10)]}}
		for rest := block[len(frames[0].payload):]; len(rest) > 0; {
			n := min(len(rest), 16<<10)
			frames = append(frames, frame{frameContinuation, 0, 1, rest[:n]})
			rest = rest[n:]
		}
		frames[len(frames)-1].flags |= flagEndHeaders
		x.must(x.send(frames...))
		f, err := x.until(func(f frame) bool {
			return f.kind == frameHeaders || f.kind == frameReset || f.kind == frameGoAway
		})
		if err == nil && f.kind == frameHeaders && f.status() != "431" {
			t.Errorf("%s: %q", what, f.status())
		}
		r.servesOthers("overlong headers")
		x.Close()
	}
}

// slices16K returns a field, and 16,000 times its index, which is the first one in the dynamic table.
func slices16K(field []byte) []byte {
	return append(field, bytes.Repeat([]byte{0x80 | 62}, 16_000)...)
}

func TestAHeaderOverHTTP2ThatComesSlowlyIsCutOff(t *testing.T) {
	r := startForAll(t, Limits{Stall: time.Second, Header: time.Second}, answers(nil))
	for what, begin := range map[string][]byte{
		"no frame": nil, "a part of a frame": {0, 0, 200, frameHeaders, flagEndHeaders, 0, 0, 0, 1, 0},
		"a frame that is to go on": append([]byte{0, 0, 0, frameHeaders, 0, 0, 0, 0, 1}, 0),
	} {
		x := r.rough()
		x.must(x.Write(begin))
		r.servesOthers("slow headers")
		// The server answers no ping in the middle of a header.
		for {
			if _, err := x.next(); err != nil {
				if isTimeout(err) {
					t.Errorf("%s: the connection stays", what)
				}
				break
			}
		}
	}
}

// The server must answer each of these frames, but the client reads no answer.
func TestAFloodOfControlFramesEndsTheConnection(t *testing.T) {
	r := startForAll(t, Limits{Stall: 100 * time.Millisecond, Header: patience}, answers(nil))
	for what, f := range map[string]frame{
		"pings": {framePing, 0, 0, make([]byte, 8)}, "settings": {frameSettings, 0, 0, nil},
	} {
		x := r.rough()
		many := slices.Repeat([]frame{f}, 1000)
		var err error
		for sent := 0; err == nil && sent < 100_000_000; sent += len(many) {
			_, err = x.send(many...)
		}
		if err == nil || isTimeout(err) {
			t.Errorf("%s: %v", what, err)
		}
		r.servesOthers("floods of " + what)
		x.Close()
	}
}

func TestNoConnectionIsUpgraded(t *testing.T) {
	r := startForAll(t, Limits{}, answers(nil))
	upgrade := "GET /short HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: %s\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
	for _, to := range []string{"websocket", "h2c", "TLS/1.2", "anything"} {
		c, answer := r.raw(fmt.Sprintf(upgrade, to))
		for range 2 { // the connection still works
			resp, err := http.ReadResponse(answer, nil)
			if err != nil {
				t.Fatalf("%s: %v", to, err)
			}
			if b, err := io.ReadAll(resp.Body); resp.StatusCode != 200 || string(b) != "short" ||
				resp.Header.Get("Upgrade") != "" || err != nil {
				t.Errorf("%s: %d %q, %v", to, resp.StatusCode, b, err)
			}
			_, _ = io.WriteString(c, "GET /short HTTP/1.1\r\nHost: localhost\r\n\r\n")
		}
	}
	// WebSocket over HTTP/2 (RFC 8441), and a tunnel.
	connect := [][]byte{field(":method", "CONNECT"), field(":authority", "localhost")}
	for what, fields := range map[string][][]byte{
		"a WebSocket": append(connect, field(":protocol", "websocket"), field(":scheme", "https"),
			field(":path", "/short")),
		"a tunnel": connect,
	} {
		x := r.rough()
		x.must(x.send(frame{frameHeaders, flagEndHeaders, 1, bytes.Join(fields, nil)}))
		f, err := x.until(func(f frame) bool {
			return f.kind == frameHeaders || f.kind == frameReset || f.kind == frameGoAway
		})
		if err != nil && !errors.Is(err, io.EOF) {
			t.Errorf("%s: %v", what, err)
		}
		if f.kind == frameHeaders && f.status() != "405" && f.status() != "400" {
			t.Errorf("%s: %q", what, f.status())
		}
	}
}
