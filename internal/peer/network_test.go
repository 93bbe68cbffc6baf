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
