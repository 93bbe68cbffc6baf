package vijson

import (
	"math"
	"net/http"
	"strconv"

	"github.com/vigate/vigate/internal/httptoken"
	"github.com/vigate/vigate/internal/vim"
)

var contentJSON = []string{"application/json"}

// answer writes the result of a call: 204 for none, or one that is unset.
func (h *handler) answer(w http.ResponseWriter, r *http.Request, c *vim.Call, result vim.Result) {
	if !result.Token.IsZero() {
		token := result.Token.Reveal()
		w.Header()[httptoken.Header] = []string{token}
		httptoken.SetCookie(w.Header(), token, c.Peer.TLS)
	}
	if result.Value == nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	p := h.take()
	defer h.release(p)
	p.stream = stream{w: w, head: r.Method == http.MethodHead}
	p.encoder.w = &p.stream
	err := p.encode(result.Value)
	switch {
	case err == nil:
		p.end(p.buf)
	case !p.begun:
		w.Header().Del(httptoken.Header)
		w.Header().Del("Set-Cookie")
		h.refuse(w, r, c, vim.FaultOf(err), http.StatusInternalServerError)
	default:
		// A part is on its way: break the connection, so that the client can't
		// take it for the whole.
		panic(http.ErrAbortHandler)
	}
}

// reply is what an answer is made with, one after the other.
type reply struct {
	encoder
	stream
}

func (h *handler) take() *reply {
	return h.replies.Get().(*reply)
}

// release gives a reply back with nothing in it but its buffer, unless that has
// grown too large to keep.
func (h *handler) release(p *reply) {
	if cap(p.buf) <= 4*flushAt {
		*p = reply{encoder: encoder{codec: h.codec, buf: p.buf[:0]}}
		h.replies.Put(p)
	}
}

// stream is an answer of which the length is not known at first.
type stream struct {
	w     http.ResponseWriter
	head  bool // the body is not wanted
	begun bool
}

func (s *stream) Write(p []byte) (int, error) {
	if !s.begun {
		s.begun = true
		s.w.Header()["Content-Type"] = contentJSON
		s.w.WriteHeader(http.StatusOK)
	}
	if s.head {
		return len(p), nil
	}
	return s.w.Write(p)
}

// end writes the last part. If it is the only one, its length is known.
func (s *stream) end(p []byte) {
	if !s.begun {
		s.w.Header()["Content-Length"] = []string{strconv.Itoa(len(p))}
	}
	// The client that went away is told nothing.
	_, _ = s.Write(p)
}

// refuse writes a fault, in the caller's language.
func (h *handler) refuse(w http.ResponseWriter, r *http.Request, c *vim.Call, f *vim.Fault, status int) {
	e := h.take()
	defer h.release(e)
	text := f.Text(h.api.MessageLocale(c))
	if f.Detail == nil {
		// The API has no fault for this; it is HTTP's to say.
		status = http.StatusServiceUnavailable
		if f.RetryAfter > 0 {
			w.Header()["Retry-After"] = []string{strconv.Itoa(int(math.Ceil(f.RetryAfter.Seconds())))}
		}
		e.buf = append(e.buf, `{"faultstring":`...)
		e.string(text)
		e.buf = append(e.buf, '}')
	} else if err := e.fault(f.Detail, text); err != nil {
		e.buf = append(e.buf[:0], `{"_typeName":"SystemError","faultstring":"","reason":"internal error"}`...)
	}
	writeJSON(w, r, status, e.buf)
}

func writeJSON(w http.ResponseWriter, r *http.Request, status int, body []byte) {
	w.Header()["Content-Type"] = contentJSON
	w.Header()["Content-Length"] = []string{strconv.Itoa(len(body))}
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body)
	}
}
