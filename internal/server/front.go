package server

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/vigate/vigate/internal/peer"
)

// front is what every request passes before the application: who is there,
// limits, health, and what becomes of a panic.
type front struct {
	next     http.Handler
	proxies  []netip.Prefix
	ids      *requestIDs
	requests *quota
	shares   *shares
	health   *health
	tunnel   *tunnel // nil: CONNECT is refused
	guard    guard
	guarded  *refusals // by guard
	logger   *slog.Logger
	now      func() time.Time
	stall    time.Duration // of a client that takes nothing of its answer
}

type originKey struct{}

// connContext is for http.Server: it hands the connection's origin on.
func connContext(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, originKey{}, knownOrigin(c))
}

// knownOrigin is the origin of the connection below TLS.
func knownOrigin(c net.Conn) origin {
	for {
		switch layer := c.(type) {
		case interface{ origin() origin }:
			return layer.origin()
		case interface{ NetConn() net.Conn }:
			c = layer.NetConn()
		default:
			return origin{}
		}
	}
}

// ServeHTTP serves one request.
func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	setCommon(w.Header())
	if unsafeFraming(r) {
		w.Header().Set("Connection", "close")
	}
	from, _ := r.Context().Value(originKey{}).(origin)
	from.meter.begin()
	defer from.meter.end()
	x := &exchange{from: peerOf(r, from, f.proxies)}
	r = x.attach(w, r, f.stall)
	defer x.answer.finish()
	if r.ProtoMajor != 1 && r.TLS == nil { // the preface of HTTP/2, which net/http passes on
		http.Error(&x.answer, "HTTP/2 is served over TLS", http.StatusHTTPVersionNotSupported)
		return
	}
	if reason := f.guard.refuses(r); reason != "" {
		f.logGuarded(r, reason)
		http.Error(&x.answer, reason, http.StatusForbidden)
		return
	}
	if f.health.serve(&x.answer, r) {
		return
	}
	if fields(r.Header) > maxFields {
		http.Error(&x.answer, "too many header fields", http.StatusRequestHeaderFieldsTooLarge)
		return
	}
	p, ok := f.admit(r, from)
	if !ok {
		w.Header().Set("Retry-After", "1")
		http.Error(&x.answer, "too many requests in flight", http.StatusServiceUnavailable)
		return
	}
	defer f.leave(p)
	x.from.Request = f.ids.next() // nobody has seen x.from before
	if r.Method == http.MethodConnect {
		f.tunnel.serveConnect(&x.answer, r, &x.from, from.meter)
		return
	}
	if f.logger.Enabled(r.Context(), slog.LevelDebug) {
		defer f.logAccess(x, r, time.Now())
	}
	defer f.recoverPanic(x, r) // before the access line, which shall have its status
	f.next.ServeHTTP(&x.answer, r)
}

// shares are what one address may have of what HTTP/2 multiplies.
type shares struct {
	requests *addressQuota // in flight over HTTP/2
	headers  *addressQuota // bytes
}

// place is what a request in flight has of them.
type place struct {
	http2  bool // over HTTP/1 its connection and its header are counted
	owner  string
	header int64 // bytes
}

// admit takes the place of a request in flight.
func (f *front) admit(r *http.Request, from origin) (place, bool) {
	if !f.requests.take() {
		return place{}, false
	}
	if r.ProtoMajor == 1 {
		return place{}, true
	}
	p := place{true, from.owner(), max(0, headerSize(r)-smallHeader)}
	if !f.shares.requests.take(p.owner, 1) {
		f.requests.give()
		return place{}, false
	}
	if !f.shares.headers.take(p.owner, p.header) {
		f.shares.requests.give(p.owner, 1)
		f.requests.give()
		return place{}, false
	}
	return p, true
}

// leave gives it back.
func (f *front) leave(p place) {
	if p.http2 {
		f.shares.headers.give(p.owner, p.header)
		f.shares.requests.give(p.owner, 1)
	}
	f.requests.give()
}

// exchange is what is known of one request and its answer, together since each
// request makes one.
type exchange struct {
	answer answer
	body   requestBody
	from   peer.Peer
}

