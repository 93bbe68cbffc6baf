package peer

import "net/netip"

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
