package soap

import (
	"fmt"
	"math"
	"net/http"
	"reflect"
	"strconv"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/httptoken"
	"github.com/vigate/vigate/internal/vim"
	"github.com/vigate/vigate/internal/xmltoken"
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
	p := h.take(c)
	defer h.release(p)
	p.stream.w = w
	if !result.Token.IsZero() {
		p.token, p.tls = result.Token.Reveal(), c.Peer.TLS
	}
	p.encoder.w = &p.stream
	name := c.Name
	if c.Read {
		name = fetch
	}
	err := p.response(name, result.Value, m.typed)
	switch {
	case err == nil:
		p.end(p.buf)
	case !p.begun:
		h.fault(w, c, vim.FaultOf(err), serverFault)
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

func (h *handler) take(c *vim.Call) *reply {
	p := h.replies.Get().(*reply)
	p.release = c.Release
	return p
}

// release gives a reply back with nothing in it but its buffer, unless that has
// grown too large to keep.
func (h *handler) release(p *reply) {
	if cap(p.buf) <= 4*flushAt {
		*p = reply{encoder: encoder{codec: h.codec, buf: p.buf[:0]}}
		h.replies.Put(p)
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
	if r, ok := value.(*types.RetrieveResult); ok && r != nil && !typed {
		e.retrieved("returnval", r)
	} else if value != nil {
		e.element("returnval", reflect.ValueOf(value), typed)
	}
	e.buf = append(append(append(e.buf, "</"...), name...), "Response>"+tail...)
	return e.err
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
	e := h.take(c)
	defer h.release(e)
	text := f.Text(h.api.MessageLocale(c))
	status := http.StatusInternalServerError
	e.fault(f, code, text)
	if err := e.err; err != nil {
		e.err, e.release, e.buf = nil, vim.Release{}, e.buf[:0]
		e.fault(vim.FaultOf(err), serverFault, text)
	}
	if f.Detail == nil {
		// The API has no fault for this; it is HTTP's to say.
		status = http.StatusServiceUnavailable
		if f.RetryAfter > 0 {
			w.Header()["Retry-After"] = []string{strconv.Itoa(int(math.Ceil(f.RetryAfter.Seconds())))}
		}
	}
	w.Header()["Content-Type"] = contentXML
	w.Header()["Content-Length"] = []string{strconv.Itoa(len(e.buf))}
	w.WriteHeader(status)
	_, _ = w.Write(e.buf)
}

// fault writes the envelope around a fault. pyVmomi finds the fault's type in
// the element's name, others in xsi:type.
func (e *encoder) fault(f *vim.Fault, code, text string) {
	e.buf = append(append(e.buf, head+"<soapenv:Fault><faultcode>"...), code...)
	e.buf = xmltoken.AppendText(append(e.buf, "</faultcode><faultstring>"...), text)
	e.buf = append(e.buf, "</faultstring>"...)
	if f.Detail != nil {
		v := reflect.ValueOf(f.Detail).Elem()
		p := e.codec.plans.Of(v.Type())
		e.buf = append(append(append(e.buf, "<detail><"...), p.Name...), `Fault xmlns="`+nsVim+`" xsi:type="`...)
		e.buf = append(append(e.buf, p.Name...), `">`...)
		e.members(v, p)
		e.buf = append(append(append(e.buf, "</"...), p.Name...), "Fault></detail>"...)
	}
	e.buf = append(e.buf, "</soapenv:Fault>"+tail...)
}
