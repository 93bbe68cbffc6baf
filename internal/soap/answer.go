package soap

import (
	"fmt"
	"math"
	"net/http"
	"reflect"
	"strconv"

	"github.com/vigate/vigate/internal/httptoken"
	"github.com/vigate/vigate/internal/vim"
)

const (
	head = `<?xml version="1.0" encoding="UTF-8"?>` + "\n" +
		`<soapenv:Envelope xmlns:soapenc="` + nsEncoding + `" xmlns:soapenv="` + nsEnvelope +
		`" xmlns:xsd="` + nsSchema + `" xmlns:xsi="` + nsInstance + `">` + "\n" + `<soapenv:Body>` + "\n"
	tail = "\n</soapenv:Body>\n</soapenv:Envelope>\n"

	serverFault = "ServerFaultCode"
)

// Values of headers, which nobody changes.
var (
	contentXML = []string{"text/xml; charset=utf-8"}
	noStore    = []string{"no-store"}
	noSniff    = []string{"nosniff"}
)

// answer writes the result of a call.
func (h *handler) answer(w http.ResponseWriter, c *vim.Call, result vim.Result, m *message) {
	buffer := h.buffers.Get().(*[]byte)
	defer h.release(buffer)
	s := &stream{w: w}
	if !result.Token.IsZero() {
		s.token, s.tls = result.Token.Reveal(), c.Peer.TLS
	}
	e := &encoder{codec: &h.codec, release: c.Release, buf: (*buffer)[:0], w: s}
	name := c.Name
	if c.Read {
		name = fetch
	}
	err := e.response(name, result.Value, m.typed)
	*buffer = e.buf
	switch {
	case err == nil:
		s.end(e.buf)
	case !s.begun:
		h.fault(w, c, vim.FaultOf(err), serverFault)
	default:
		// A part is on its way: break the connection, so that the client can't
		// take it for the whole.
		panic(http.ErrAbortHandler)
	}
}

// response writes the envelope around the result of an operation. No result, or
// an unset one, is an empty response.
func (e *encoder) response(name string, value any, typed bool) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("encode answer: %v", p)
		}
	}()
	e.buf = append(e.buf, head...)
	e.buf = append(append(append(e.buf, '<'), name...), `Response xmlns="`+nsVim+`">`...)
	if value != nil {
		e.element("returnval", reflect.ValueOf(value), typed)
	}
	e.buf = append(append(append(e.buf, "</"...), name...), "Response>"+tail...)
	return e.err
}

// release gives a buffer back, unless it has grown too large to keep.
func (h *handler) release(buffer *[]byte) {
	if cap(*buffer) <= 4*flushAt {
		h.buffers.Put(buffer)
	}
}

// stream is an answer of which the length is not known at first.
type stream struct {
	w     http.ResponseWriter
	token string // to hand out; empty: none
	tls   bool
	begun bool
}

func (s *stream) Write(p []byte) (int, error) {
	if !s.begun {
		s.begun = true
		if s.token != "" {
			httptoken.SetCookie(s.w.Header(), s.token, s.tls)
		}
		s.w.Header()["Content-Type"] = contentXML
		s.w.WriteHeader(http.StatusOK)
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

// fault writes a fault, in the caller's language.
func (h *handler) fault(w http.ResponseWriter, c *vim.Call, f *vim.Fault, code string) {
	buffer := h.buffers.Get().(*[]byte)
	defer h.release(buffer)
	text := f.Text(h.api.MessageLocale(c))
	status := http.StatusInternalServerError
	e := &encoder{codec: &h.codec, release: c.Release, buf: (*buffer)[:0]}
	e.fault(f, code, text)
	if e.err != nil {
		e = &encoder{codec: &h.codec, buf: (*buffer)[:0]}
		e.fault(vim.FaultOf(e.err), serverFault, text)
	}
	if f.Detail == nil {
		// The API has no fault for this; it is HTTP's to say.
		status = http.StatusServiceUnavailable
		if f.RetryAfter > 0 {
			w.Header()["Retry-After"] = []string{strconv.Itoa(int(math.Ceil(f.RetryAfter.Seconds())))}
		}
	}
	*buffer = e.buf
	w.Header()["Content-Type"] = contentXML
	w.Header()["Content-Length"] = []string{strconv.Itoa(len(e.buf))}
	w.WriteHeader(status)
	_, _ = w.Write(e.buf)
}

// fault writes the envelope around a fault. pyVmomi finds the fault's type in
// the element's name, others in xsi:type.
func (e *encoder) fault(f *vim.Fault, code, text string) {
	e.buf = append(append(e.buf, head+"<soapenv:Fault><faultcode>"...), code...)
	e.buf = appendText(append(e.buf, "</faultcode><faultstring>"...), text)
	e.buf = append(e.buf, "</faultstring>"...)
	if f.Detail != nil {
		v := reflect.ValueOf(f.Detail).Elem()
		p := e.codec.plan(v.Type())
		e.buf = append(append(append(e.buf, "<detail><"...), p.name...), `Fault xmlns="`+nsVim+`" xsi:type="`...)
		e.buf = append(append(e.buf, p.name...), `">`...)
		e.members(v, p)
		e.buf = append(append(append(e.buf, "</"...), p.name...), "Fault></detail>"...)
	}
	e.buf = append(e.buf, "</soapenv:Fault>"+tail...)
}
