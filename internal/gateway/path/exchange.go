package path

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log"
	"mime"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"time"

	"github.com/vigate/vigate/internal/binding"
	"github.com/vigate/vigate/internal/gateway/hop"
	"github.com/vigate/vigate/internal/gateway/link"
	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/vim"
)

// exchange is one request and its answer.
type exchange struct {
	h       *Handler
	w       http.ResponseWriter
	r       *http.Request
	path    string // clean
	service *service
	call    vim.Call
	changes bool

	passage Passage // nil for a request without a session
	// body is what is sent again if the session is lost. It is not used if whole is false.
	body  binding.Body
	whole bool
	// credential is where a message itself carries the token, for JSON-RPC.
	credential          *span
	rpc                 *rpcCall // of JSON-RPC
	toFront, toUpstream *link.Rewriter
	unsent              bool        // an attempt did not reach the upstream
	fault               *vim.Fault  // why the upstream was not asked
	rest                secret.Text // id of the session of the Automation API that was sent last
}

// serve passes on a request that needs a session.
func (x *exchange) serve() {
	h := x.h
	upgrade := isUpgrade(x.r.Header)
	if upgrade {
		release := take(h.tunnels)
		if release == nil {
			x.refuse(vim.Unavailable(errCrowded))
			return
		}
		defer release()
	}
	x.call.Note("path", x.noted())
	access := Access{Prefix: x.service.prefix, Path: x.path, Changes: x.changes, Waits: upgrade}
	passage, fault := h.Begin(x.r.Context(), &x.call, access)
	if fault != nil {
		x.refuse(fault)
		return
	}
	x.passage = passage
	defer func() {
		// After a panic nothing can be answered: the connection is dropped.
		x.passage.Done(x.fault)
	}()
	if !x.readBody() {
		return
	}
	defer x.body.Free()
	ctx, cancel := context.WithCancel(x.r.Context())
	defer cancel()
	defer x.endWith(cancel)()
	x.forward(ctx)
}

var errCrowded = errors.New("too many requests of this kind are in flight")

// noted returns the path for the audit log. Paths of transfers are secrets by themselves.
func (x *exchange) noted() string {
	switch x.service.prefix {
	case "/nfc", "/guestFile", "/ticket":
		return x.service.prefix
	}
	return x.path
}

// endWith cancels the request when the client session ends or the server shuts down a WebSocket. The result
// stops that.
func (x *exchange) endWith(cancel context.CancelFunc) (stop func()) {
	done := make(chan struct{})
	var draining <-chan struct{}
	if isUpgrade(x.r.Header) {
		draining = x.h.Draining
	}
	go func() {
		select {
		case <-x.passage.Over():
			cancel()
		case <-draining:
			cancel()
		case <-done:
		}
	}()
	return func() { close(done) }
}

// readBody reads what is to be read before the upstream is asked: messages, because ids in them are
// translated, and small files, so that they can be sent again. It reports whether the request goes on.
func (x *exchange) readBody() bool {
	limit := int64(maxMessage)
	switch {
	case x.credential != nil:
		return true // it is read already
	case isUpgrade(x.r.Header):
		x.whole = true
		return true
	case !x.asksMessage():
		if x.r.ContentLength < 0 || x.r.ContentLength > maxRepeatable {
			x.r.Body = &upload{ReadCloser: x.r.Body, control: http.NewResponseController(x.w)}
			return x.probe()
		}
		limit = maxRepeatable
	}
	body, err := x.h.Bodies.Read(x.w, x.r, limit)
	switch {
	case errors.Is(err, binding.ErrCrowded):
		x.refuseLate(vim.Unavailable(err))
		return false
	case errors.Is(err, binding.ErrTooLarge):
		x.fail(http.StatusRequestEntityTooLarge, "The request's body is too large.")
		return false
	case err != nil:
		x.fail(http.StatusBadRequest, "The request's body is incomplete.")
		return false
	}
	x.body, x.whole = body, true
	return true
}

