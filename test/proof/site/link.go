//go:build linux

package site

import (
	"errors"
	"io"
	"net"
	"sync"
)

// Link is a connection of two processes that can be cut: a proxy for TCP.
type Link struct {
	Addr string // where it listens
	to   string
	l    net.Listener

	mu      sync.Mutex // guards what follows
	cut     bool
	stalled chan struct{} // closed when data may flow again; nil: it may
	conns   map[net.Conn]bool
	wg      sync.WaitGroup
}

// NewLink makes a link to the address.
func NewLink(to string) (*Link, error) {
	addr := address()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	k := &Link{Addr: addr, to: to, l: l, conns: map[net.Conn]bool{}}
	k.wg.Go(k.accept)
	return k, nil
}

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
	for _, pair := range [][2]net.Conn{{in, out}, {out, in}} {
		k.wg.Go(func() {
			// Either end may go at any time; both are closed then.
			_, _ = io.Copy(gate{pair[0], k}, pair[1])
			done <- struct{}{}
		})
	}
	<-done
}

// gate holds back what is written while the link is stalled.
type gate struct {
	io.Writer
	link *Link
}

func (g gate) Write(b []byte) (int, error) {
	g.link.mu.Lock()
	stalled := g.link.stalled
	g.link.mu.Unlock()
	if stalled != nil {
		<-stalled
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
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.stalled == nil {
		k.stalled = make(chan struct{})
	}
}

// Heal lets connections, and what they hold back, through again.
func (k *Link) Heal() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.cut = false
	if k.stalled != nil {
		close(k.stalled)
		k.stalled = nil
	}
}

// Close ends the link.
func (k *Link) Close() error {
	k.Cut()
	k.Heal()
	err := k.l.Close()
	k.Cut()
	k.wg.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
