package peer

import (
	"net/netip"
	"strconv"
)

// Network returns a name that is the same for all peers that may be one client. Limits per client
// count by it. A user of the Unix socket is one client, all other peers on the socket together are
// one, and any other peer is one with its address's network.
func (p *Peer) Network() string {
	if p.UnixUID != nil {
		return "unix:" + strconv.FormatUint(uint64(*p.UnixUID), 10)
	}
	return Network(p.Address)
}

// Network returns a name that is the same for all addresses that one client may have. An IPv6
// address counts as its /64 network, because a client usually has all of its 2^64 addresses. An
// IPv4-mapped address counts as the IPv4 address, and any other address as itself. A text that is
// no address is returned unchanged.
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
		return address // unreachable: every IPv6 address has a /64
	}
	return p.String()
}
