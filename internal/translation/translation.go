package translation

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/binding"
	"github.com/vigate/vigate/internal/translation/codec"
	"github.com/vigate/vigate/internal/vim"
)

// maxBody is the largest body of a request, in bytes. It is that of the binding for SOAP, where the same
// calls are possible.
const maxBody = 8 << 20

var contentJSON = []string{"application/json"}

// Front forwards calls to the server behind it.
type Front interface {
	// Content returns the content of the server's ServiceInstance, with the ids that clients use.
	Content(context.Context) (*types.ServiceContent, *vim.Fault)
	// Forward admits a call, and sends its message. The caller closes the body of the answer.
	Forward(context.Context, *Call) (*Answer, *vim.Fault)
}

// Call is a call as a message of SOAP.
type Call struct {
	*vim.Call
	Request *http.Request // of the client, with the headers that prove who it is
	// Message is the envelope, in UTF-8. Action is the value of the header SOAPAction.
	Message []byte
	Action  string
}

// Answer is the server's answer to a message: an envelope of SOAP if the status is 200 or 500, and also if it is
// 503 and the front itself has refused the call.
type Answer struct {
	Status int
	Header http.Header // may be nil
	Body   io.ReadCloser
}

// Translation is the API of the server behind a front, as VI JSON. It is safe for concurrent use.
type Translation struct {
	front   Front
	api     *table
	answers *binding.Pool[codec.Answer]
}

// New returns the API behind a front.
func New(front Front) *Translation {
	return &Translation{front: front, api: api(),
		answers: binding.NewPool(func(a *codec.Answer) *binding.Output { return &a.Output })}
}

// Serve serves one request.
func (t *Translation) Serve(x *binding.Exchange) {
	c := x.Call
	typ, ok := t.api.types[c.Object.Type]
	if !ok {
		x.Refuse(vim.TypeNotFound(c.Object.Type), http.StatusInternalServerError)
		return
	}
	property, readable := typ.property(c.Name)
	method, callable := t.api.methods[c.Name]
	switch {
	case c.Read && readable:
		t.read(x, property)
	case c.Read && callable:
		notAllowed(x, "POST", "a method is called with POST")
	case c.Read:
		x.Refuse(vim.PropertyNotFound(c.Name), http.StatusInternalServerError)
	case callable && x.R.Method == http.MethodPost:
		t.call(x, method)
	case callable:
		notAllowed(x, "POST", "a method is called with POST")
	case readable:
		notAllowed(x, "GET, HEAD", "a property is read with GET")
	default:
		x.Refuse(vim.MethodNotFound(c.Object, c.Name), http.StatusInternalServerError)
	}
}

func notAllowed(x *binding.Exchange, allow, reason string) {
	x.W.Header()["Allow"] = []string{allow}
	x.Refuse(vim.InvalidRequest(reason), http.StatusMethodNotAllowed)
}

// call serves a call of a method.
func (t *Translation) call(x *binding.Exchange, m *row) {
	if !x.Format {
		x.Refuse(vim.InvalidRequest("the body must be application/json, in UTF-8 and not compressed"),
			http.StatusInternalServerError)
		return
	}
	message, fault, status := t.message(x)
	if fault != nil {
		x.Refuse(fault, status)
		return
	}
	t.forward(x, message, func(a *codec.Answer) (reply, error) {
		var r reply
		var err error
		if m.void {
			r.set, err = a.Void()
		} else {
			r.set, err = a.Result(m.value)
		}
		return r, err
	})
}

// message reads the arguments of a method, and returns the envelope with them.
func (t *Translation) message(x *binding.Exchange) (message []byte, _ *vim.Fault, status int) {
	body, err := x.Bodies.Read(x.W, x.R, maxBody)
	switch {
	case errors.Is(err, binding.ErrTooLarge):
		return nil, vim.InvalidRequest("the body is larger than 8 MiB"), http.StatusRequestEntityTooLarge
	case errors.Is(err, binding.ErrCrowded):
		return nil, vim.Unavailable(fmt.Errorf("read request: %w", err)), http.StatusInternalServerError
	case err != nil:
		return nil, vim.InvalidRequest("the body did not come whole"), http.StatusInternalServerError
	}
	defer body.Free()
	c := x.Call
	done, fault := x.API.Decode(x.R.Context(), c, len(body.Bytes))
	if fault != nil {
		return nil, fault, http.StatusInternalServerError
	}
	defer done()
	message = begin(make([]byte, 0, 1024+2*len(body.Bytes)), c.Name, c.Object)
	message, err = t.api.schema.Request(message, body.Bytes, c.Name)
	if err != nil {
		return nil, vim.FaultOf(err), http.StatusInternalServerError
	}
	return end(message, c.Name), nil, 0
}

