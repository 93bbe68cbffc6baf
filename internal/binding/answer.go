package binding

import (
	"context"
	"errors"
	"io"
	"math"
	"net/http"
	"strconv"
	"sync"

	"github.com/vigate/vigate/internal/vim"
)

const (
	// FlushAt is the number of bytes of a response that are buffered before they are sent. A single
	// element of a list may need more.
	FlushAt = 32 << 10
	// keptBuffer is the size in bytes of the largest buffer that is kept for another response.
	keptBuffer = 4 * FlushAt
	// pieceSize is the number of bytes of a response that are sent between two checks whether it is
	// still wanted.
	pieceSize = 2 * FlushAt
)

// Output is the output buffer of an encoder. Encoders embed it and append to Buf. The zero value
// keeps the whole output in Buf.
type Output struct {
	Buf []byte
	// To is the destination of Flush. If it is nil, Flush does nothing.
	To io.Writer
	// Err is the first error. After an error, nothing more is sent.
	Err error
}

// Flush sends the buffer if it holds at least FlushAt bytes. An encoder calls it between the
// elements of a list.
func (o *Output) Flush() {
	if o.Err != nil || o.To == nil || len(o.Buf) < FlushAt {
		return
	}
	_, o.Err = o.To.Write(o.Buf)
	o.Buf = o.Buf[:0]
}

// Stream is a response with status 200. Its length need not be known when it begins.
type Stream struct {
	W           http.ResponseWriter
	ContentType []string
	// Head means that the request's method is HEAD, so the body is not sent.
	Head bool
	// Begin sets headers that only a response with status 200 has. It may be nil.
	Begin func(http.Header)
	// API tells whether the response to Call is still wanted. It may be nil.
	API     Dispatcher
	Context context.Context // of the request
	Call    *vim.Call

	begun bool
}

// Write sends a part of the body, a long one in pieces. Before each piece it asks the API whether the
// response is still wanted.
func (s *Stream) Write(p []byte) (sent int, err error) {
	for {
		piece := p[sent:min(len(p), sent+pieceSize)]
		// A short response that is sent at once is still wanted: its call has ended just now.
		if s.API != nil && (s.begun || len(p) >= FlushAt) {
			if err := s.API.Wanted(s.Context, s.Call); err != nil {
				return sent, &unwantedError{err}
			}
		}
		n, err := s.send(piece)
		if sent += n; err != nil || sent == len(p) {
			return sent, err
		}
	}
}

// unwantedError is the reason why the client must not get the rest of a response.
type unwantedError struct{ error }

func (e *unwantedError) Unwrap() error { return e.error }

func (s *Stream) send(p []byte) (int, error) {
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

// Finish ends the response. err is the encoder's error or nil. Without an error, Finish sends the
// rest and returns nil. With an error, or if the response is no longer wanted, it returns the reason
// if nothing has been sent yet: the caller can then send another response. If a part has been sent,
// it breaks the connection by a panic with http.ErrAbortHandler, so that the client can't mistake the
// part for the whole.
func (s *Stream) Finish(rest []byte, err error) error {
	if err == nil {
		if !s.begun {
			s.W.Header()["Content-Length"] = []string{strconv.Itoa(len(rest))}
		}
		_, err = s.Write(rest)
		if unwanted, is := errors.AsType[*unwantedError](err); !is {
			return nil // another error means that the client has disconnected
		} else if err = unwanted.error; !s.begun {
			delete(s.W.Header(), "Content-Length")
		}
	}
	if s.begun {
		panic(http.ErrAbortHandler)
	}
	return err
}

// Send sends a whole response to a request with the method.
func Send(w http.ResponseWriter, method string, status int, contentType []string, body []byte) {
	w.Header()["Content-Type"] = contentType
	w.Header()["Content-Length"] = []string{strconv.Itoa(len(body))}
	w.WriteHeader(status)
	if method != http.MethodHead {
		_, _ = w.Write(body) // an error means that the client has disconnected
	}
}

// Status returns the HTTP status for a fault. It is the given status, or 503 if the fault has no
// API type. If the client may try again, Status sets a header that says when.
func Status(h http.Header, f *vim.Fault, status int) int {
	if f.RetryAfter > 0 {
		h["Retry-After"] = []string{strconv.Itoa(int(math.Ceil(f.RetryAfter.Seconds())))}
	}
	if f.Detail == nil {
		return http.StatusServiceUnavailable
	}
	return status
}

// Pool reuses the buffers of encoders, or of other types that embed an Output.
type Pool[T any] struct {
	output func(*T) *Output
	kept   sync.Pool // contains values of type *T
}

// NewPool creates a Pool. output returns the Output of a T.
func NewPool[T any](output func(*T) *Output) *Pool[T] { return &Pool[T]{output: output} }

// Get returns a T with an empty buffer. All other fields are zero.
func (p *Pool[T]) Get() *T {
	if t, ok := p.kept.Get().(*T); ok {
		return t
	}
	t := new(T)
	p.output(t).Buf = make([]byte, 0, 4<<10)
	return t
}

// Put returns a T to the pool. The caller must not use it any more. A buffer that has become too
// large is not kept.
func (p *Pool[T]) Put(t *T) {
	buf := p.output(t).Buf
	if cap(buf) > keptBuffer {
		return
	}
	*t = *new(T)
	p.output(t).Buf = buf[:0]
	p.kept.Put(t)
}
