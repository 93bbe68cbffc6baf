package vijson

import (
	"context"
	"net/http"
	"strings"
	"sync"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/httptoken"
	"github.com/vigate/vigate/internal/peer"
	"github.com/vigate/vigate/internal/vim"
)

const (
	// Root is the path below which the managed objects are served, and HelloPath
	// the one at which clients settle on a release.
	Root      = "/sdk/vim25/"
	HelloPath = "/api/vcenter/system"

	binding = "vijson"
)

// Values of headers that every answer has. They are only read.
var noStore, noSniff = []string{"no-store"}, []string{"nosniff"}

// dispatcher is what the binding needs of *vim.API.
type dispatcher interface {
	Objects() []*vim.Object
	Method(types.ManagedObjectReference, string) (*vim.Method, *vim.Fault)
	Property(types.ManagedObjectReference, string) (*vim.Property, *vim.Fault)
	Do(context.Context, *vim.Call) (vim.Result, *vim.Fault)
	Refuse(context.Context, *vim.Call, *vim.Fault)
	MessageLocale(*vim.Call) string
}

// handler serves VI JSON. It may serve many requests at a time.
type handler struct {
	api     dispatcher
	codec   *codec
	replies sync.Pool // of *reply
	openapi document
}

// Mount has mux serve VI JSON. The API's table must be complete.
func Mount(mux *http.ServeMux, api *vim.API) { newHandler(api).mount(mux) }

func newHandler(api dispatcher) *handler {
	h := &handler{api: api, codec: newCodec()}
	h.replies.New = func() any { return &reply{encoder: encoder{codec: h.codec, buf: make([]byte, 0, 4<<10)}} }
	return h
}

func (h *handler) mount(mux *http.ServeMux) {
	mux.Handle(Root, h)
	mux.Handle(HelloPath, h)
}

// ServeHTTP serves one request.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header["Cache-Control"] = noStore
	header["X-Content-Type-Options"] = noSniff
	// Without a RawPath nothing was escaped that could matter, a slash least of
	// all: the path's parts are then what they say.
	path, escaped := r.URL.Path, r.URL.RawPath != ""
	if escaped {
		path = r.URL.EscapedPath()
	}
	if path == HelloPath {
		h.hello(w, r)
		return
	}
	rest, ok := strings.CutPrefix(path, Root)
	if !ok {
		http.NotFound(w, r)
		return
	}
	if release, ok := strings.CutSuffix(rest, "/openapi.json"); ok && !strings.Contains(release, "/") {
		h.serveDocument(w, r, release)
		return
	}
	t, err := parsePath(rest, escaped)
	h.call(w, r, t, err)
}

// call serves one request to a managed object; broken says what is wrong with its
// path.
func (h *handler) call(w http.ResponseWriter, r *http.Request, t target, broken error) {
	ctx := r.Context()
	c := &vim.Call{
		Object: t.object, Name: t.name, Release: t.release,
		Read:           r.Method == http.MethodGet || r.Method == http.MethodHead,
		Peer:           peer.From(ctx),
		HTTP:           vim.HTTPRequest{Method: r.Method, Target: r.RequestURI},
		AcceptLanguage: strings.Join(r.Header["Accept-Language"], ","),
		Binding:        binding,
	}
	if a := r.Header["Authorization"]; len(a) > 0 {
		c.Proof.Authorization = a[0]
	}
	if fault := h.prepare(c, w, r, broken); fault != nil {
		h.api.Refuse(ctx, c, fault.Fault)
		h.refuse(w, r, c, fault.Fault, fault.status)
		return
	}
	defer c.Answered()
	result, fault := h.api.Do(ctx, c)
	if fault != nil {
		h.refuse(w, r, c, fault, http.StatusInternalServerError)
		return
	}
	h.answer(w, r, c, result)
}

// refusal is a fault of the binding's own, and its status.
type refusal struct {
	*vim.Fault
	status int
}

func invalid(reason string) *refusal {
	return &refusal{vim.InvalidRequest(reason), http.StatusInternalServerError}
}

func refused(f *vim.Fault) *refusal {
	return &refusal{f, http.StatusInternalServerError}
}

// prepare fills the call from the request.
func (h *handler) prepare(c *vim.Call, w http.ResponseWriter, r *http.Request, broken error) *refusal {
	credentials(c, r.Header)
	if broken != nil {
		return invalid(broken.Error())
	}
	if httptoken.Foreign(r) {
		// Whom the cookies belong to did not ask for this. Not even its
		// language is told.
		c.Token, c.HTTP.Ticket = "", ""
		return refused(vim.NewFault(&types.NoPermission{Object: &c.Object}, errForeign))
	}
	if c.Read {
		return h.prepareRead(c, w)
	}
	return h.prepareMethod(c, w, r)
}

func (h *handler) prepareRead(c *vim.Call, w http.ResponseWriter) *refusal {
	_, fault := h.api.Property(c.Object, c.Name)
	if fault == nil {
		return nil
	}
	if _, none := h.api.Method(c.Object, c.Name); none == nil {
		return notAllowed(w, "POST", "a method is called with POST")
	}
	return refused(fault)
}

func (h *handler) prepareMethod(c *vim.Call, w http.ResponseWriter, r *http.Request) *refusal {
	m, fault := h.api.Method(c.Object, c.Name)
	if fault != nil {
		if _, none := h.api.Property(c.Object, c.Name); none == nil {
			return notAllowed(w, "GET, HEAD", "a property is read with GET")
		}
		return refused(fault)
	}
	if r.Method != http.MethodPost {
		return notAllowed(w, "POST", "a method is called with POST")
	}
	if !isJSON(r.Header) {
		return invalid("the body must be application/json, in UTF-8 and not compressed")
	}
	body, refusal := readBody(w, r)
	if refusal != nil {
		return refusal
	}
	c.Proof.Body = body
	args := m.NewArgs()
	if err := h.codec.decode(body, args, m.Name, m.Args.Name(), m.Name+"RequestType"); err != nil {
		return refused(vim.FaultOf(err))
	}
	c.Args = args
	return nil
}

func notAllowed(w http.ResponseWriter, allow, reason string) *refusal {
	w.Header()["Allow"] = []string{allow}
	return &refusal{vim.InvalidRequest(reason), http.StatusMethodNotAllowed}
}
