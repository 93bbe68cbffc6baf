package server

import (
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/vigate/vigate/internal/peer"
)

// addressQuota limits what the clients at one address can make the server hold: connections,
// requests or bytes of headers. So one client can't use up what all clients share. Connections of
// trusted proxies carry many clients' requests and count only for the limit of all.
type addressQuota struct {
	each    int64 // of one address
	all     int64 // of all; 0: not limited
	refused atomic.Uint64

	mu    sync.Mutex // guards what follows
	live  map[string]int64
	total int64
}

// newAddressQuota returns a quota with a limit for each address and one for all; if all is 0, there
// is no limit for all.
func newAddressQuota(each, all int) *addressQuota {
	return &addressQuota{each: int64(each), all: int64(all), live: map[string]int64{}}
}

// owner returns the key of the address: an IPv4 address, the /64 network of an IPv6 address, or the
// user of a Unix socket. It is empty if the connection is not counted.
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
