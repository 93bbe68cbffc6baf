package server

import (
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
)

const (
	// maxFields is the maximum number of fields of a header. Each takes memory, however short it
	// is.
	maxFields = 100
	// smallHeader is how much of a header is not counted, in bytes. Nearly all are
	// smaller, and so are nearly all handshakes.
	smallHeader = 2 << 10
	// fieldCost is the memory of a field besides its text, in bytes.
	fieldCost = 64
)

var errHeaders = errors.New("the headers of requests take too much memory")

// meter counts the bytes of headers on one connection: of the header that is being received, and of
// the request that is being served. net/http needs up to 16 bytes of memory for each of them and
// reads a whole header before a handler could refuse it, so bytes are counted when they arrive.
// Bytes that arrive while a request is served belong to its body, which is counted elsewhere.
//
// On HTTP/2 connections, headers are mixed with other frames and are counted when their request is
// served. At most one header per connection is being received, and the number of such connections
// is limited.
//
// A nil meter counts nothing.
type meter struct {
	quota *addressQuota // bytes of headers
	owner string        // of the connection

	off    atomic.Bool  // the connection uses HTTP/2
	busy   atomic.Bool  // a request is being served
	came   atomic.Int64 // bytes since the end of the last request
	counts atomic.Int64 // bytes that quota counts; written with mu held

	mu     sync.Mutex    // guards what follows
	places *addressQuota // the quota of HTTP/2 connections that counts this one; nil: none
	closed bool
}

// read counts n received bytes and reports whether there is room for them.
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

// hello is called when a ClientHello has arrived. Up to smallHeader of its bytes are not counted: a
// ClientHello with post-quantum key exchange has about 1.5 KiB, and the header of a request follows it.
func (m *meter) hello() {
	if m != nil {
		m.came.Add(-min(m.came.Load(), smallHeader))
	}
}

// begin is called before a request is served.
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

// give returns the counted bytes to the quota. Callers hold mu.
func (m *meter) give() {
	if n := m.counts.Swap(0); n > 0 {
		m.quota.give(m.owner, n)
	}
}

// speaksHTTP2 reports whether the connection may use HTTP/2. If so, it counts in the quota.
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

// close is called once or more when the connection is closed.
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

// headerSize returns the approximate memory of a request's header, in bytes.
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
