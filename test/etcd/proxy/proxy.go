// Package proxy stands between a client and a server on loopback and does to
// their connections what networks do.
package proxy

import (
	"net"
	"sync"
	"testing"
)

// Proxy passes bytes on until it is told otherwise.
type Proxy struct {
	Addr string // HOST:PORT to connect to

	target string
	listen net.Listener
	ended  sync.WaitGroup

	mu    sync.Mutex // guards what follows
	up    gate       // what new connections do with what the client sends
	down  gate       // and with what the server sends
	links map[*link]bool
}

type gate uint8

const (
	pass gate = iota
	drop      // swallow it
	hold      // keep it until Release
)

// link is one connection. The proxy's mu guards what it holds.
type link struct {
	client, server net.Conn
	up, down       gate
	held           []byte // from the client
}

// New starts a proxy before the target that the test ends.
func New(t testing.TB, target string) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{Addr: l.Addr().String(), target: target, listen: l, links: map[*link]bool{}}
	p.ended.Go(p.accept)
	t.Cleanup(func() {
		l.Close()
		p.Break()
		p.ended.Wait()
	})
	return p
}

func (p *Proxy) accept() {
	for {
		client, err := p.listen.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.target)
		if err != nil {
			client.Close()
			continue
		}
		p.mu.Lock()
		l := &link{client: client, server: server, up: p.up, down: p.down}
		p.links[l] = true
		p.mu.Unlock()
		p.ended.Go(func() { p.copy(l, true) })
		p.ended.Go(func() { p.copy(l, false) })
	}
}

// copy passes on what one side sends.
func (p *Proxy) copy(l *link, up bool) {
	from, to := l.server, l.client
	if up {
		from, to = l.client, l.server
	}
	b := make([]byte, 64<<10)
	for {
		n, err := from.Read(b)
		p.mu.Lock()
		g := l.down
		if up {
			g = l.up
		}
		if g == hold {
			l.held = append(l.held, b[:n]...)
		}
		p.mu.Unlock()
		if g == hold && err != nil {
			return // the other side stays, for Release
		}
		if g == pass {
			if _, e := to.Write(b[:n]); e != nil {
				err = e
			}
		}
		if err != nil {
			p.forget(l)
			return
		}
	}
}

func (p *Proxy) forget(links ...*link) {
	for _, l := range links {
		p.mu.Lock()
		delete(p.links, l)
		p.mu.Unlock()
		l.client.Close()
		l.server.Close()
	}
}

// set changes what becomes of bytes on the present connections and, where later
// is true, on new ones.
func (p *Proxy) set(up, down gate, later bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if later {
		p.up, p.down = up, down
	}
	for l := range p.links {
		l.up, l.down = up, down
	}
}

// Cut swallows everything, on new connections too, until Heal.
func (p *Proxy) Cut() { p.set(drop, drop, true) }

// Heal ends a Cut: connections from before it are broken, as they have lost
// bytes, and new ones work.
func (p *Proxy) Heal() {
	p.mu.Lock()
	p.up, p.down = pass, pass
	links := p.all()
	p.mu.Unlock()
	p.forget(links...)
}

// LoseAnswers swallows what the server sends on the present connections.
func (p *Proxy) LoseAnswers() { p.set(pass, drop, false) }

// LoseRequests swallows what the clients send on the present connections.
func (p *Proxy) LoseRequests() { p.set(drop, pass, false) }

// HoldRequests keeps what the clients send on the present connections.
func (p *Proxy) HoldRequests() { p.set(hold, drop, false) }

// Break closes the present connections.
func (p *Proxy) Break() {
	p.mu.Lock()
	links := p.all()
	p.mu.Unlock()
	p.forget(links...)
}

// all returns the present connections. Callers hold mu.
func (p *Proxy) all() (links []*link) {
	for l := range p.links {
		links = append(links, l)
	}
	return links
}

// Drop closes the clients' side of the connections that are held, and returns
// what delivers to the server what was sent on them.
func (p *Proxy) Drop() (release func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var held []*link
	for l := range p.links {
		if l.up == hold {
			l.client.Close()
			held = append(held, l)
		}
	}
	return func() {
		for _, l := range held {
			p.mu.Lock()
			b := l.held
			l.held = nil
			p.mu.Unlock()
			l.server.Write(b)
		}
	}
}

// Held is how many bytes are kept.
func (p *Proxy) Held() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for l := range p.links {
		n += len(l.held)
	}
	return n
}
