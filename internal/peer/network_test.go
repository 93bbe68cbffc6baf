package peer_test

import (
	"testing"

	"github.com/vigate/vigate/internal/peer"
)

func TestAnIPv6AddressCountsAsItsNetworkAndAnyOtherAsItself(t *testing.T) {
	for address, want := range map[string]string{
		"192.0.2.1":              "192.0.2.1",
		"::ffff:192.0.2.1":       "192.0.2.1",
		"::ffff:c000:201":        "192.0.2.1",
		"2001:db8::1":            "2001:db8::/64",
		"2001:db8:0:0:ffff::1":   "2001:db8::/64",
		"2001:DB8::2":            "2001:db8::/64",
		"2001:db8:0:1::1":        "2001:db8:0:1::/64",
		"fe80::1%eth0":           "fe80::/64",
		"fe80::1%eth1":           "fe80::/64",
		"::1":                    "::/64",
		"::ffff:192.0.2.1%zone":  "192.0.2.1",
		"":                       "",
		"not an address":         "not an address",
		"192.0.2.1:80":           "192.0.2.1:80",
		"2001:db8:0:0:1:2:3:4:5": "2001:db8:0:0:1:2:3:4:5",
	} {
		if got := peer.Network(address); got != want {
			t.Errorf("%q counts as %q, want %q", address, got, want)
		}
	}
}

func TestUsersOfTheUnixSocketCountApart(t *testing.T) {
	uid := func(n uint32) *uint32 { return &n }
	root, ann := peer.Peer{Address: "127.0.0.1", Local: true, UnixUID: uid(0)},
		peer.Peer{Address: "127.0.0.1", Local: true, UnixUID: uid(1000)}
	loopback, remote := peer.Peer{Address: "127.0.0.1", Local: true}, peer.Peer{Address: "2001:db8::1"}
	seen := map[string]bool{}
	for _, p := range []peer.Peer{root, ann, loopback, remote} {
		if seen[p.Network()] {
			t.Errorf("%q is also the network of another user", p.Network())
		}
		seen[p.Network()] = true
	}
	if again := (peer.Peer{Address: "127.0.0.1", UnixUID: uid(1000)}); again.Network() != ann.Network() {
		t.Error("a user counts as two")
	}
}
