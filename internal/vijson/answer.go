package vijson

import (
	"net/http"

	"github.com/vigate/vigate/internal/binding"
	"github.com/vigate/vigate/internal/httptoken"
	"github.com/vigate/vigate/internal/vim"
)

var contentJSON = []string{"application/json"}

// reply is the memory with which one answer is encoded and sent. handler.replies keeps replies for reuse.
type reply struct {
	encoder
	binding.Stream
}

// answer sends the result of a call. The status is 204 if the operation has no result, or if the result is
// unset.
func (h *handler) answer(w http.ResponseWriter, r *http.Request, c *vim.Call, result vim.Result) {
	p := h.replies.Get()
	defer h.replies.Put(p)
	p.codec, p.release = h.codec, c.Release
	p.Stream = binding.Stream{
		W: w, ContentType: contentJSON, Head: r.Method == http.MethodHead,
		API: h.api, Context: r.Context(), Call: c,
	}
	if !result.Token.IsZero() {
		p.Begin = func(header http.Header) {
			token := result.Token.Reveal()
			header[httptoken.Header] = []string{token}
			httptoken.SetCookie(header, token, c.Peer.TLS)
		}
	}
	if result.Value == nil {
		if p.Begin != nil {
			p.Begin(w.Header())
		}
		w.WriteHeader(http.StatusNoContent)
		return
	}
	p.To = &p.Stream
	err := p.encode(result.Value)
	if err := p.Finish(p.Buf, err); err != nil {
		h.refuse(w, r, c, vim.FaultOf(err), http.StatusInternalServerError)
	}
}

// refuse sends a fault. Its text is in the caller's language.
func (h *handler) refuse(w http.ResponseWriter, r *http.Request, c *vim.Call, f *vim.Fault, status int) {
	e := h.replies.Get()
	defer h.replies.Put(e)
	e.codec, e.release = h.codec, c.Release
	text := f.Text(h.api.MessageLocale(c))
	if f.Detail == nil {
		e.Buf = append(e.Buf, `{"faultstring":`...)
		e.string(text)
		e.Buf = append(e.Buf, '}')
	} else if err := e.fault(f.Detail, text); err != nil {
		e.Buf = append(e.Buf[:0], `{"_typeName":"SystemError","faultstring":"","reason":"internal error"}`...)
	}
	binding.Send(w, r.Method, binding.Status(w.Header(), f, status), contentJSON, e.Buf)
}
