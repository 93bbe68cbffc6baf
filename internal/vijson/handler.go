package vijson

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/binding"
	"github.com/vigate/vigate/internal/httptoken"
	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/vim"
)

const (
	// Root is the path below which the managed objects are served. HelloPath is the path where clients choose a
	// release.
	Root      = "/sdk/vim25/"
	HelloPath = "/api/vcenter/system"

	way = "vijson"
)

// handler serves the VI JSON requests of all clients. It is safe for concurrent use.
type handler struct {
	api     binding.Dispatcher
	bodies  *binding.Bodies
	codec   *codec
	replies *binding.Pool[reply]
	openapi document
	// elsewhere carries out the calls to objects of other types than those in here. It may be nil.
	elsewhere binding.Elsewhere
	here      []string
}

// Mount adds the paths of VI JSON to mux. The API's table must be complete: rows that are added later are
// not in the OpenAPI document. bodies limits the memory of request bodies, and is the same for all
// bindings.
func Mount(mux *http.ServeMux, api *vim.API, bodies *binding.Bodies) {
	newHandler(api, bodies).mount(mux)
}

func newHandler(api binding.Dispatcher, bodies *binding.Bodies) *handler {
	return &handler{
		api: api, bodies: bodies, codec: newCodec(),
		replies: binding.NewPool(func(p *reply) *binding.Output { return &p.Output }),
	}
}

func (h *handler) mount(mux *http.ServeMux) {
	mux.Handle(Root, h)
	mux.Handle(HelloPath, h)
}

// ServeHTTP serves one request.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// If RawPath is empty, Path contains no escape that changes the meaning, such as an escaped slash. Path can
	// then be split as it is.
	path, escaped := r.URL.Path, r.URL.RawPath != ""
	if escaped {
		path = r.URL.EscapedPath()
	}
	if path == HelloPath {
		h.hello(w, r)
		return
	}
	// parsePath refuses a path that is not below Root.
	rest, _ := strings.CutPrefix(path, Root)
	if release, ok := strings.CutSuffix(rest, "/openapi.json"); ok && !strings.Contains(release, "/") {
		h.serveDocument(w, r, release)
		return
	}
	t, err := parsePath(rest, escaped)
	h.call(w, r, t, err)
}

// call serves one request to a managed object. broken is the error in the request's path, or nil.
func (h *handler) call(w http.ResponseWriter, r *http.Request, t target, broken error) {
	ctx := r.Context()
	made, foreign := binding.NewCall(r, way, httptoken.Cookie)
	c := &made
	c.Object, c.Name, c.Release = t.object, t.name, t.release
	c.Read = r.Method == http.MethodGet || r.Method == http.MethodHead
	var refusal *refusal
	switch {
	case broken != nil:
		refusal = invalid(broken.Error())
	case foreign:
		refusal = refused(vim.NewFault(&types.NoPermission{Object: &c.Object}, errForeign))
	case h.passes(c.Object.Type):
		h.pass(w, r, c)
		return
	case c.Read:
		refusal = h.prepareRead(ctx, c, w)
	default:
		var body binding.Body
		body, refusal = h.prepareMethod(c, w, r)
		defer body.Free()
	}
	if refusal != nil {
		h.turnAway(w, r, c, refusal)
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

// turnAway sends the fault for a request that makes no call.
func (h *handler) turnAway(w http.ResponseWriter, r *http.Request, c *vim.Call, refusal *refusal) {
	h.api.Refuse(r.Context(), c, refusal.Fault)
	h.refuse(w, r, c, refusal.Fault, refusal.status)
}

// refusal is a fault for a request that makes no call, and the HTTP status to send with it.
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

// unfit refuses a call because of its operation or its arguments. If the object does not exist, it returns
// that fault instead: an unknown object is reported before anything else.
func (h *handler) unfit(ctx context.Context, c *vim.Call, f *vim.Fault) *refusal {
	if gone := h.api.Lookup(ctx, c); gone != nil {
		return refused(gone)
	}
	return refused(f)
}

func (h *handler) prepareRead(ctx context.Context, c *vim.Call, w http.ResponseWriter) *refusal {
	_, fault := h.api.Property(c.Object, c.Name)
	if fault == nil {
		return nil
	}
	if _, none := h.api.Method(c.Object, c.Name); none == nil {
		return notAllowed(w, "POST", "a method is called with POST")
	}
	return h.unfit(ctx, c, fault)
}

// prepareMethod decodes the arguments of a method into the call. It returns the body if the method needs
// the bytes as a proof. Otherwise it frees the body.
func (h *handler) prepareMethod(c *vim.Call, w http.ResponseWriter, r *http.Request) (kept binding.Body, _ *refusal) {
	m, fault := h.api.Method(c.Object, c.Name)
	if fault != nil {
		if _, none := h.api.Property(c.Object, c.Name); none == nil {
			return kept, notAllowed(w, "GET, HEAD", "a property is read with GET")
		}
		return kept, h.unfit(r.Context(), c, fault)
	}
	if r.Method != http.MethodPost {
		return kept, notAllowed(w, "POST", "a method is called with POST")
	}
	if !isJSON(r.Header) {
		f := vim.InvalidRequest("the body must be application/json, in UTF-8 and not compressed")
		return kept, h.unfit(r.Context(), c, f)
	}
	body, err := h.bodies.Read(w, r, maxBody)
	if err != nil {
		return kept, bodyRefusal(err)
	}
	defer func() { body.Free() }()
	done, fault := h.api.Decode(r.Context(), c, len(body.Bytes))
	if fault != nil {
		return kept, refused(fault)
	}
	args := m.NewArgs()
	// The turn must end before unfit looks up the object, because that may wait for the store.
	err = func() error {
		defer done()
		return h.codec.decode(body.Bytes, args, m.Name, m.Args.Name(), m.Name+"RequestType")
	}()
	if err != nil {
		return kept, h.unfit(r.Context(), c, vim.FaultOf(err))
	}
	c.Args = args
	if m.NeedsProof {
		c.Proof.Body = secret.NewBytes(body.Bytes)
		kept, body = body, kept
	}
	return kept, nil
}

func bodyRefusal(err error) *refusal {
	switch {
	case errors.Is(err, binding.ErrTooLarge):
		return &refusal{vim.InvalidRequest("the body is larger than 1 MiB"), http.StatusRequestEntityTooLarge}
	case errors.Is(err, binding.ErrCrowded):
		return refused(vim.Unavailable(fmt.Errorf("read request: %w", err)))
	}
	return invalid("the body did not come whole")
}

func notAllowed(w http.ResponseWriter, allow, reason string) *refusal {
	w.Header()["Allow"] = []string{allow}
	return &refusal{vim.InvalidRequest(reason), http.StatusMethodNotAllowed}
}
