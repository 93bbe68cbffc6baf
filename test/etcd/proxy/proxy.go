// Package proxy puts a proxy between a client and a server on loopback. The proxy does to their
// connections what networks do: it delays data, loses it, or breaks connections. [New] starts a
// [Proxy] for a test.
package proxy

import (
	"bytes"
	"net"
	"sync"
	"testing"
)

// Proxy forwards all bytes until a test calls one of its methods. It is safe for concurrent use.
type Proxy struct {
	Addr string // HOST:PORT to connect to

	target string
	listen net.Listener
	ended  sync.WaitGroup

	mu    sync.Mutex // guards the fields below
	up    gate       // for new connections: what happens to data of the client
	down  gate       // and to data of the server
	links map[*link]bool
	lost  map[*link][]byte // data of clients that were dropped since the last Cut
}

type gate uint8

const (
	pass gate = iota
	drop      // lose the data
	hold      // keep the data until Drop's result is called
)

// link is one connection. The proxy's mu guards its fields.
type link struct {
	client, server net.Conn
	up, down       gate
	held           []byte // data of the client
}

// New starts a proxy in front of the target. It ends with the test.
func New(t testing.TB, target string) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{Addr: l.Addr().String(), target: target, listen: l, links: map[*link]bool{}, lost: map[*link][]byte{}}
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

// copy forwards the data of one side.
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
		switch {
		case g == hold:
			l.held = append(l.held, b[:n]...)
		case g == drop && up:
			p.lost[l] = append(p.lost[l], b[:n]...)
		}
		p.mu.Unlock()
		if g == hold && err != nil {
			return // the other side stays open, for the release
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

// set changes what happens to data on the present connections and, if later is set, on new ones.
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

// Cut loses all data, also on new connections, until Heal.
func (p *Proxy) Cut() {
	p.mu.Lock()
	p.lost = map[*link][]byte{}
	p.mu.Unlock()
	p.set(drop, drop, true)
}

// Lost reports whether a client has sent the text on a connection since Cut.
func (p *Proxy) Lost(text string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, b := range p.lost {
		if bytes.Contains(b, []byte(text)) {
			return true
		}
	}
	return false
}

// Heal ends a Cut. It breaks the connections from before, because they have lost data. New ones
// work.
func (p *Proxy) Heal() {
	p.mu.Lock()
	p.up, p.down = pass, pass
	links := p.all()
	p.mu.Unlock()
	p.forget(links...)
}

// LoseAnswers loses the data that the server sends on the present connections.
func (p *Proxy) LoseAnswers() { p.set(pass, drop, false) }

// LoseRequests loses the data that the clients send on the present connections.
func (p *Proxy) LoseRequests() { p.set(drop, pass, false) }

// LoseAllAnswers loses the data that the server sends, also on new connections, until Heal.
func (p *Proxy) LoseAllAnswers() { p.set(pass, drop, true) }

// HoldRequests keeps the data that the clients send on the present connections.
func (p *Proxy) HoldRequests() { p.set(hold, drop, false) }

// Break closes the present connections.
func (p *Proxy) Break() {
	p.mu.Lock()
	links := p.all()
	p.mu.Unlock()
	p.forget(links...)
}

// all returns the present connections. The caller holds mu.
func (p *Proxy) all() (links []*link) {
	for l := range p.links {
		links = append(links, l)
	}
	return links
}

// Drop closes the clients' side of the connections whose requests are held. It returns a function
// that sends the held data to the server.
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

// Held returns how many bytes are held.
func (p *Proxy) Held() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for l := range p.links {
		n += len(l.held)
	}
	return n
}
