//go:build linux

package site

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
)

// Peers is the network between the members of an etcd cluster. Each member reaches the others
// through a switchboard of its own, a SOCKS 5 proxy. So it is known which member calls which, and
// there is one link for each pair and direction.
type Peers struct {
	boards []*switchboard // by caller
	links  [][]*Link      // by caller, then by callee; nil to itself
}

// newPeers returns the network of members that listen for each other on the addresses.
func newPeers(addrs []string) (*Peers, error) {
	p := &Peers{}
	for i := range addrs {
		links, byName := make([]*Link, len(addrs)), map[string]*Link{}
		for j, to := range addrs {
			if j != i {
				links[j] = newLink(to)
				byName[peerName(j)] = links[j]
			}
		}
		b, err := newSwitchboard(byName)
		if err != nil {
			return p, err
		}
		p.boards, p.links = append(p.boards, b), append(p.links, links)
	}
	return p, nil
}

// peerName returns the host name by which others know a member. It is not an address, because Go's
// clients don't use a proxy for loopback addresses.
func peerName(i int) string { return fmt.Sprintf("m%d.etcd", i) }

// Cut breaks all connections between the member and the others.
func (p *Peers) Cut(i int) { p.each(i, (*Link).Cut) }

// Stall loses all packets between the member and the others.
func (p *Peers) Stall(i int) { p.each(i, (*Link).Stall) }

func (p *Peers) each(i int, do func(*Link)) {
	for j := range p.links {
		if j != i {
			do(p.links[i][j])
			do(p.links[j][i])
		}
	}
}

// Mute loses the packets from the member to the others. The member still receives theirs.
func (p *Peers) Mute(i int) {
	for j := range p.links {
		if j != i {
			p.links[i][j].hold(there)
			p.links[j][i].hold(back)
		}
	}
}

// Deafen loses the packets from the others to the member. They still receive its packets.
func (p *Peers) Deafen(i int) {
	for j := range p.links {
		if j != i {
			p.links[i][j].hold(back)
			p.links[j][i].hold(there)
		}
	}
}

// Part loses all packets between two members. Both still reach the others.
func (p *Peers) Part(i, j int) {
	p.links[i][j].Stall()
	p.links[j][i].Stall()
}

// Heal repairs the network.
func (p *Peers) Heal() {
	for i := range p.links {
		p.each(i, (*Link).Heal)
	}
}

// Close ends the network.
func (p *Peers) Close() error {
	var errs []error
	for _, b := range p.boards {
		errs = append(errs, b.l.Close())
	}
	for _, links := range p.links {
		for _, k := range links {
			if k != nil {
				errs = append(errs, k.Close())
			}
		}
	}
	for _, b := range p.boards {
		b.wg.Wait()
	}
	return errors.Join(errs...)
}

// switchboard connects a caller to the member with the host name that it asks for.
type switchboard struct {
	addr  string
	l     net.Listener
	links map[string]*Link
	wg    sync.WaitGroup
}

func newSwitchboard(links map[string]*Link) (*switchboard, error) {
	addr := address()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	b := &switchboard{addr: addr, l: l, links: links}
	b.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return // closed
			}
			b.wg.Go(func() { b.connect(c) })
		}
	})
	return b, nil
}

// connect serves a caller until the connection ends. It hangs up on a caller that names no known
// member.
func (b *switchboard) connect(c net.Conn) {
	defer c.Close()
	r := bufio.NewReader(c)
	name, err := greet(r, c)
	if k := b.links[name]; err == nil && k != nil && r.Buffered() == 0 {
		k.serve(c)
	}
}

// greet is the beginning of a SOCKS 5 connection (RFC 1928), without authentication, to a host
// name. The caller waits for the last answer before it sends data. So r contains nothing that must
// be forwarded.
func greet(r *bufio.Reader, w io.Writer) (string, error) {
	var head [2]byte // version, number of authentication methods
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return "", err
	}
	if _, err := r.Discard(int(head[1])); err != nil {
		return "", err
	}
	if _, err := w.Write([]byte{5, 0}); err != nil {
		return "", err
	}
	var ask [5]byte // version, command, 0, kind of address, length of the name
	if _, err := io.ReadFull(r, ask[:]); err != nil {
		return "", err
	}
	if ask[0] != 5 || ask[1] != 1 || ask[3] != 3 {
		return "", fmt.Errorf("not a call to a host by its name: % x", ask)
	}
	name := make([]byte, int(ask[4])+2) // with the port, which is the same for all
	if _, err := io.ReadFull(r, name); err != nil {
		return "", err
	}
	_, err := w.Write([]byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0})
	return string(name[:ask[4]]), err
}
