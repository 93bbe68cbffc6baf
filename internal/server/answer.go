package server

import (
	"io"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"
)

// Values of the headers that every answer has. They are only read.
var (
	noStore = []string{"no-store"}
	noSniff = []string{"nosniff"}
)

// setCommon sets the headers of every response. A Content-Type that is set, even to nothing,
// prevents net/http from guessing one and from adding an HTML page to a redirect.
func setCommon(h http.Header) {
	h["Cache-Control"] = noStore
	h["X-Content-Type-Options"] = noSniff
	h["Content-Type"] = nil
}

const (
	// discarded is the size in bytes up to which net/http reads the rest of a body that the handler
	// did not read.
	discarded = 256 << 10
	// maxReadOn is how much of a body is read after a response that was sent before the end of the
	// body: twice the largest body that is served. The time is limited by that of the whole
	// request, see [Limits.Request].
	maxReadOn = 16 << 20
	// maxHeld is the maximum length of a response that is buffered until its length is known.
	maxHeld = 8 << 10
)

// answer is a ResponseWriter that records what was sent.
//
// It also delivers responses that are given before the request's body was read, such as 405 or 413.
// If the server closed the connection while the client is still sending, the client would get a
// reset and might never see the response. So such a response is sent completely, and then the rest
// of the body is read and discarded, up to a size and a time. net/http does the same for bodies up
// to 256 KiB. A streaming response, which ends only when the handler returns, is left to net/http.
type answer struct {
	http.ResponseWriter
	status int // 0 if nothing was written yet
	bytes  int64

	// stall is the maximum time in which a client accepts no byte of its response. If 0, the
	// connection enforces the limit. It can't do so for HTTP/2: a client may go on with other
	// streams and never open the window of this one.
	stall time.Duration

	body    *requestBody // nil if nothing of the body will have to be discarded
	isHead  bool
	holding bool   // the status, and the bytes in held, were not sent yet
	held    []byte // the beginning of a response that is given before the body was read
	early   bool   // the response was sent completely while the client may still be sending
}

func (a *answer) WriteHeader(status int) {
	if a.holding {
		return
	}
	// Statuses 1xx are interim responses (RFC 9110 §15.2), except 101, which is final.
	if final := status >= 200 || status == http.StatusSwitchingProtocols; final && a.status == 0 {
		a.status = status
		if a.body.unread() {
			a.holding = true
			return
		}
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(b []byte) (int, error) {
	if a.status == 0 {
		a.WriteHeader(http.StatusOK)
	}
	if a.holding {
		if len(a.held)+len(b) <= maxHeld {
			a.held = append(a.held, b...)
			a.bytes += int64(len(b))
			return len(b), nil
		}
		a.send()
	}
	n, err := a.write(b)
	a.bytes += int64(n)
	return n, err
}

// unsent is the size of net/http's buffer for a response.
const unsent = 4 << 10

// write writes with the stall limit.
func (a *answer) write(b []byte) (n int, err error) {
	if a.stall == 0 || a.bytes+int64(len(b)) < unsent {
		return a.ResponseWriter.Write(b)
	}
	for err == nil && n < len(b) {
		a.hurry(a.stall)
		var sent int
		sent, err = a.ResponseWriter.Write(b[n:min(len(b), n+writeChunk)])
		n += sent
	}
	a.hurry(0) // the handler may take any time until its next write
	return n, err
}

// hurry sets the time in which the client must accept the next bytes; 0 removes the limit.
func (a *answer) hurry(limit time.Duration) {
	if a.stall == 0 {
		return
	}
	var by time.Time
	if limit > 0 {
		by = time.Now().Add(limit)
	}
	// A writer without deadlines does not belong to net/http.
	_ = http.NewResponseController(a.ResponseWriter).SetWriteDeadline(by)
}

// Flush implements http.Flusher.
func (a *answer) Flush() {
	if a.status == 0 {
		a.WriteHeader(http.StatusOK)
	}
	if a.holding {
		a.send()
	}
	a.hurry(a.stall)
	// If there is no flusher below, there is nothing to flush.
	_ = http.NewResponseController(a.ResponseWriter).Flush()
	a.hurry(0)
}

// Unwrap supports http.ResponseController.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// send sends the held bytes. The connection ends after the response, because the rest of the body
// must not be read as another request.
func (a *answer) send() {
	a.holding = false
	a.early = a.isHead || a.Header().Get("Content-Length") != ""
	a.Header().Set("Connection", "close")
	// Otherwise net/http might read the body itself before it sends the response. A writer that
	// can't do that does not read.
	_ = http.NewResponseController(a.ResponseWriter).EnableFullDuplex()
	a.ResponseWriter.WriteHeader(a.status)
	if len(a.held) > 0 {
		_, _ = a.ResponseWriter.Write(a.held) // a client that is gone needs no response
		a.held = nil
	}
}

// begun reports whether a part of the response may have reached the client.
func (a *answer) begun() bool { return a.status != 0 && !a.holding }

// forget drops the held bytes, so that a different response can be given.
func (a *answer) forget() { a.status, a.bytes, a.holding, a.held = 0, 0, false, nil }

// abandon makes finish do nothing, because net/http will drop the connection.
func (a *answer) abandon() { a.holding, a.early, a.body = false, false, nil }

// finish completes the response after the handler has returned.
func (a *answer) finish() {
	if a.status == 0 && a.body.unread() {
		a.WriteHeader(http.StatusOK)
	}
	if a.holding {
		if !a.isHead && a.Header().Get("Content-Length") == "" {
			a.Header().Set("Content-Length", strconv.Itoa(len(a.held)))
		}
		a.send()
	}
	if a.bytes > 0 && !a.isHead {
		a.hurry(a.stall) // for the bytes that net/http still has to send
	}
	if a.early {
		_ = http.NewResponseController(a.ResponseWriter).Flush()
		// An error also ends the body.
		_, _ = io.CopyN(io.Discard, a.body, maxReadOn)
	}
}

// requestBody is a request's body that records how far it was read.
type requestBody struct {
	io.ReadCloser
	// waits is set if the client sends the body only after an interim response, which the first
	// read triggers (Expect: 100-continue).
	waits bool
	begun atomic.Bool // a read was tried
	ended atomic.Bool // a read ended with the body's end
}

func (b *requestBody) Read(p []byte) (int, error) {
	b.begun.Store(true)
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF {
		b.ended.Store(true)
	}
	return n, err
}

// unread reports whether the client may be sending bytes that nobody has read.
func (b *requestBody) unread() bool {
	return b != nil && !b.ended.Load() && (b.begun.Load() || !b.waits)
}

// needsReadOn reports whether net/http may close the connection if the handler leaves a part of the
// body unread. HTTP/2 can end one stream instead.
func needsReadOn(r *http.Request) bool {
	return r.ProtoMajor == 1 && r.Body != nil && r.Body != http.NoBody &&
		(r.ContentLength < 0 || r.ContentLength >= discarded)
}
