// Package path passes on the requests of a front that are not calls at /sdk: for files of datastores, transfers of
// virtual machines, the Automation API, and the services beside the SDK.
//
// A [Handler] finds the service of a path in a table, lets the front admit the request, and exchanges the
// client's credentials for those of a session at the upstream. Bodies are streamed in both directions. In
// messages the URLs of the upstream become those of the front, and ids are translated; files pass
// unchanged. A request that finds its session lost is sent once more, if its body allows that.
package path

import (
	"context"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vigate/vigate/internal/binding"
	"github.com/vigate/vigate/internal/httptoken"
	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/vim"
)

// Upstream is the server behind the front.
type Upstream interface {
	// URL returns the URL of its SDK.
	URL() *url.URL
	// RoundTrip sends a request over a trusted connection.
	RoundTrip(*http.Request) (*http.Response, error)
}

// Session is a session at the upstream.
type Session interface {
	// Authorize adds the session's cookie to a header.
	Authorize(http.Header)
	// REST returns the id of the session of the Automation API that belongs to the session.
	REST(context.Context) (secret.Text, error)
	// ProbeREST asks the upstream whether that session is still there, and forgets it if not.
	ProbeREST(context.Context, secret.Text) bool
	// Gone returns a channel that is closed when the session has ended.
	Gone() <-chan struct{}
	// Probe asks the upstream whether the session is still there, and ends it if not.
	Probe(context.Context) bool
}

// Access is what a request does, for the account's methods, the audit log and the metrics.
type Access struct {
	// Prefix is that of the path's service, and Path the whole path.
	Prefix, Path string
	// Changes means that the request may change something.
	Changes bool
	// Waits means that the request stays open for long: a WebSocket.
	Waits bool
}

// Passage is a request that the front has admitted.
type Passage interface {
	// Session returns the session that serves the request.
	Session() Session
	// Renew takes another session, because the one before has ended. It fails if the client session owned
	// something there.
	Renew(context.Context) *vim.Fault
	// Ask translates the ids of a request. ok is false if one is not the client's.
	Ask(text string) (_ string, ok bool)
	// AskQuery does the same for a query, where a value may also be the key of the client's session.
	AskQuery(query string) (_ string, ok bool)
	// AskBody does the same for a body, where a message of SOAP may also carry the cookie of the client's session.
	// The fault says why it can't pass. strict means that XML must be such a message.
	AskBody(text string, strict bool) (string, *vim.Fault)
	// Tell translates the ids of an answer, and removes the keys of sessions.
	Tell(text string) string
	// Answer does the same for a body.
	Answer(io.Reader) io.Reader
	// Release gives up the place among the requests in flight, but not among those that wait.
	Release()
	// Over returns a channel that is closed when the client session ends.
	Over() <-chan struct{}
	// Done ends the request. It returns the fault to answer with.
	Done(*vim.Fault) *vim.Fault
}

// Handler serves the other paths of one front. Its exported fields must be set before the first request.
type Handler struct {
	Upstream Upstream
	// Begin admits a request. Its call has the token and the name.
	Begin func(context.Context, *vim.Call, Access) (Passage, *vim.Fault)
	// Explain returns the fault for an error of the upstream or of a Session. unsent means that the upstream
	// got nothing, so that the request can be sent once more.
	Explain func(error) (_ *vim.Fault, unsent bool)
	// SOAP serves the calls at /sdk, and the messages of SOAP that go to the services beside it. If nil, these
	// are passed on as any other message.
	SOAP http.Handler
	// Calls reports whether messages of SOAP at a path are calls of the API. They are served as if they came to
	// /sdk, because the upstream may not know the other paths. May be nil.
	Calls func(path string) bool
	// API gives the texts of faults.
	API API
	// Sessions serves the session resource of the front itself.
	Sessions http.Handler
	// Bodies bounds the memory of requests that are read as a whole.
	Bodies *binding.Bodies
	// Paths are prefixes that are passed on besides the known ones.
	Paths    []string
	Draining <-chan struct{} // closed when the server shuts down; may be nil
	Logger   *slog.Logger    // if nil, slog.Default

	once      sync.Once
	table     table
	documents documents
	strangers chan struct{} // places of requests without a session
	tunnels   chan struct{} // places of WebSockets
	last      atomic.Pointer[rewriters]
}

// Bounds on the resources that strangers, and all clients together, can use.
const (
	maxStrangers  = 64
	maxTunnels    = 256
	maxOpenBody   = 4 << 20  // bytes of a request without a session
	maxMessage    = 64 << 20 // bytes of a message, which is read as a whole
	maxRepeatable = 1 << 20  // bytes of a file that is kept for one repetition
)

func (h *Handler) init() {
	h.once.Do(func() {
		h.table = newTable(h.Paths)
		h.strangers = make(chan struct{}, maxStrangers)
		h.tunnels = make(chan struct{}, maxTunnels)
		if h.Logger == nil {
			h.Logger = slog.Default()
		}
	})
}

