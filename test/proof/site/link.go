//go:build linux

package site

import (
	"errors"
	"io"
	"net"
	"sync"
)

// Link is the connections of one process to another, which can be cut: a proxy
// for TCP.
type Link struct {
	Addr string // where it listens; empty: connections come by a switchboard
	to   string
	l    net.Listener

	mu  sync.Mutex // guards what follows
	cut bool
	// held is closed when data may flow again, there and back; nil: it may.
	held  [2]chan struct{}
	conns map[net.Conn]bool
	wg    sync.WaitGroup
}

// The ways that data goes on a link.
const (
	there = iota // from who called
	back
)

// NewLink makes a link to the address.
func NewLink(to string) (*Link, error) {
	addr := address()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	k := newLink(to)
	k.Addr, k.l = addr, l
	k.wg.Go(k.accept)
	return k, nil
}

func newLink(to string) *Link { return &Link{to: to, conns: map[net.Conn]bool{}} }

func (k *Link) accept() {
	for {
		c, err := k.l.Accept()
		if err != nil {
			return // closed
		}
		k.wg.Go(func() { k.serve(c) })
	}
}

func (k *Link) serve(in net.Conn) {
	defer in.Close()
	if !k.add(in) {
		return
	}
	defer k.remove(in)
	out, err := net.Dial("tcp", k.to)
	if err != nil {
		return
	}
	defer out.Close()
	if !k.add(out) {
		return
	}
	defer k.remove(out)
	done := make(chan struct{}, 2)
	for way, pair := range [][2]net.Conn{there: {out, in}, back: {in, out}} {
		k.wg.Go(func() {
			// Either end may go at any time; both are closed then.
			_, _ = io.Copy(gate{pair[0], k, way}, pair[1])
			done <- struct{}{}
		})
	}
	<-done
}

// gate holds back what is written while its way is stalled.
type gate struct {
	io.Writer
	link *Link
	way  int
}

func (g gate) Write(b []byte) (int, error) {
	g.link.mu.Lock()
	held := g.link.held[g.way]
	g.link.mu.Unlock()
	if held != nil {
		<-held
	}
	return g.Writer.Write(b)
}

// add reports whether the connection may go on.
func (k *Link) add(c net.Conn) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.cut {
		k.conns[c] = true
	}
	return !k.cut
}

func (k *Link) remove(c net.Conn) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.conns, c)
}

// Cut breaks what is connected and refuses what comes.
func (k *Link) Cut() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.cut = true
	for c := range k.conns {
		c.Close()
	}
}

// Stall keeps connections open and lets nothing through, as a network does that
// loses all packets.
func (k *Link) Stall() {
	k.hold(there)
	k.hold(back)
}

// hold stalls one way.
func (k *Link) hold(way int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.held[way] == nil {
		k.held[way] = make(chan struct{})
	}
}

// Heal lets connections, and what they hold back, through again.
func (k *Link) Heal() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.cut = false
	for way, held := range k.held {
		if held != nil {
			close(held)
			k.held[way] = nil
		}
	}
}

// Close ends the link.
func (k *Link) Close() error {
	k.Cut()
	k.Heal()
	var err error
	if k.l != nil {
		err = k.l.Close()
	}
	k.Cut()
	k.wg.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
