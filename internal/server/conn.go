package server

import (
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vigate/vigate/internal/peer"
)

// origin is what a connection reveals about the client, before any header was read.
type origin struct {
	address string
	// local is set if the client is on this machine. A trusted proxy is never local, because it
	// acts for others.
	local bool
	// proxy is set for a trusted proxy, whose X-Forwarded-For is used.
	proxy bool
	uid   *uint32
	meter *meter // counts the bytes of the connection's headers
}

// conn is an accepted connection. It knows its origin, releases its quotas when it is closed, and
// fails writes to a client that has stopped reading.
type conn struct {
	net.Conn
	opened  time.Time
	from    origin
	release func() // called once

	stall time.Duration
	// writeBy is the write deadline in force because of the stall limit, as the time after the
	// connection was opened. It is renewed only when a quarter of it has passed, because setting a
	// deadline costs as much as a short response.
	writeBy atomic.Int64
	// fixed is set while somebody else's write deadline is in force.
	fixed atomic.Bool
}

// writeChunk is the number of bytes that the client must accept within one stall limit.
const writeChunk = 256 << 10

func (c *conn) origin() origin { return c.from }

// Read reads from the connection if the meter has room for the bytes. Otherwise it returns an
// error, after which the connection can't be used.
func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 && !c.from.meter.read(n) {
		return 0, &net.OpError{Op: "read", Net: "tcp", Err: errHeaders}
	}
	return n, err
}

// Write sends b. It returns an error if the client accepts no byte within the stall limit.
func (c *conn) Write(b []byte) (int, error) {
	sent := 0
	for {
		if err := c.renew(); err != nil {
			return sent, err
		}
		n, err := c.Conn.Write(b[:min(len(b), writeChunk)])
		sent += n
		b = b[n:]
		if errors.Is(err, os.ErrDeadlineExceeded) && !c.fixed.Load() {
			// No more bytes will get through, so prevent TLS from sending its final alert.
			err = errors.Join(err, c.Conn.Close())
		}
		if err != nil || len(b) == 0 {
			return sent, err
		}
	}
}

func (c *conn) renew() error {
	if c.fixed.Load() {
		return nil
	}
	age := time.Since(c.opened)
	if by := c.writeBy.Load(); by-int64(age) > int64(c.stall-c.stall/4) {
		return nil
	}
	by := age + c.stall
	c.writeBy.Store(int64(by))
	return c.Conn.SetWriteDeadline(c.opened.Add(by))
}

// SetWriteDeadline overrides the stall limit. net/http removes the deadline after each response,
// and then the stall limit applies again.
func (c *conn) SetWriteDeadline(t time.Time) error {
	if t.IsZero() {
		if c.fixed.Swap(false) {
			c.writeBy.Store(0)
		}
		return nil
	}
	c.fixed.Store(true)
	return c.Conn.SetWriteDeadline(t)
}

// SetDeadline is [conn.SetWriteDeadline] and sets the read deadline.
func (c *conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// CloseWrite lets net/http end a response cleanly if the request was not read to its end: otherwise
// the client may get a reset instead of the response.
func (c *conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

func (c *conn) Close() error {
	err := c.Conn.Close()
	c.from.meter.close()
	c.release()
	return err
}

// quota counts the units that are in use, up to max.
type quota struct {
	max     int64
	live    atomic.Int64
	refused atomic.Uint64 // since the start
}

func newQuota(limit int) *quota { return &quota{max: int64(limit)} }

func (q *quota) take() bool {
	if q.live.Add(1) > q.max {
		q.live.Add(-1)
		q.refused.Add(1)
		return false
	}
	return true
}

func (q *quota) give() { q.live.Add(-1) }

// takeAll takes one of each quota or, if one is exhausted, none.
func takeAll(quotas []*quota) bool {
	for i, q := range quotas {
		if !q.take() {
			giveAll(quotas[:i])
			return false
		}
	}
	return true
}

func giveAll(quotas []*quota) {
	for _, q := range quotas {
		q.give()
	}
}

// listener accepts connections within its quotas.
type listener struct {
	net.Listener
	name    string
	quotas  []*quota
	each    *addressQuota // connections of each address; nil: not limited
	headers *addressQuota // bytes of headers; nil: not limited
	proxies []netip.Prefix
	stall   time.Duration
	logger  *slog.Logger
	now     func() time.Time

	// refused connections because of all connections, and because of those of one address
	full, greedy refusals
}

// Accept returns the next connection that is within the quotas.
func (l *listener) Accept() (net.Conn, error) {
	for {
		raw, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		from := originOf(raw, l.proxies)
		release, ok := l.admit(from)
		if !ok {
			raw.Close()
			continue
		}
		if l.headers != nil {
			from.meter = &meter{quota: l.headers, owner: from.owner()}
		}
		return &conn{Conn: raw, opened: time.Now(), from: from, release: release, stall: l.stall}, nil
	}
}

// admit takes the quotas of a connection. release returns them and is called once.
func (l *listener) admit(from origin) (release func(), ok bool) {
	owner := ""
	if l.each != nil {
		owner = from.owner()
	}
	if owner != "" && !l.each.take(owner, 1) {
		if n := l.greedy.count(l.now()); n > 0 {
			l.logger.Warn("connections refused, one address has its share", "listener", l.name, "address", owner,
				"count", n)
		}
		return nil, false
	}
	if !takeAll(l.quotas) {
		if owner != "" {
			l.each.give(owner, 1)
		}
		if n := l.full.count(l.now()); n > 0 {
			l.logger.Warn("connections refused, the limit is reached", "listener", l.name, "count", n)
		}
		return nil, false
	}
	return sync.OnceFunc(func() {
		giveAll(l.quotas)
		if owner != "" {
			l.each.give(owner, 1)
		}
	}), true
}

// refusals counts refusals for the log.
type refusals struct {
	since atomic.Int64 // since the last log line
	next  atomic.Int64 // when the next line may be logged, in Unix nanoseconds
}

// refusalLogPeriod prevents a flood of connections from flooding the log.
const refusalLogPeriod = 10 * time.Second

// count counts one refusal. It returns the number of refusals to log now, or 0.
func (r *refusals) count(now time.Time) int64 {
	r.since.Add(1)
	next := r.next.Load()
	if now.UnixNano() < next || !r.next.CompareAndSwap(next, now.Add(refusalLogPeriod).UnixNano()) {
		return 0
	}
	return r.since.Swap(0)
}

// originOf returns the origin of a new connection. A property that can't be determined is left
// unset, so that a connection is never local by mistake.
func originOf(c net.Conn, proxies []netip.Prefix) origin {
	switch addr := c.RemoteAddr().(type) {
	case *net.TCPAddr:
		ip := addr.AddrPort().Addr().Unmap().WithZone("")
		proxy := contains(proxies, ip)
		return origin{address: ip.String(), local: ip.IsLoopback() && !proxy, proxy: proxy}
	case *net.UnixAddr:
		o := origin{address: "127.0.0.1", local: true}
		if u, ok := c.(*net.UnixConn); ok {
			if uid, err := peer.UID(u); err == nil {
				o.uid = &uid
			}
		}
		return o
	}
	return origin{}
}

func contains(prefixes []netip.Prefix, ip netip.Addr) bool {
	for _, p := range prefixes {
		if p.Contains(ip) {
			return true
		}
	}
	return false
}
