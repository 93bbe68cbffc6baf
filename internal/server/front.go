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
	health   *health
	tunnel   *tunnel // nil: CONNECT is refused
	logger   *slog.Logger
	// loopbackNames: only requests whose Host is a name of this machine.
	loopbackNames bool
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

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if unsafeFraming(r) {
		w.Header().Set("Connection", "close")
	}
	if r.ProtoMajor != 1 && r.TLS == nil { // the preface of HTTP/2, which net/http passes on
		http.Error(w, "HTTP/2 is served over TLS", http.StatusHTTPVersionNotSupported)
		return
	}
	if f.loopbackNames && !loopbackHost(r.Host) {
		http.Error(w, "this listener is for this machine", http.StatusForbidden)
		return
	}
	if f.health.serve(w, r) {
		return
	}
	if !f.requests.take() {
		w.Header().Set("Retry-After", "1")
		http.Error(w, "too many requests in flight", http.StatusServiceUnavailable)
		return
	}
	defer f.requests.give()

	from, _ := r.Context().Value(originKey{}).(origin)
	x := &exchange{answer: answer{ResponseWriter: w}, from: peerOf(r, from, f.proxies, f.ids.next())}
	if r.Method == http.MethodConnect {
		f.tunnel.serveConnect(w, r, &x.from)
		return
	}
	if f.logger.Enabled(r.Context(), slog.LevelDebug) {
		defer f.logAccess(x, r, time.Now())
	}
	defer f.recoverPanic(x, r) // before the access line, which shall have its status
	f.next.ServeHTTP(&x.answer, r.WithContext(peer.With(r.Context(), &x.from)))
}

// exchange is what is known of one request and its answer, together since each
// request makes one.
type exchange struct {
	answer answer
	from   peer.Peer
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

// loopbackHost: a page of a web site can make the browser of this machine's
// user send requests here under the site's own name (DNS rebinding).
func loopbackHost(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	if name == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(trimBrackets(name))
	return err == nil && ip.IsLoopback()
}

func trimBrackets(s string) string {
	if len(s) > 2 && s[0] == '[' && s[len(s)-1] == ']' {
		return s[1 : len(s)-1]
	}
	return s
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
		panic(http.ErrAbortHandler) // asked for: net/http drops the connection
	}
	f.logger.LogAttrs(context.WithoutCancel(r.Context()), slog.LevelError, "request panicked",
		slog.String("request", id), slog.String("method", shorten(r.Method)), slog.String("path", shorten(r.URL.Path)),
		slog.Any("panic", v), slog.String("stack", string(debug.Stack())))
	if a.status != 0 {
		panic(http.ErrAbortHandler) // half an answer must not look like a whole one
	}
	clear(a.Header())
	a.Header().Set("X-Request-Id", id)
	http.Error(a, "internal error, request "+id, http.StatusInternalServerError)
}

// logAccess writes no header and no query: tokens travel in them.
func (f *front) logAccess(x *exchange, r *http.Request, start time.Time) {
	a, p := &x.answer, &x.from
	f.logger.LogAttrs(context.WithoutCancel(r.Context()), slog.LevelDebug, "request",
		slog.String("request", p.Request.String()), slog.String("method", shorten(r.Method)), slog.String("path", shorten(r.URL.Path)),
		slog.String("proto", r.Proto), slog.String("peer", p.Address), slog.Int("status", a.status),
		slog.Int64("bytes", a.bytes), slog.Duration("took", time.Since(start)))
}

// shorten is for what clients write and logs show.
func shorten(s string) string { return cleanText(s, 256) }

// answer knows what was sent.
type answer struct {
	http.ResponseWriter
	status int // 0: nothing yet
	bytes  int64
}

func (a *answer) WriteHeader(status int) {
	// 1xx are announcements (RFC 9110 §15.2), but 101 is final.
	if a.status == 0 && (status >= 200 || status == http.StatusSwitchingProtocols) {
		a.status = status
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(b []byte) (int, error) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	n, err := a.ResponseWriter.Write(b)
	a.bytes += int64(n)
	return n, err
}

// Flush is for handlers that ask for http.Flusher.
func (a *answer) Flush() {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	// Without a flusher below there is nothing to flush early.
	_ = http.NewResponseController(a.ResponseWriter).Flush()
}

// Unwrap is for http.ResponseController.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

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
	w.Header().Set("Cache-Control", "no-store")
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
