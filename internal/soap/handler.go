package soap

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/vigate/vigate/internal/binding"
	"github.com/vigate/vigate/internal/httptoken"
	"github.com/vigate/vigate/internal/vim"
	"github.com/vigate/vigate/internal/wsdl"
	"github.com/vigate/vigate/internal/xmltoken"
)

const (
	way = "soap"

	// VersionsPath is the path of the document that lists the versions of the API that this server supports.
	VersionsPath = "/sdk/vimServiceVersions.xml"
)

// paths are the paths to which clients post envelopes. Most clients use the first. vSphere's SDK for Perl posts to
// /sdk/webService, and clients that are generated from the WSDL post to the address in it or to the one from which
// they read it.
var paths = append(wsdl.Paths(), "/sdk", "/sdk/", "/sdk/vimService", "/sdk/webService", "/sdk/vim25/vimService")

// Serves reports whether a path is one of this package for calls, which may also have a file of the description.
func Serves(path string) bool { return slices.Contains(paths, path) }

// handler serves the SOAP requests of all clients. It is safe for concurrent use.
type handler struct {
	api      binding.Dispatcher
	bodies   *binding.Bodies
	logger   *slog.Logger
	versions []byte
	codec    *codec
	replies  *binding.Pool[reply]
	describe func() (*wsdl.Documents, error)
}

// Options configures the binding.
type Options struct {
	// Version is the newest version of the API that VersionsPath lists, for example 8.0.3.0.
	Version string
	// Describe returns the description of the API that the server has for SOAP. It is called for each request
	// for a file. If nil, the description is that of the API's table.
	Describe func() (*wsdl.Documents, error)
	Logger   *slog.Logger // if nil, slog.Default
}

// Mount adds the paths of SOAP, of its description in WSDL, and VersionsPath, to mux. The API's table must be
// complete: rows that are added later are not served. bodies limits the memory of request bodies, and is the
// same for all bindings.
func Mount(mux *http.ServeMux, api *vim.API, bodies *binding.Bodies, o Options) {
	h := newHandler(api, bodies, cmp.Or(o.Logger, slog.Default()), o.Version)
	if o.Describe != nil {
		h.describe = o.Describe
	}
	h.mount(mux)
}

// newHandler returns a handler for an API whose table is complete. version is the newest version of the API
// that VersionsPath lists.
func newHandler(api binding.Dispatcher, bodies *binding.Bodies, logger *slog.Logger, version string) *handler {
	h := &handler{
		api: api, bodies: bodies, logger: logger, versions: versions(version), codec: newCodec(),
		replies:  binding.NewPool(func(p *reply) *binding.Output { return &p.Output }),
		describe: sync.OnceValues(func() (*wsdl.Documents, error) { return wsdl.New(version, api.Objects()) }),
	}
	h.codec.learn(api.Objects())
	return h
}

func (h *handler) mount(mux *http.ServeMux) {
	for _, path := range paths {
		if strings.HasSuffix(path, "/") {
			path += "{$}" // without the paths below
		}
		mux.Handle(path, h)
	}
	mux.HandleFunc(VersionsPath, h.serveVersions)
}

func (h *handler) serveVersions(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header()["Allow"] = []string{"GET, HEAD"}
		h.wrongMethod(w, r, http.StatusMethodNotAllowed, "the versions are read with GET")
		return
	}
	binding.Send(w, r.Method, http.StatusOK, contentXML, h.versions)
}

// wrongMethod sends the fault for a request whose HTTP method the path does not support.
func (h *handler) wrongMethod(w http.ResponseWriter, r *http.Request, status int, reason string) {
	c, _ := binding.NewCall(r, way)
	f := clientFault(reason)
	h.api.Refuse(r.Context(), &c, f.Fault)
	e := h.reply(&c)
	defer h.replies.Put(e)
	e.fault(f.Fault, f.code, f.Text(h.api.MessageLocale(&c)))
	binding.Send(w, r.Method, status, contentXML, e.Buf)
}

