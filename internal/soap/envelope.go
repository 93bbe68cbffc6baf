package soap

import (
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/binding"
	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/vim"
	"github.com/vigate/vigate/internal/xmltoken"
)

// fetch is the operation that reads a property. It is neither in the tables nor in the description of the
// API, but pyVmomi reads every property with it.
const fetch = "Fetch"

type fetchRequest struct {
	Prop string `xml:"prop" json:"prop"`
}

// malformed is the error for a message that is XML but no SOAP request. The reason contains nothing of the
// message. A message that is no XML is an *xmltoken.Error.
type malformed struct {
	code   string // a fault code of SOAP 1.1; ClientFaultCode if empty
	reason string
}

func (m *malformed) Error() string { return m.reason }

func bad(format string, args ...any) error { return &malformed{reason: fmt.Sprintf(format, args...)} }

// message is one request while it is decoded into a call.
type message struct {
	decoder
	raw []byte // the text of the message in UTF-8
	// received is the body as it was sent, which contains raw. It is nil if the body was in UTF-16.
	received []byte
	ctx      context.Context
	api      binding.Dispatcher
	call     *vim.Call
	// names is set if vcSessionCookie in the message decides the session. It then overrides the cookie that the
	// client's HTTP library sends.
	names bool

	security  []byte      // the WS-Security header, a part of raw
	cookie    secret.Text // the text of the header vcSessionCookie
	operation string      // the text of the header operationID
	// typed is set if the client can't tell the type of the result from the name of the operation.
	typed bool
}

// read decodes the message into the call. Its errors are *malformed, *xmltoken.Error and *vim.Fault.
func (m *message) read() (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = vim.FaultOf(fmt.Errorf("read request: %v", p))
		}
	}()
	m.reader = m.codec.reader(m.raw)
	defer func() {
		m.codec.done(m.reader)
		m.reader = nil
	}()
	return m.envelope()
}

// envelope decodes the whole message.
func (m *message) envelope() error {
	m.types = m
	if err := m.root(); err != nil {
		return err
	}
	e, err := m.Child()
	if err == nil && e != nil && e.Is(nsEnvelope, "Header") {
		if err := m.header(); err != nil {
			return err
		}
		if m.names && !m.cookie.IsZero() {
			m.call.Token = m.cookie
		}
		e, err = m.Child()
	}
	if err != nil {
		return err
	}
	if e == nil || !e.Is(nsEnvelope, "Body") {
		return bad("want a Body in the envelope, after its only Header")
	}
	if err := m.body(); err != nil {
		return err
	}
	if e, err = m.Child(); err != nil {
		return err
	}
	if e != nil {
		return bad("there is an element after the Body")
	}
	if err := m.End(); !errors.Is(err, xmltoken.ErrMore) {
		return err
	}
	return bad("there is something after the envelope")
}

// root reads up to the envelope.
func (m *message) root() error {
	for {
		t, err := m.Next()
		if errors.Is(err, io.EOF) {
			return bad("there is no envelope")
		}
		if err != nil {
			return err
		}
		switch {
		case t.Kind == xmltoken.Text && t.Blank():
		case t.Kind == xmltoken.Text:
			return bad("there is text before the envelope")
		case t.Is(nsEnvelope, "Envelope"):
			return nil
		case string(t.Space) == nsEnvelope12:
			return &malformed{"VersionMismatch", "SOAP 1.2 is not spoken here, but 1.1"}
		default:
			return bad("want an Envelope of SOAP 1.1")
		}
	}
}

// header reads the headers of the message that this server knows. An unknown header that must be understood
// is an error (SOAP 1.1, section 4.2.3). Other unknown headers are ignored.
func (m *message) header() error {
	for {
		e, err := m.Child()
		if err != nil || e == nil {
			return err
		}
		switch string(e.Name) {
		case "vcSessionCookie":
			text := m.cookie.Reveal()
			err = m.once(&text)
			m.cookie = secret.New(text)
		case "operationID":
			err = m.once(&m.operation)
		case "Security":
			err = m.keepSecurity(e)
		default:
			if must := string(e.Attribute(nsEnvelope, "mustUnderstand")); must == "1" || must == "true" {
				return &malformed{"MustUnderstand", "a header that must be understood is not"}
			}
			err = m.Skip()
		}
		if err != nil {
			return err
		}
	}
}

