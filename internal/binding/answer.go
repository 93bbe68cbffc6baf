package binding

import (
	"io"
	"math"
	"net/http"
	"strconv"
	"sync"

	"github.com/vigate/vigate/internal/vim"
)

const (
	// FlushAt is how much of an answer is held in memory before it is sent, in
	// bytes. One element of a list may take more.
	FlushAt = 32 << 10
	// keptBuffer is the largest buffer that is used for another answer.
	keptBuffer = 4 * FlushAt
)

// Output is what an encoder writes to, and embeds. The encoder appends to Buf. The
// zero value keeps all that is written in Buf.
type Output struct {
	Buf []byte
	// To is where Flush sends what there is; nil: nowhere.
	To io.Writer
	// Err is the first error. Nothing is sent after it.
	Err error
}

// Flush sends what there is, if it is much. An encoder calls it between the elements
// of a list.
func (o *Output) Flush() {
	if o.Err != nil || o.To == nil || len(o.Buf) < FlushAt {
		return
	}
	_, o.Err = o.To.Write(o.Buf)
	o.Buf = o.Buf[:0]
}

// Stream is an answer with status 200 whose length need not be known when it begins.
type Stream struct {
	W           http.ResponseWriter
	ContentType []string
	// Head: the request's method is HEAD, so that the body is not sent.
	Head bool
	// Begin sets headers that only an answer with status 200 has; nil: none.
	Begin func(http.Header)

	begun bool
}

// Write sends a part.
func (s *Stream) Write(p []byte) (int, error) {
	if !s.begun {
		s.begun = true
		if s.Begin != nil {
			s.Begin(s.W.Header())
		}
		s.W.Header()["Content-Type"] = s.ContentType
		s.W.WriteHeader(http.StatusOK)
	}
	if s.Head {
		return len(p), nil
	}
	return s.W.Write(p)
}

// Finish ends an answer that the encoder has finished with an error or without one.
// It sends the rest. After an error it reports false if nothing was sent yet: then
// another answer can be given. If a part was sent, it breaks the connection by a
// panic with http.ErrAbortHandler, so that the client can't take it for the whole.
func (s *Stream) Finish(rest []byte, err error) bool {
	if err != nil {
		if s.begun {
			panic(http.ErrAbortHandler)
		}
		return false
	}
	if !s.begun {
		s.W.Header()["Content-Length"] = []string{strconv.Itoa(len(rest))}
	}
	_, _ = s.Write(rest) // a client that is gone needs no answer
	return true
}

// Send sends a whole answer to a request of the method.
func Send(w http.ResponseWriter, method string, status int, contentType []string, body []byte) {
	w.Header()["Content-Type"] = contentType
	w.Header()["Content-Length"] = []string{strconv.Itoa(len(body))}
	w.WriteHeader(status)
	if method != http.MethodHead {
		_, _ = w.Write(body) // a client that is gone needs no answer
	}
}

// Status returns the HTTP status of a fault: status, or 503 if the API has no fault
// for it. If the client may try again, a header says when.
func Status(h http.Header, f *vim.Fault, status int) int {
	if f.RetryAfter > 0 {
		h["Retry-After"] = []string{strconv.Itoa(int(math.Ceil(f.RetryAfter.Seconds())))}
	}
	if f.Detail == nil {
		return http.StatusServiceUnavailable
	}
	return status
}

// Pool keeps encoders, or whatever else embeds an Output, from one answer for the
// next. Only their buffers are kept.
type Pool[T any] struct {
	output func(*T) *Output
	kept   sync.Pool // of *T
}

// NewPool makes a Pool of Ts; output returns the Output of one.
func NewPool[T any](output func(*T) *Output) *Pool[T] { return &Pool[T]{output: output} }

// Get returns a T that is zero but for its empty buffer.
func (p *Pool[T]) Get() *T {
	if t, ok := p.kept.Get().(*T); ok {
		return t
	}
	t := new(T)
	p.output(t).Buf = make([]byte, 0, 4<<10)
	return t
}

// Put takes a T back, which the caller must not use any more. A buffer that has grown
// too large is not kept.
func (p *Pool[T]) Put(t *T) {
	buf := p.output(t).Buf
	if cap(buf) > keptBuffer {
		return
	}
	*t = *new(T)
	p.output(t).Buf = buf[:0]
	p.kept.Put(t)
}

// SetCommon sets the headers that every answer of a binding has.
func SetCommon(h http.Header) {
	h["Cache-Control"] = noStore
	h["X-Content-Type-Options"] = noSniff
}

// Values of headers. They are only read.
var noStore, noSniff = []string{"no-store"}, []string{"nosniff"}