// probe makes sure that the session is alive before a body is sent that can't be sent again.
func (x *exchange) probe() bool {
	if x.passage.Session().Probe(x.r.Context()) {
		return true
	}
	if fault := x.passage.Renew(x.r.Context()); fault != nil {
		x.refuseLate(fault)
		return false
	}
	return true
}

// refuseLate answers an admitted request with a fault.
func (x *exchange) refuseLate(fault *vim.Fault) {
	if x.passage != nil {
		x.fault = fault
		fault = x.passage.Done(fault)
	}
	x.answer(fault)
}

// asksMessage reports whether the body of the request is a message, in which URLs and ids are translated. The
// client says so, except of services that get nothing else.
func (x *exchange) asksMessage() bool { return x.service.soap || x.isMessage(x.r.Header) }

// isMessage reports whether headers say that a body is a message. A file passes as it is, whatever its type.
func (x *exchange) isMessage(h http.Header) bool {
	if x.service.way == data || x.service.way == tunnel || x.service.sealed {
		return false
	}
	kind, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil {
		return true // a server that does not say what it sends may send anything
	}
	switch kind {
	case "application/xml", "application/soap+xml", "application/x-www-form-urlencoded":
		return true
	}
	return isJSON(kind) || strings.HasPrefix(kind, "text/") || strings.HasSuffix(kind, "+xml")
}

// forward sends the request and streams the answer.
func (x *exchange) forward(ctx context.Context) {
	x.toFront, x.toUpstream = x.h.links(&x.call)
	proxy := &httputil.ReverseProxy{
		Rewrite:        x.rewrite,
		Transport:      x,
		ModifyResponse: x.modify,
		ErrorHandler:   x.failed,
		ErrorLog:       log.New(io.Discard, "", 0), // what fails is answered, or ends the connection
		FlushInterval:  -1,
	}
	proxy.ServeHTTP(x.w, x.r.WithContext(ctx))
}

// rewrite makes the request that goes to the upstream, but for what depends on the session.
func (x *exchange) rewrite(p *httputil.ProxyRequest) {
	upstream := x.h.Upstream.URL()
	p.Out.URL = &url.URL{Scheme: upstream.Scheme, Host: upstream.Host, RawQuery: p.In.URL.RawQuery}
	p.Out.Host = ""
	p.Out.Header = hop.Request(p.Out.Header, x.call.Token.Reveal())
	if isUpgrade(p.In.Header) {
		p.Out.Header.Set("Connection", "Upgrade")
		p.Out.Header.Set("Upgrade", "websocket")
	}
	// The transport would ask for compression, and texts are searched for in the answer.
	p.Out.Header.Set("Accept-Encoding", "identity")
	if x.service.way != data && x.service.way != tunnel {
		p.Out.Header.Del("Range") // the answer can become longer or shorter
		p.Out.Header.Del("If-Range")
	}
	for _, name := range []string{"Origin", "Referer", "Destination"} {
		if v := p.Out.Header.Get(name); v != "" {
			p.Out.Header.Set(name, x.toUpstream.Text(v))
		}
	}
}

// upload is the body of a request that is streamed. The server's limit of time is for requests that are read
// at once; a file has one for each part of it.
type upload struct {
	io.ReadCloser
	control *http.ResponseController
	next    time.Time // when the limit is set again
}

// patience is how long a client may send no byte of a file.
const patience = time.Minute

func (u *upload) Read(p []byte) (int, error) {
	if now := time.Now(); now.After(u.next) {
		u.next = now.Add(patience / 4)
		// A writer without deadlines does not belong to net/http.
		_ = u.control.SetReadDeadline(now.Add(patience + patience/4))
	}
	return u.ReadCloser.Read(p)
}

// bodyOf returns a new reader of a message or a small file.
func bodyOf(b []byte) io.ReadCloser { return io.NopCloser(bytes.NewReader(b)) }
