package server

import (
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/vigate/vigate/internal/peer"
)

// addressQuota counts the live connections of each address, and bounds them: a
// client that leaves calls waiting, or opens connections without end, takes no
// more places than its own. Connections of trusted proxies, which bring those of
// many clients, are not counted.
type addressQuota struct {
	max     int
	refused atomic.Uint64 // since the start

	mu   sync.Mutex // guards live
	live map[string]int
}

func newAddressQuota(limit int) *addressQuota {
	return &addressQuota{max: limit, live: map[string]int{}}
}

// owner is what counts as one address: an IPv4 address, a network of IPv6 that one
// site has (/64), a user of the Unix socket. It is empty if nothing is counted.
func (o origin) owner() string {
	if o.proxy {
		return ""
	}
	if o.uid != nil {
		return "uid " + strconv.FormatUint(uint64(*o.uid), 10)
	}
	if _, err := netip.ParseAddr(o.address); err != nil {
		return "unknown"
	}
	return peer.Network(o.address)
}

func (q *addressQuota) take(owner string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.live[owner] >= q.max {
		q.refused.Add(1)
		return false
	}
	q.live[owner]++
	return true
}

func (q *addressQuota) give(owner string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.live[owner]--; q.live[owner] <= 0 {
		delete(q.live, owner)
	}
}
