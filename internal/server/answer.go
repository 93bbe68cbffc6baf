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

// setCommon sets what every answer has. A Content-Type that is set, if to
// nothing, keeps net/http from guessing one and from writing a page of HTML
// with a redirect.
func setCommon(h http.Header) {
	h["Cache-Control"] = noStore
	h["X-Content-Type-Options"] = noSniff
	h["Content-Type"] = nil
}

const (
	// discarded is the size from which net/http does not read a body to its end
	// if the handler did not.
	discarded = 256 << 10
	// maxReadOn is how much of a body is read after an answer that did not wait
	// for it: twice the largest body that is served. The time is that of the
	// whole request, see [Limits.Request].
	maxReadOn = 16 << 20
	// maxHeld is the longest answer that is held back until its length is known.
	maxHeld = 8 << 10
)

// answer knows what was sent.
//
// It also gets answers through that are given before the request's body was read,
// such as 405 or 413. If the server closed the connection while the client is
// still sending, the client would meet a reset and might never see the answer. So
// such an answer goes out whole, and then the body is read on and forgotten, up
// to a size and a time. net/http does the same for bodies up to 256 KiB. A stream,
// whose end only the handler's return marks, is left to net/http.
type answer struct {
	http.ResponseWriter
	status int // 0: nothing yet
	bytes  int64

	// stall is how long a client may take no byte of its answer; 0: the connection
	// sees to that. Over HTTP/2 it can't: the client may go on with all else and never
	// give leave to send more of one answer.
	stall time.Duration

	body    *requestBody // nil: nothing will have to be read on
	isHead  bool
	holding bool   // the status, and what is in held, is not sent yet
	held    []byte // the beginning of an answer that is given early
	early   bool   // sent whole while the client may be sending
}

func (a *answer) WriteHeader(status int) {
	if a.holding {
		return
	}
	// 1xx are announcements (RFC 9110 §15.2), but 101 is final.
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

// unsent is how much of an answer net/http keeps before it sends anything.
const unsent = 4 << 10

// write writes within the stall limit.
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
	a.hurry(0) // the handler may take its time for what follows
	return n, err
}

// hurry gives the client the time for what is sent next; 0: as long as it wants.
func (a *answer) hurry(limit time.Duration) {
	if a.stall == 0 {
		return
	}
	var by time.Time
	if limit > 0 {
		by = time.Now().Add(limit)
	}
	// A writer that has no deadlines is none of net/http's.
	_ = http.NewResponseController(a.ResponseWriter).SetWriteDeadline(by)
}

// Flush is for handlers that ask for http.Flusher.
func (a *answer) Flush() {
	if a.status == 0 {
		a.WriteHeader(http.StatusOK)
	}
	if a.holding {
		a.send()
	}
	a.hurry(a.stall)
	// Without a flusher below there is nothing to flush early.
	_ = http.NewResponseController(a.ResponseWriter).Flush()
	a.hurry(0)
}

// Unwrap is for http.ResponseController.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// send sends what is held, and ends the connection after it: what is left of the
// body must not be read as another request.
func (a *answer) send() {
	a.holding = false
	a.early = a.isHead || a.Header().Get("Content-Length") != ""
	a.Header().Set("Connection", "close")
	// Else net/http might read the body itself, before the answer. A writer that
	// can't do so reads nothing.
	_ = http.NewResponseController(a.ResponseWriter).EnableFullDuplex()
	a.ResponseWriter.WriteHeader(a.status)
	if len(a.held) > 0 {
		_, _ = a.ResponseWriter.Write(a.held) // a client that is gone needs no answer
		a.held = nil
	}
}

// begun reports whether a part of the answer may have reached the client.
func (a *answer) begun() bool { return a.status != 0 && !a.holding }

// forget drops what is held, so that another answer can be given.
func (a *answer) forget() { a.status, a.bytes, a.holding, a.held = 0, 0, false, nil }

// abandon has finish do nothing: net/http will drop the connection.
func (a *answer) abandon() { a.holding, a.early, a.body = false, false, nil }

// finish ends the answer when the handler is done.
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
		a.hurry(a.stall) // for what net/http still has
	}
	if a.early {
		_ = http.NewResponseController(a.ResponseWriter).Flush()
		// An error is the end of the body, too.
		_, _ = io.CopyN(io.Discard, a.body, maxReadOn)
	}
}

// requestBody is a request's body that knows how far it was read.
type requestBody struct {
	io.ReadCloser
	// waits: the client sends the body when it is told to go on, which reading
	// does (Expect: 100-continue).
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

// unread reports whether the client may be sending what nobody has read.
func (b *requestBody) unread() bool {
	return b != nil && !b.ended.Load() && (b.begun.Load() || !b.waits)
}

// needsReadOn reports whether net/http may close the connection with a part of
// the body unread, if the handler leaves it. HTTP/2 has a signal of its own.
func needsReadOn(r *http.Request) bool {
	return r.ProtoMajor == 1 && r.Body != nil && r.Body != http.NoBody &&
		(r.ContentLength < 0 || r.ContentLength >= discarded)
}
