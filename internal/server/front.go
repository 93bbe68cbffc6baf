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

// front handles every request before the application does: it determines the client, enforces
// limits, answers health checks, and recovers from panics.
type front struct {
	next     http.Handler
	proxies  []netip.Prefix
	ids      *requestIDs
	requests *quota
	shares   *shares
	health   *health
	tunnel   *tunnel // nil: CONNECT is refused
	guard    guard
	guarded  *refusals // refusals by guard
	logger   *slog.Logger
	now      func() time.Time
	stall    time.Duration // limit for a client that accepts no byte of its response
}

type originKey struct{}

// connContext implements http.Server.ConnContext. It stores the connection's origin in the context.
func connContext(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, originKey{}, knownOrigin(c))
}

// knownOrigin returns the origin of the connection below TLS.
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

// ServeHTTP serves one request. It is divided into three functions so that each has few returns: only
// then does the compiler run deferred calls without a record for each.
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
	f.check(x, r, from)
}

// check passes a request on if it is within all limits.
func (f *front) check(x *exchange, r *http.Request, from origin) {
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
		x.answer.Header().Set("Retry-After", "1")
		http.Error(&x.answer, "too many requests in flight", http.StatusServiceUnavailable)
		return
	}
	f.pass(x, r, p, from.meter)
}

// pass serves an admitted request.
func (f *front) pass(x *exchange, r *http.Request, p place, m *meter) {
	defer f.leave(p)
	x.from.Request = f.ids.next() // x.from is not shared yet
	if r.Method == http.MethodConnect {
		f.tunnel.serveConnect(&x.answer, r, &x.from, m)
		return
	}
	if f.logger.Enabled(r.Context(), slog.LevelDebug) {
		defer f.logAccess(x, r, time.Now())
	}
	defer f.recoverPanic(x, r) // deferred so that it runs before logAccess, which logs the status
	f.next.ServeHTTP(&x.answer, r)
}

// shares are the limits of one address for what HTTP/2 multiplies.
type shares struct {
	requests *addressQuota // in flight over HTTP/2
	headers  *addressQuota // bytes
}

// place is what a request in flight has taken of the shares.
type place struct {
	http2  bool // for HTTP/1, the connection and its meter are counted instead
	owner  string
	header int64 // bytes
}

// admit takes the shares of a request in flight.
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

// leave returns them.
func (f *front) leave(p place) {
	if p.http2 {
		f.shares.headers.give(p.owner, p.header)
		f.shares.requests.give(p.owner, 1)
	}
	f.requests.give()
}

// exchange holds the state of one request and its response. It is one struct to save allocations,
// since there is one for each request.
type exchange struct {
	answer answer
	body   requestBody
	from   peer.Peer
}

// attach initializes x for r and w. It returns the request for the handler.
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

// unsafeFraming reports whether the connection must be closed after the request. RFC 9112 §6.1
// demands that for a request with both Transfer-Encoding and Content-Length, and for an HTTP/1.0
// request with Transfer-Encoding, because an intermediary may have seen the request's end
// elsewhere. net/http uses Transfer-Encoding in the first case, ignores it in the second, and hides
// both cases. So every chunked and every HTTP/1.0 request is the last one on its connection.
func unsafeFraming(r *http.Request) bool {
	return r.ProtoMajor == 1 && (len(r.TransferEncoding) > 0 || r.ProtoMinor == 0)
}

// recoverPanic ends a request whose handler panicked. The client gets only the request's id; the
// stack is logged.
func (f *front) recoverPanic(x *exchange, r *http.Request) {
	v := recover()
	if v == nil {
		return
	}
	a, id := &x.answer, x.from.Request.String()
	if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		a.abandon()
		panic(http.ErrAbortHandler) // net/http is to drop the connection
	}
	f.logger.LogAttrs(context.WithoutCancel(r.Context()), slog.LevelError, "request panicked",
		slog.String("request", id), slog.String("method", shorten(r.Method)), slog.String("path", shorten(r.URL.Path)),
		slog.Any("panic", v), slog.String("stack", string(debug.Stack())))
	if a.begun() {
		a.abandon()
		panic(http.ErrAbortHandler) // the client must not take half a response for a complete one
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

// logGuarded logs requests that the guard refused, because a web page may be probing this machine.
func (f *front) logGuarded(r *http.Request, reason string) {
	if n := f.guarded.count(f.now()); n > 0 {
		f.logger.Warn("requests refused that a web page may have sent", "reason", reason, "host", shorten(r.Host),
			"origin", shorten(r.Header.Get("Origin")), "path", shorten(r.URL.Path), "count", n)
	}
}

// logAccess logs a request, without headers and query, because they may contain tokens.
func (f *front) logAccess(x *exchange, r *http.Request, start time.Time) {
	a, p := &x.answer, &x.from
	f.logger.LogAttrs(context.WithoutCancel(r.Context()), slog.LevelDebug, "request",
		slog.String("request", p.Request.String()), slog.String("method", shorten(r.Method)),
		slog.String("path", shorten(r.URL.Path)),
		slog.String("proto", r.Proto), slog.String("peer", p.Address), slog.Int("status", a.status),
		slog.Int64("bytes", a.bytes), slog.Duration("took", time.Since(start)))
}

// shorten cleans and shortens a text from a client for the log.
func shorten(s string) string { return cleanText(s, 256) }

// requestIDs generates ids that are unique within a run of the server and differ between runs.
type requestIDs struct {
	run  string
	last atomic.Uint64
}

func (ids *requestIDs) next() peer.RequestID {
	return peer.RequestID{Run: ids.run, Number: ids.last.Add(1)}
}

// health answers /healthz and /readyz.
type health struct {
	// ready returns an error while the server can't serve. Anybody may read its text.
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
	_, _ = w.Write([]byte("ok\n")) // a probe that has gone needs no response
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
