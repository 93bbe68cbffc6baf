package soap

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/vigate/vigate/internal/binding"
	"github.com/vigate/vigate/internal/httptoken"
	"github.com/vigate/vigate/internal/vim"
	"github.com/vigate/vigate/internal/xmltoken"
)

const (
	way = "soap"

	// VersionsPath is where clients find which versions of the API are spoken.
	VersionsPath = "/sdk/vimServiceVersions.xml"
)

// patterns are the paths at which envelopes are posted: the first by most clients,
// the others by old ones. vSphere's SDK for Perl posts to /sdk/webService, and
// clients that are made from the WSDL post to where they read it.
var patterns = []string{"/sdk", "/sdk/{$}", "/sdk/vimService", "/sdk/vimService.wsdl", "/sdk/webService"}

// handler serves SOAP. It may serve many requests at a time.
type handler struct {
	api      binding.Dispatcher
	bodies   *binding.Bodies
	log      *slog.Logger
	versions []byte
	codec    *codec
	replies  *binding.Pool[reply]
}

// Mount has mux serve SOAP, and the list of versions at VersionsPath. The API's
// table must be complete. bodies are those of all bindings.
func Mount(mux *http.ServeMux, api *vim.API, bodies *binding.Bodies) {
	newHandler(api, bodies, api.Log, api.Server.About.ApiVersion).mount(mux)
}

// newHandler makes the handler of an API whose table is complete and whose
// version is the one given.
func newHandler(api binding.Dispatcher, bodies *binding.Bodies, log *slog.Logger, version string) *handler {
	h := &handler{
		api: api, bodies: bodies, log: log, versions: versions(version), codec: newCodec(),
		replies: binding.NewPool(func(p *reply) *binding.Output { return &p.Output }),
	}
	h.codec.learn(api.Objects())
	return h
}

func (h *handler) mount(mux *http.ServeMux) {
	for _, pattern := range patterns {
		mux.Handle(pattern, h)
	}
	mux.HandleFunc(VersionsPath, h.serveVersions)
}

func (h *handler) serveVersions(w http.ResponseWriter, r *http.Request) {
	binding.SetCommon(w.Header())
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header()["Allow"] = []string{"GET, HEAD"}
		h.wrongMethod(w, r, http.StatusMethodNotAllowed, "the versions are read with GET")
		return
	}
	binding.Send(w, r.Method, http.StatusOK, contentXML, h.versions)
}

// wrongMethod answers a request whose HTTP method the path does not have.
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
	binding.SetCommon(w.Header())
	switch r.Method {
	case http.MethodPost:
	case http.MethodGet, http.MethodHead:
		// As at vCenter: there is nothing to read here.
		h.wrongMethod(w, r, http.StatusNotFound, "a message is sent with POST")
		return
	default:
		w.Header()["Allow"] = []string{http.MethodPost}
		h.wrongMethod(w, r, http.StatusMethodNotAllowed, "a message is sent with POST")
		return
	}
	ctx := r.Context()
	x := new(exchange)
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

// exchange is a call and the message that it is read from, which are made at
// once.
type exchange struct {
	call    vim.Call
	message message
	body    binding.Body
}

func (x *exchange) free() { x.body.Free() }

// prepare fills the exchange's call from the request.
func (h *handler) prepare(r *http.Request, x *exchange, foreign bool) *refusal {
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
		h.log.LogAttrs(ctx, slog.LevelDebug, "operation named by the client",
			slog.String("operationID", operationID(m.operation)), slog.String("request", m.call.Peer.Request.String()))
	}
	if err == nil {
		return nil
	}
	refusal = refusalOf(err)
	if refusal.code == serverFault {
		if gone := h.api.Lookup(ctx, m.call); gone != nil {
			return refused(gone)
		}
	}
	return refusal
}

// refusal is a fault of the binding's own, and its code in SOAP's terms.
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

// refuse answers a request that makes no call.
func (h *handler) refuse(ctx context.Context, w http.ResponseWriter, c *vim.Call, f *refusal) {
	h.api.Refuse(ctx, c, f.Fault)
	h.fault(w, c, f.Fault, f.code)
}