// methods are the methods of HTTP that are passed on, with whether they change something. A client's word
// must not become a label of metrics.
var methods = map[string]bool{
	http.MethodGet: false, http.MethodHead: false, http.MethodOptions: false,
	http.MethodPost: true, http.MethodPut: true, http.MethodPatch: true, http.MethodDelete: true,
	"MOVE": true, "COPY": true, "MKCOL": true, "PROPFIND": false,
}

// Serves reports whether a path, as it stands in a URL, is passed on with the path handler. The caller adds
// the paths that the front serves itself.
func (h *Handler) Serves(path string) bool {
	h.init()
	p, err := clean(path)
	if err != nil {
		return false
	}
	s := h.table.find(p)
	return s != nil && s.way != refused || isSDK(p)
}

// ServeHTTP passes one request on.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.init()
	x := &exchange{h: h, w: w, r: r}
	path, err := clean(r.URL.EscapedPath())
	if err != nil {
		x.fail(http.StatusBadRequest, "The path can be read in more than one way.")
		return
	}
	x.path, x.service = path, h.table.find(path)
	if canonical, ok := isSession(path); ok && h.Sessions != nil {
		h.Sessions.ServeHTTP(w, withPath(r, canonical))
		return
	}
	call := h.Calls != nil && h.Calls(path)
	if x.service == nil && h.SOAP != nil && (call || isSDK(path)) {
		if call && r.Method == http.MethodPost {
			path = "/sdk"
		}
		h.SOAP.ServeHTTP(w, withPath(r, path))
		return
	}
	changes, known := methods[r.Method]
	switch {
	case x.service == nil || x.service.way == refused:
		x.fail(http.StatusNotFound, "There is nothing at this path.")
		return
	case !known:
		x.fail(http.StatusMethodNotAllowed, "This method is not passed on.")
		return
	}
	var foreign bool
	x.call, foreign = binding.NewCall(r, "http", cookiesOf(x.service)...)
	if foreign {
		x.fail(http.StatusForbidden, "A browser sent this for a page of another origin.")
		return
	}
	if isUpgrade(r.Header) && !x.upgrades() {
		x.fail(http.StatusBadRequest, "Only a WebSocket is passed on, where there is one.")
		return
	}
	if x.isCall() {
		h.SOAP.ServeHTTP(w, withPath(r, path))
		return
	}
	x.call.Object.Type, x.call.Name, x.call.Release = x.service.prefix, r.Method, vim.FirstRelease
	x.call.Proof = vim.Proof{}
	x.changes = changes
	switch {
	case x.service.way == document:
		h.documents.serve(x)
	case x.service.way == open:
		x.serveStranger()
	case x.service.way == automation && loosely(path) == rpcPath && r.Method == http.MethodPost:
		x.serveRPC()
	default:
		x.serve()
	}
}

// cookiesOf returns the cookies that can carry the token of a request, in order.
func cookiesOf(s *service) []string {
	if s.way == automation {
		return []string{httptoken.APICookie, httptoken.Cookie}
	}
	return []string{httptoken.Cookie, httptoken.APICookie}
}

// withPath returns the request with another path, which is clean and escaped.
func withPath(r *http.Request, path string) *http.Request {
	u := *r.URL
	u.Path, u.RawPath = path, path
	if plain, err := url.PathUnescape(path); err == nil {
		u.Path = plain
	}
	changed := *r
	changed.URL = &u
	return &changed
}

// take takes a place of a bound, or returns nil.
func take(places chan struct{}) (release func()) {
	select {
	case places <- struct{}{}:
		return sync.OnceFunc(func() { <-places })
	default:
		return nil
	}
}

// isCall reports whether the request is a message of SOAP for a service beside the SDK.
func (x *exchange) isCall() bool {
	if x.service.way != messages || x.r.Method != http.MethodPost || x.h.SOAP == nil {
		return false
	}
	kind, _, err := mime.ParseMediaType(x.r.Header.Get("Content-Type"))
	switch {
	case len(x.r.Header["Soapaction"]) > 0, err == nil && (kind == "text/xml" || kind == "application/soap+xml"):
		return true
	}
	return x.service.soap && !isJSON(kind)
}

// isJSON reports whether a media type is that of JSON.
func isJSON(kind string) bool { return kind == "application/json" || strings.HasSuffix(kind, "+json") }

// upgrades reports whether a request may switch to the protocol that it asks for. Through any other one, a client
// could send the upstream requests that nobody reads.
func (x *exchange) upgrades() bool {
	all := x.r.Header["Upgrade"]
	return len(all) == 1 && strings.EqualFold(strings.TrimSpace(all[0]), "websocket") &&
		x.r.Method == http.MethodGet && x.r.ContentLength == 0 && (x.service.way == tunnel || x.service.configured)
}

// isUpgrade reports whether a request asks for another protocol on its connection.
func isUpgrade(h http.Header) bool {
	if h.Get("Upgrade") == "" {
		return false
	}
	for _, line := range h["Connection"] {
		for token := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(token), "upgrade") {
				return true
			}
		}
	}
	return false
}

// API is the part of the front's *vim.API that the handler uses.
type API interface {
	MessageLocale(*vim.Call) string
	Now() time.Time
}
