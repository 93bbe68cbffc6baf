package soap

import (
	"context"
	"fmt"
	"net/http"
	"reflect"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/binding"
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

// contentXML is only read.
var contentXML = []string{"text/xml; charset=utf-8"}

// reply is what an answer is made with.
type reply struct {
	encoder
	binding.Stream
}

// reply returns one for the caller's release. It is given back to h.replies.
func (h *handler) reply(c *vim.Call) *reply {
	p := h.replies.Get()
	p.codec, p.release = h.codec, c.Release
	return p
}

// answer writes the result of a call.
func (h *handler) answer(ctx context.Context, w http.ResponseWriter, c *vim.Call, result vim.Result, m *message) {
	p := h.reply(c)
	defer h.replies.Put(p)
	p.Stream = binding.Stream{W: w, ContentType: contentXML, API: h.api, Context: ctx, Call: c}
	if !result.Token.IsZero() {
		p.Begin = func(header http.Header) { httptoken.SetCookie(header, result.Token.Reveal(), c.Peer.TLS) }
	}
	p.To = &p.Stream
	name := c.Name
	if c.Read {
		name = fetch
	}
	err := p.response(name, result.Value, m.typed)
	if err := p.Finish(p.Buf, err); err != nil {
		h.fault(w, c, vim.FaultOf(err), serverFault)
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
	e.Buf = append(e.Buf, head...)
	e.Buf = append(append(append(e.Buf, '<'), name...), `Response xmlns="`+nsVim+`">`...)
	if r, ok := value.(*types.RetrieveResult); ok && r != nil && !typed {
		e.retrieved("returnval", r)
	} else if value != nil {
		e.element("returnval", reflect.ValueOf(value), typed)
	}
	e.Buf = append(append(append(e.Buf, "</"...), name...), "Response>"+tail...)
	return e.Err
}

// fault writes a fault, in the caller's language.
func (h *handler) fault(w http.ResponseWriter, c *vim.Call, f *vim.Fault, code string) {
	e := h.reply(c)
	defer h.replies.Put(e)
	text := f.Text(h.api.MessageLocale(c))
	e.fault(f, code, text)
	if err := e.Err; err != nil {
		e.Err, e.release, e.Buf = nil, vim.Release{}, e.Buf[:0]
		e.fault(vim.FaultOf(err), serverFault, text)
	}
	binding.Send(w, http.MethodPost, binding.Status(w.Header(), f, http.StatusInternalServerError), contentXML, e.Buf)
}

// fault writes the envelope around a fault. pyVmomi finds the fault's type in
// the element's name, others in xsi:type.
func (e *encoder) fault(f *vim.Fault, code, text string) {
	e.Buf = append(append(e.Buf, head+"<soapenv:Fault><faultcode>"...), code...)
	e.Buf = xmltoken.AppendText(append(e.Buf, "</faultcode><faultstring>"...), text)
	e.Buf = append(e.Buf, "</faultstring>"...)
	if f.Detail != nil {
		v := reflect.ValueOf(f.Detail).Elem()
		p := e.codec.plans.Of(v.Type())
		e.Buf = append(append(append(e.Buf, "<detail><"...), p.Name...), `Fault xmlns="`+nsVim+`" xsi:type="`...)
		e.Buf = append(append(e.Buf, p.Name...), `">`...)
		e.members(v, p)
		e.Buf = append(append(append(e.Buf, "</"...), p.Name...), "Fault></detail>"...)
	}
	e.Buf = append(e.Buf, "</soapenv:Fault>"+tail...)
}
