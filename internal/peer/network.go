package peer

import (
	"net/netip"
	"strconv"
)

// Network is what the peer counts as where many peers may be one client: a user
// of the Unix socket as itself, whoever else has come by the socket, and any other
// peer as the network of its address.
func (p *Peer) Network() string {
	if p.UnixUID != nil {
		return "unix:" + strconv.FormatUint(uint64(*p.UnixUID), 10)
	}
	return Network(p.Address)
}

// Network is what an address counts as where many of them are one client: an
// IPv6 address as its /64, of which a client has all 2^64, an IPv4-mapped one as
// the IPv4 address, and any other as itself. Text that is no address is returned
// as it is.
func Network(address string) string {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return address
	}
	if a = a.Unmap(); a.Is4() {
		return a.String()
	}
	p, err := a.WithZone("").Prefix(64)
	if err != nil {
		return address // not reached: any IPv6 address has a /64
	}
	return p.String()
}