// ServeHTTP serves one call.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodPost:
	case http.MethodGet, http.MethodHead:
		h.serveDocument(w, r)
		return
	default:
		w.Header()["Allow"] = []string{http.MethodPost}
		h.wrongMethod(w, r, http.StatusMethodNotAllowed, "a message is sent with POST")
		return
	}
	ctx := r.Context()
	x := new(request)
	c, m := &x.call, &x.message
	var foreign bool
	x.call, foreign = binding.NewCall(r, way, httptoken.Cookie)
	c.Release = requestRelease(r.Header)
	var err error
	x.body, err = h.bodies.Read(w, r, maxBody)
	defer x.free()
	if err != nil {
		h.refuse(ctx, w, c, bodyRefusal(err))
		return
	}
	*m = message{decoder: decoder{codec: h.codec}, ctx: ctx, api: h.api, call: c}
	refusal := h.prepare(r, x, foreign)
	if m.raw, m.received, m.security = nil, nil, nil; c.Proof.Message.IsZero() {
		x.free()
	}
	if refusal != nil {
		h.refuse(ctx, w, c, refusal)
		return
	}
	defer c.Answered()
	result, fault := h.api.Do(ctx, c)
	if fault != nil {
		h.fault(w, c, fault, serverFault)
		return
	}
	h.answer(ctx, w, c, result, m)
}

// request is a call, the message that it is decoded from and the body that holds the message. They are one
// struct, so that a request needs one allocation for them.
type request struct {
	call    vim.Call
	message message
	body    binding.Body
}

func (x *request) free() { x.body.Free() }

// prepare decodes the request into the call of the request. foreign is set if a page of another origin
// sent the request.
func (h *handler) prepare(r *http.Request, x *request, foreign bool) *refusal {
	if foreign {
		return refused(vim.InvalidRequest("a page of another origin may not use this server"))
	}
	ctx, m := r.Context(), &x.message
	m.names = httptoken.Token(r.Header) == ""
	done, fault := h.api.Decode(ctx, m.call, len(x.body.Bytes))
	if fault != nil {
		return refused(fault)
	}
	refusal, err := h.text(r, x), error(nil)
	if refusal == nil {
		err = m.read()
	}
	done()
	if refusal != nil {
		return refusal
	}
	if m.operation != "" {
		h.logger.LogAttrs(ctx, slog.LevelDebug, "operation named by the client",
			slog.String("operationID", operationID(m.operation)), slog.String("request", m.call.Peer.Request.String()))
	}
	if err == nil {
		return nil
	}
	_, broken := errors.AsType[*xmltoken.Error](err)
	m.call.Proof.Unreadable = broken && bytes.Contains(m.raw, []byte(nsSecurity))
	refusal = refusalOf(err)
	if refusal.code == serverFault {
		if gone := h.api.Lookup(ctx, m.call); gone != nil {
			return refused(gone)
		}
	}
	return refusal
}

// refusal is a fault for a request that makes no call, and the SOAP fault code to send with it.
type refusal struct {
	*vim.Fault
	code string
}

func refused(f *vim.Fault) *refusal { return &refusal{f, serverFault} }

func clientFault(reason string) *refusal {
	return &refusal{vim.InvalidRequest(reason), "ClientFaultCode"}
}

func refusalOf(err error) *refusal {
	if broken, ok := errors.AsType[*xmltoken.Error](err); ok {
		return clientFault(broken.Error())
	}
	m, ok := errors.AsType[*malformed](err)
	if !ok {
		return refused(vim.FaultOf(err))
	}
	r := clientFault(m.reason)
	if m.code != "" {
		r.code = "soapenv:" + m.code
	}
	return r
}

func bodyRefusal(err error) *refusal {
	switch {
	case errors.Is(err, binding.ErrTooLarge):
		return clientFault("the message is larger than 8 MiB")
	case errors.Is(err, binding.ErrCrowded):
		return refused(vim.Unavailable(fmt.Errorf("read request: %w", err)))
	}
	return clientFault("the message did not come whole")
}

// refuse sends the fault for a request that makes no call.
func (h *handler) refuse(ctx context.Context, w http.ResponseWriter, c *vim.Call, f *refusal) {
	h.api.Refuse(ctx, c, f.Fault)
	h.fault(w, c, f.Fault, f.code)
}