// maxHeader is the largest part of a header's text that is kept, in bytes. The text stays in memory until
// the call ends. The token of a session is shorter.
const maxHeader = 128

// once reads the text of a header that must not be repeated.
func (m *message) once(into *string) error {
	text, err := m.Text()
	if errors.Is(err, xmltoken.ErrNotText) || err == nil && *into != "" {
		return bad("a header is not as it must be, or repeated")
	}
	*into = string(text[:min(len(text), maxHeader)])
	return err
}

// keepSecurity keeps the bytes of the WS-Security header for the login method that verifies it. A second
// one is refused: otherwise one header could be verified and the other one used.
func (m *message) keepSecurity(e *xmltoken.Token) error {
	if string(e.Space) != nsSecurity || m.security != nil {
		return bad("there must be one Security header, of WS-Security 1.0")
	}
	begin := e.Begin
	if err := m.Skip(); err != nil {
		return err
	}
	m.security = m.raw[begin:m.Offset():m.Offset()]
	return nil
}

// body reads the only element in the Body, the operation.
func (m *message) body() error {
	e, err := m.Child()
	if err != nil {
		return err
	}
	if e == nil {
		return bad("the Body is empty")
	}
	if !ours(e) {
		return bad("the operation is not in the namespace %s", nsVim)
	}
	m.call.Name = m.codec.text(e.Name)
	if err := m.target(); err != nil {
		return err
	}
	if m.call.Name == fetch {
		err = m.property()
	} else {
		err = m.method()
	}
	if err != nil {
		return err
	}
	if e, err = m.Child(); err != nil {
		return err
	}
	if e != nil {
		return bad("there is a second element in the Body")
	}
	return nil
}

// target reads the first element of the operation, _this, which names the object.
func (m *message) target() error {
	e, err := m.Child()
	if err != nil {
		return err
	}
	if e == nil || string(e.Name) != "_this" || !ours(e) {
		return m.missing("_this")
	}
	m.path = append(m.path, step{"_this", -1})
	ref, err := m.managedObject(e)
	m.path = m.path[:0]
	// The object is one of this server, whatever serverGuid the client sends.
	ref.ServerGUID = ""
	m.call.Object = ref
	return err
}

// typeOf implements typer.
func (m *message) typeOf(id string) (string, error) {
	typ, fault := m.api.TypeOf(m.ctx, m.call, id)
	if fault != nil {
		return "", fault
	}
	return typ, nil
}

func (m *message) method() error {
	row, fault := m.api.Method(m.call.Object, m.call.Name)
	if fault != nil {
		return fault
	}
	if row.NeedsProof {
		m.call.Proof.Security, m.call.Proof.Message = secret.NewBytes(m.security), secret.NewBytes(m.raw)
		m.call.Proof.Body = secret.NewBytes(m.received)
	}
	m.typed = row.Result != nil && row.Result.Kind() == reflect.Interface
	args := row.NewArgs()
	if r, ok := args.(*types.RetrievePropertiesExRequestType); ok {
		allocateOne(r)
	}
	if err := m.arguments(args); err != nil {
		return err
	}
	m.call.Args = args
	return nil
}

// allocateOne allocates at once the lists of the commonest request, which asks for one property of one
// object.
func allocateOne(r *types.RetrievePropertiesExRequestType) {
	var few struct {
		specs      [1]types.PropertyFilterSpec
		properties [1]types.PropertySpec
		objects    [1]types.ObjectSpec
		paths      [1]string
	}
	few.properties[0].PathSet = few.paths[:0]
	few.specs[0].PropSet, few.specs[0].ObjectSet = few.properties[:0], few.objects[:0]
	r.SpecSet = few.specs[:0]
}

// property reads the arguments of Fetch.
func (m *message) property() error {
	m.call.Read, m.call.Name, m.typed = true, "", true
	var args fetchRequest
	if err := m.arguments(&args); err != nil {
		return err
	}
	m.call.Name = args.Prop
	_, fault := m.api.Property(m.call.Object, m.call.Name)
	if fault != nil {
		return fault
	}
	return nil
}

// arguments decodes the remaining elements of the operation into the struct that args points to.
func (m *message) arguments(args any) error {
	v := reflect.ValueOf(args).Elem()
	return m.object(v, m.codec.plans.Of(v.Type()))
}