// serviceInstance is the object that every server has under this id.
var serviceInstance = types.ManagedObjectReference{Type: "ServiceInstance", Value: "ServiceInstance"}

// read serves a read of a property.
func (t *Translation) read(x *binding.Exchange, p *row) {
	content, fault := t.front.Content(x.R.Context())
	if fault != nil {
		x.Fail(fault)
		return
	}
	if x.Call.Object == serviceInstance && x.Call.Name == "content" {
		// Clients read it before they log in, and a retrieval would need a session.
		const method = "RetrieveServiceContent"
		t.forward(x, end(begin(nil, method, serviceInstance), method), func(a *codec.Answer) (r reply, err error) {
			r.set, err = a.Result(p.value)
			return r, err
		})
		return
	}
	message := retrieval(content.PropertyCollector, x.Call.Object, x.Call.Name)
	t.forward(x, message, func(a *codec.Answer) (r reply, err error) {
		r.set, r.failed, err = a.Property(p.value)
		return r, err
	})
}

// reply describes the written answer: it is a value if set is true, a fault if failed is true.
type reply struct{ set, failed bool }

// forward sends a message, and answers with what result reads from the answer.
func (t *Translation) forward(x *binding.Exchange, message []byte, result func(*codec.Answer) (reply, error)) {
	ctx, c := x.R.Context(), x.Call
	action, fault := t.action(ctx, c)
	if fault != nil {
		x.Fail(fault)
		return
	}
	answer, fault := t.front.Forward(ctx, &Call{Call: c, Request: x.R, Message: message, Action: action})
	if fault != nil {
		x.Fail(fault)
		return
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.Status == http.StatusServiceUnavailable {
		t.refused(x, answer)
		return
	}
	if answer.Status != http.StatusOK && answer.Status != http.StatusInternalServerError {
		x.Fail(vim.Unavailable(fmt.Errorf("forward call: the server behind answered with status %d", answer.Status)))
		return
	}
	a := t.answers.Get()
	defer t.answers.Put(a)
	if err := t.api.schema.Start(a, answer.Body, c.Release); err != nil {
		x.Fail(vim.FaultOf(err))
		return
	}
	if a.IsFault() {
		if err := a.Fault(); err != nil {
			x.Fail(vim.FaultOf(err))
			return
		}
		binding.Send(x.W, x.R.Method, http.StatusInternalServerError, contentJSON, a.Buf)
		return
	}
	t.stream(x, a, result)
}

// refused answers a call that was refused because of load or an outage. The client gets the text and the time
// after which it may try again.
func (t *Translation) refused(x *binding.Exchange, answer *Answer) {
	after := answer.Header["Retry-After"]
	a := t.answers.Get()
	defer t.answers.Put(a)
	err := t.api.schema.Start(a, io.LimitReader(answer.Body, maxRefusal), x.Call.Release)
	if err == nil {
		err = a.Refusal()
	}
	if err != nil { // such as the page of a proxy in front of the server behind
		x.Fail(vim.Unavailable(fmt.Errorf("forward call: the server behind answered with status 503: %w", err)))
		return
	}
	if len(after) == 1 {
		x.W.Header()["Retry-After"] = after
	}
	binding.Send(x.W, x.R.Method, http.StatusServiceUnavailable, contentJSON, a.Buf)
}

// maxRefusal is the largest answer that is read for its text, in bytes.
const maxRefusal = 64 << 10

// stream sends the result of a call while it arrives.
func (t *Translation) stream(x *binding.Exchange, a *codec.Answer, result func(*codec.Answer) (reply, error)) {
	s := binding.Stream{
		W: x.W, ContentType: contentJSON, Head: x.R.Method == http.MethodHead,
		API: x.API, Context: x.R.Context(), Call: x.Call,
	}
	a.To = &s
	r, err := result(a)
	switch {
	case err == nil && r.failed:
		binding.Send(x.W, x.R.Method, http.StatusInternalServerError, contentJSON, a.Buf)
		return
	case err == nil && !r.set:
		x.W.WriteHeader(http.StatusNoContent)
		return
	}
	if err := s.Finish(a.Buf, err); err != nil {
		x.Fail(vim.FaultOf(err))
	}
}

// action returns the header that tells the server behind which release the client uses. A server does not
// know releases that are newer than itself.
func (t *Translation) action(ctx context.Context, c *vim.Call) (string, *vim.Fault) {
	content, fault := t.front.Content(ctx)
	if fault != nil {
		return "", fault
	}
	version := c.Release.String()
	if newest, err := vim.ParseRelease(content.About.ApiVersion); err == nil && newest.Before(c.Release) {
		version = content.About.ApiVersion
	}
	return namespace + "/" + version, nil
}
