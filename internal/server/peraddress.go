package server

import (
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/vigate/vigate/internal/peer"
)

// addressQuota counts something that clients have the server hold, and bounds what one
// address has of it: its connections, its requests, the bytes of its headers. So one
// client takes no more room than its own. What trusted proxies bring is of many
// clients, and is bounded in all only.
type addressQuota struct {
	each    int64 // of one address
	all     int64 // of all; 0: not bounded
	refused atomic.Uint64

	mu    sync.Mutex // guards what follows
	live  map[string]int64
	total int64
}

// newAddressQuota bounds what one address and what all have; 0 for all: no bound.
func newAddressQuota(each, all int) *addressQuota {
	return &addressQuota{each: int64(each), all: int64(all), live: map[string]int64{}}
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

// take counts n for the owner if there is room.
func (q *addressQuota) take(owner string, n int64) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if owner != "" && q.live[owner]+n > q.each || q.all > 0 && q.total+n > q.all {
		q.refused.Add(1)
		return false
	}
	q.total += n
	if owner != "" {
		q.live[owner] += n
	}
	return true
}

func (q *addressQuota) give(owner string, n int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.total -= n
	if owner == "" {
		return
	}
	if q.live[owner] -= n; q.live[owner] <= 0 {
		delete(q.live, owner)
	}
}
