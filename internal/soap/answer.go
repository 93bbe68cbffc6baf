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

// contentXML is the Content-Type of every message that this package sends. It must not be changed.
var contentXML = []string{"text/xml; charset=utf-8"}

// reply is the memory with which one answer is encoded and sent. handler.replies keeps replies for reuse.
type reply struct {
	encoder
	binding.Stream
}

// reply returns a reply that encodes for the caller's release. The caller gives it back to h.replies.
func (h *handler) reply(c *vim.Call) *reply {
	p := h.replies.Get()
	p.codec, p.release = h.codec, c.Release
	return p
}

// answer sends the result of a call. If the result can't be encoded, it sends a fault instead.
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

// response appends the envelope around the result of an operation. If there is no result, or it is unset,
// the response element is empty.
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

// fault sends a fault. Its text is in the caller's language.
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

// fault appends the envelope around a fault. pyVmomi takes the type of the fault from the name of the
// element, other clients from xsi:type.
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
