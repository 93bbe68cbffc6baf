//go:build linux

package site

import (
	"errors"
	"io"
	"net"
	"sync"
)

// Link is the connections of one process to another. It is a TCP proxy that can cut or stall them.
// It is safe for concurrent use.
type Link struct {
	Addr string // where it listens; empty: connections come from a switchboard
	to   string
	l    net.Listener

	mu  sync.Mutex // guards the fields below
	cut bool
	// held is closed when data may flow again, for each direction. nil: data flows.
	held  [2]chan struct{}
	conns map[net.Conn]bool
	wg    sync.WaitGroup
}

// The directions of data on a link.
const (
	there = iota // from the caller
	back
)

// NewLink returns a link to the address, which listens on an address of its own.
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
			// Either end may close at any time. Then both are closed.
			_, _ = io.Copy(gate{pair[0], k, way}, pair[1])
			done <- struct{}{}
		})
	}
	<-done
}

// gate blocks writes while its direction is stalled.
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

// add reports whether the connection may be used.
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

// Cut closes the present connections and refuses new ones.
func (k *Link) Cut() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.cut = true
	for c := range k.conns {
		c.Close()
	}
}

// Stall keeps connections open and forwards nothing, like a network that loses all packets.
func (k *Link) Stall() {
	k.hold(there)
	k.hold(back)
}

// hold stalls one direction.
func (k *Link) hold(way int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.held[way] == nil {
		k.held[way] = make(chan struct{})
	}
}

// Heal ends Cut and Stall. It forwards the data that was held back.
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