// attach makes x the exchange of r, and w its answer's way out. It returns the
// request for the handler.
func (x *exchange) attach(w http.ResponseWriter, r *http.Request, stall time.Duration) *http.Request {
	x.answer.ResponseWriter, x.answer.isHead = w, r.Method == http.MethodHead
	if r.ProtoMajor == 2 {
		x.answer.stall = stall
	}
	r = r.WithContext(peer.With(r.Context(), &x.from))
	if needsReadOn(r) {
		x.body.ReadCloser, x.body.waits = r.Body, len(r.Header["Expect"]) > 0
		x.answer.body, r.Body = &x.body, &x.body
	}
	return r
}

// unsafeFraming tells of requests after which the connection is closed. RFC
// 9112 §6.1 wants that where Transfer-Encoding stands beside Content-Length, or
// in an HTTP/1.0 message: somebody between may have seen the request's end
// elsewhere. net/http goes by Transfer-Encoding in the first case, ignores it
// in the second, and hides either, so all chunked and all HTTP/1.0 requests
// are the last ones on their connection.
func unsafeFraming(r *http.Request) bool {
	return r.ProtoMajor == 1 && (len(r.TransferEncoding) > 0 || r.ProtoMinor == 0)
}

// recoverPanic ends the one request that panicked. The client learns only the
// request's id; the log has the stack.
func (f *front) recoverPanic(x *exchange, r *http.Request) {
	v := recover()
	if v == nil {
		return
	}
	a, id := &x.answer, x.from.Request.String()
	if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		a.abandon()
		panic(http.ErrAbortHandler) // asked for: net/http drops the connection
	}
	f.logger.LogAttrs(context.WithoutCancel(r.Context()), slog.LevelError, "request panicked",
		slog.String("request", id), slog.String("method", shorten(r.Method)), slog.String("path", shorten(r.URL.Path)),
		slog.Any("panic", v), slog.String("stack", string(debug.Stack())))
	if a.begun() {
		a.abandon()
		panic(http.ErrAbortHandler) // half an answer must not look like a whole one
	}
	a.forget()
	last := a.Header()["Connection"]
	clear(a.Header())
	setCommon(a.Header())
	if last != nil {
		a.Header()["Connection"] = last
	}
	a.Header().Set("X-Request-Id", id)
	http.Error(a, "internal error, request "+id, http.StatusInternalServerError)
}

// logGuarded tells of requests that the guard refused: a page may be trying what
// it can reach on this machine.
func (f *front) logGuarded(r *http.Request, reason string) {
	if n := f.guarded.count(f.now()); n > 0 {
		f.logger.Warn("requests refused that a web page may have sent", "reason", reason, "host", shorten(r.Host),
			"origin", shorten(r.Header.Get("Origin")), "path", shorten(r.URL.Path), "count", n)
	}
}

// logAccess writes no header and no query: tokens travel in them.
func (f *front) logAccess(x *exchange, r *http.Request, start time.Time) {
	a, p := &x.answer, &x.from
	f.logger.LogAttrs(context.WithoutCancel(r.Context()), slog.LevelDebug, "request",
		slog.String("request", p.Request.String()), slog.String("method", shorten(r.Method)),
		slog.String("path", shorten(r.URL.Path)),
		slog.String("proto", r.Proto), slog.String("peer", p.Address), slog.Int("status", a.status),
		slog.Int64("bytes", a.bytes), slog.Duration("took", time.Since(start)))
}

// shorten is for what clients write and logs show.
func shorten(s string) string { return cleanText(s, 256) }

// requestIDs makes names that differ within a run of the server, and between
// runs.
type requestIDs struct {
	run  string
	last atomic.Uint64
}

func (ids *requestIDs) next() peer.RequestID {
	return peer.RequestID{Run: ids.run, Number: ids.last.Add(1)}
}

// health answers /healthz and /readyz.
type health struct {
	// ready says why the server can't serve now, in words that anybody may read.
	ready    func() error
	draining atomic.Bool
}

func (h *health) serve(w http.ResponseWriter, r *http.Request) bool {
	var err error
	switch r.URL.Path {
	case "/healthz":
	case "/readyz":
		err = h.check()
	default:
		return false
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return true
	}
	if err != nil {
		http.Error(w, cleanText(err.Error(), 200), http.StatusServiceUnavailable)
		return true
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte("ok\n")) // a probe that went away needs no answer
	return true
}

var errDraining = errors.New("the server is shutting down")

func (h *health) check() error {
	if h.draining.Load() {
		return errDraining
	}
	if h.ready == nil {
		return nil
	}
	return h.ready()
}
