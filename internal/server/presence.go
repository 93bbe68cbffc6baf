package server

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// presence is a connection that finds out whether its client is still there only
// for those who ask. To see a client go, net/http reads a byte behind each
// request, in a goroutine of its own, and recalls that read with the answer: a
// tenth of the work that a read of a session takes, while hardly anybody waits
// long enough to ask. So the first read of one byte after a longer one is told
// that there is nothing yet, with which net/http's look ends. Any other reader of
// a single byte reads again, and is served.
type presence struct {
	lazyDeadline

	mu    sync.Mutex
	told  bool        // a read of one byte was told so since the last longer one
	asked bool        // somebody wants to know when the client goes
	live  int         // reads under way, but for ours
	look  chan []byte // where our read of one byte leaves what it read; nil: there is none
	ahead []byte      // what a look has read, if anything: the next to be read
}

func newPresence(c net.Conn) *presence {
	return &presence{lazyDeadline: lazyDeadline{Conn: c, opened: time.Now()}}
}

// plainListener is a listener whose connections are presences.
type plainListener struct{ net.Listener }

// Accept returns the next connection.
func (l plainListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return newPresence(c), nil
}

// self is the presence of a connection that is one.
func (p *presence) self() *presence { return p }

// NetConn is the connection below.
func (p *presence) NetConn() net.Conn { return p.Conn }

// CloseWrite is for net/http.
func (p *presence) CloseWrite() error { return closeWrite(p.Conn) }

// SetDeadline sets both deadlines.
func (p *presence) SetDeadline(t time.Time) error {
	return errors.Join(p.SetReadDeadline(t), p.SetWriteDeadline(t))
}

// Read reads, what looks have read before anything else.
func (p *presence) Read(b []byte) (int, error) {
	n, told := p.begin(b)
	if n > 0 || told {
		return n, nil
	}
	defer p.end()
	return p.lazyDeadline.Read(b)
}

// begin begins a read: n bytes are there already, or the reader is told that
// there is nothing yet, or it reads on and then calls end.
func (p *presence) begin(b []byte) (n int, told bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.collect()
	if len(b) == 1 && (p.look != nil || !p.told && !p.asked) {
		p.told = true
		return 0, true
	}
	p.stop() // what comes is wanted
	if n := copy(b, p.ahead); n > 0 {
		p.ahead = nil
		return n, false
	}
	p.told = p.told && len(b) == 1
	p.live++
	return 0, false
}

func (p *presence) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.live--
}

// ask has gone called if the client goes before forget is called. Where a body is
// read, net/http looks behind it, where net/http looks already it will say so itself,
// and where more has come nobody can see any further.
func (p *presence) ask(gone func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = true
	if p.live > 0 || p.look != nil || len(p.ahead) > 0 {
		return
	}
	p.look = make(chan []byte, 1)
	go p.lookOut(p.look, gone)
}

// lookOut reads a byte, and keeps it for who reads next.
func (p *presence) lookOut(read chan<- []byte, gone func()) {
	b := make([]byte, 1)
	n, err := p.lazyDeadline.Read(b)
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		gone()
	}
	read <- b[:n]
}

// forget ends what ask began.
func (p *presence) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = false
	p.stop()
}

// collect takes what a look has left that is over. Callers hold mu.
func (p *presence) collect() {
	select {
	case p.ahead = <-p.look:
		p.look = nil
	default:
	}
}

// stop ends the look, if there is one. Callers hold mu.
func (p *presence) stop() {
	if p.collect(); p.look == nil {
		return
	}
	before := p.time(p.want.Load())
	// A connection that takes no deadline is closed, and all its reads end.
	_ = p.SetReadDeadline(time.Unix(1, 0))
	p.ahead, p.look = <-p.look, nil
	_ = p.SetReadDeadline(before)
}

// requestContext is the context of a request on a presence: it ends with the
// request, as net/http's does, or when the client goes. It begins to look when
// somebody asks for Done.
type requestContext struct {
	context.Context // net/http's
	client          *presence

	mu      sync.Mutex
	watched context.Context // ends when the client goes, too; nil: nobody asked
	stop    context.CancelFunc
	over    bool
}

// Done has the client looked out for.
func (c *requestContext) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.watched == nil && !c.over {
		c.watched, c.stop = context.WithCancel(c.Context)
		c.client.ask(c.stop)
	}
	return c.current().Done()
}

// Err tells what is known. Before somebody asked for Done it isn't known that the
// client went.
func (c *requestContext) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.current().Err()
}

// Value is net/http's, and tells package context that this one is its own.
func (c *requestContext) Value(key any) any {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.current().Value(key)
}

// current is what holds now. Callers hold mu.
func (c *requestContext) current() context.Context {
	if c.watched != nil {
		return c.watched
	}
	return c.Context
}

// end ends the context with its request.
func (c *requestContext) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	if c.watched != nil {
		c.client.forget()
		c.stop()
	}
}
