package server

import (
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
)

const (
	// maxFields bounds the fields of a header. Each takes memory of its own, however
	// short it is.
	maxFields = 100
	// smallHeader is how much of a header is not counted, in bytes. Nearly all are
	// smaller, and so are nearly all handshakes.
	smallHeader = 2 << 10
	// fieldCost is what a field takes besides its text, in bytes.
	fieldCost = 64
)

var errHeaders = errors.New("the headers of requests take too much memory")

// meter counts the bytes of one connection that belong to headers: those that are
// coming, and those of the request that is being served. net/http keeps up to 16 bytes
// of memory for each of them, and reads them before a handler can refuse anything, so
// that they are counted as they come. What comes while a request is served is its
// body, which is counted elsewhere.
//
// Over HTTP/2 headers come among all else, and are counted when their request is
// served: what is coming is at most one header for each connection, and there are few
// such connections.
//
// A nil meter counts nothing.
type meter struct {
	quota *addressQuota // bytes of headers
	owner string        // of the connection

	off    atomic.Bool  // it is HTTP/2
	busy   atomic.Bool  // a request is being served
	came   atomic.Int64 // bytes since the last request was done
	counts atomic.Int64 // bytes that are counted in quota; written with mu

	mu     sync.Mutex    // guards what follows
	places *addressQuota // in which the connection has a place as one of HTTP/2; nil: it has none
	closed bool
}

// read counts n bytes that came, and reports whether there is room for them.
func (m *meter) read(n int) bool {
	if m == nil || m.busy.Load() || m.off.Load() {
		return true
	}
	came := m.came.Add(int64(n))
	if came <= smallHeader {
		return true
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	more := max(0, came-smallHeader-m.counts.Load())
	if m.closed || more > 0 && !m.quota.take(m.owner, more) {
		return false
	}
	m.counts.Add(more)
	return true
}

// hello is called when a ClientHello came, of which as much is not counted as of a header:
// those with post-quantum key exchange have some 1.5 KiB, and a request comes behind them.
func (m *meter) hello() {
	if m != nil {
		m.came.Add(-min(m.came.Load(), smallHeader))
	}
}

// begin is called when a request begins to be served.
func (m *meter) begin() {
	if m != nil {
		m.busy.Store(true)
	}
}

// end is called when the request is done.
func (m *meter) end() {
	if m == nil {
		return
	}
	m.came.Store(0)
	if m.counts.Load() > 0 {
		m.mu.Lock()
		m.give()
		m.mu.Unlock()
	}
	m.busy.Store(false)
}

// give forgets what is counted. The mutex is held.
func (m *meter) give() {
	if n := m.counts.Swap(0); n > 0 {
		m.quota.give(m.owner, n)
	}
}

// speaksHTTP2 reports whether the connection may be one of HTTP/2, which takes a place
// in the quota.
func (m *meter) speaksHTTP2(places *addressQuota) bool {
	if m == nil {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed || m.places == nil && !places.take(m.owner, 1) {
		return false
	}
	m.places = places
	m.off.Store(true)
	m.give()
	return true
}

// close is called when the connection is closed, once or more often.
func (m *meter) close() {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	m.give()
	if m.places != nil {
		m.places.give(m.owner, 1)
		m.places = nil
	}
}

// fields is how many fields a header has. Those of one name count each.
func fields(h http.Header) int {
	n := 0
	for _, values := range h {
		n += len(values)
	}
	return n
}

// headerSize is about how much memory a request's header takes, in bytes.
func headerSize(r *http.Request) int64 {
	n := len(r.RequestURI) + len(r.Host)
	for name, values := range r.Header {
		n += len(name)
		for _, v := range values {
			n += fieldCost + len(v)
		}
	}
	return int64(n)
}
