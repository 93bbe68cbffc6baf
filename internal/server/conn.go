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

// origin is what a connection tells about its other end, before any header.
type origin struct {
	address string
	// local: from this machine. A trusted proxy is never local, wherever it
	// runs, since it speaks for somebody else.
	local bool
	// proxy: a trusted one, whose X-Forwarded-For is believed.
	proxy bool
	uid   *uint32
	meter *meter // of the connection
}

// conn is an accepted connection: it knows its origin, gives its place back
// when it is closed, and doesn't wait for a client that stopped reading.
type conn struct {
	net.Conn
	opened  time.Time
	from    origin
	release func() // called once

	stall time.Duration
	// writeBy is the deadline in force for writes that the stall limit set, as
	// the time after the connection was opened. It is renewed only when a quarter
	// of it is used up, since setting one costs as much as a short answer.
	writeBy atomic.Int64
	// fixed: somebody else set a write deadline, which holds until it is unset.
	fixed atomic.Bool
}

// writeChunk is the most that has to go out within one stall limit.
const writeChunk = 256 << 10

func (c *conn) origin() origin { return c.from }

// Read reads what there is room for: see meter. Past it the connection is as good as
// broken.
func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 && !c.from.meter.read(n) {
		return 0, &net.OpError{Op: "read", Net: "tcp", Err: errHeaders}
	}
	return n, err
}

// Write sends b; a client that takes nothing for the stall limit gets an error.
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
			// Nothing more will get through, so don't let TLS try to say goodbye.
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

// SetWriteDeadline overrides the stall limit. net/http unsets the deadline
// after each answer, which leaves the stall limit as it is.
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

// SetDeadline is [conn.SetWriteDeadline] and the read deadline.
func (c *conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// CloseWrite lets net/http end an answer politely if the request was not read
// to its end: without it the client may see a reset and no answer.
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

// quota counts what is live. max bounds it.
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

// takeAll takes one of each, or of none.
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

// listener accepts within its quotas.
type listener struct {
	net.Listener
	name    string
	quotas  []*quota
	each    *addressQuota // of connections; nil: addresses are not counted
	headers *addressQuota // bytes of headers; nil: not counted
	proxies []netip.Prefix
	stall   time.Duration
	logger  *slog.Logger
	now     func() time.Time

	full, greedy refusals // of all connections, and of one address
}

// Accept returns the next connection that there is room for.
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

// admit takes the places of a connection. release gives them back, once.
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
	since atomic.Int64 // the last line
	next  atomic.Int64 // when there may be one, in Unix nanoseconds
}

// refusalLogPeriod keeps a flood of connections from becoming one of lines.
const refusalLogPeriod = 10 * time.Second

// count counts one, and returns the number that a line is to tell, or 0.
func (r *refusals) count(now time.Time) int64 {
	r.since.Add(1)
	next := r.next.Load()
	if now.UnixNano() < next || !r.next.CompareAndSwap(next, now.Add(refusalLogPeriod).UnixNano()) {
		return 0
	}
	return r.since.Swap(0)
}

// originOf reads the facts of a fresh connection. What can't be learnt is
// left out, so that it is never local by mistake.
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
