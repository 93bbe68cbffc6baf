package server

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"

	"github.com/vigate/vigate/internal/peer"
)

const (
	tunnelName = "sdkTunnel"
	// tunnelTarget is the target for which clients use CONNECT on the plain port to log in by
	// certificate (LoginExtensionByCertificate). It denotes this server's TLS listener, which
	// vCenter has at that port.
	tunnelTarget = tunnelName + ":8089"
)

// tunnel passes connections of the plain listener to the TLS server, as its listener. A connection
// is served in this process after its CONNECT. So nothing is dialled or copied, the client's
// address stays known, and the limits and the drain of the TLS listener apply.
type tunnel struct {
	addr  net.Addr // the TLS listener's
	quota *quota

	handed chan net.Conn
	closed chan struct{}
	close  func()
}

func newTunnel(addr net.Addr, limit int) *tunnel {
	t := &tunnel{addr: addr, quota: newQuota(limit), handed: make(chan net.Conn), closed: make(chan struct{})}
	t.close = sync.OnceFunc(func() { close(t.closed) })
	return t
}

// Accept returns the next connection after its CONNECT.
func (t *tunnel) Accept() (net.Conn, error) {
	select {
	case c := <-t.handed:
		return c, nil
	case <-t.closed:
		return nil, net.ErrClosed
	}
}

func (t *tunnel) Close() error   { t.close(); return nil }
func (t *tunnel) Addr() net.Addr { return t.addr }

// serveConnect answers a CONNECT request. t is nil if tunnels are not served.
func (t *tunnel) serveConnect(w http.ResponseWriter, r *http.Request, p *peer.Peer, m *meter) {
	// Whatever the response is, no other request may follow on this connection: bytes after a
	// refused CONNECT may be meant for its target.
	w.Header().Set("Connection", "close")
	switch {
	case t == nil:
		http.Error(w, "CONNECT is not served here", http.StatusMethodNotAllowed)
		return
	case !strings.EqualFold(r.RequestURI, tunnelTarget) || !strings.EqualFold(r.Host, tunnelTarget):
		http.Error(w, "CONNECT is served for "+tunnelTarget+" only", http.StatusForbidden)
		return
	case r.ContentLength != 0:
		http.Error(w, "CONNECT has no body", http.StatusBadRequest)
		return
	case !t.quota.take():
		w.Header().Set("Retry-After", "1")
		http.Error(w, "too many tunnels", http.StatusServiceUnavailable)
		return
	}
	raw, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		t.quota.give()
		http.Error(w, "CONNECT needs HTTP/1.1", http.StatusHTTPVersionNotSupported)
		return
	}
	early, _ := buffered.Reader.Peek(buffered.Reader.Buffered())
	c := &tunnelled{
		Conn:    raw,
		early:   bytes.NewReader(bytes.Clone(early)),
		from:    origin{address: p.Address, local: p.Local, meter: m},
		release: sync.OnceFunc(t.quota.give),
	}
	if _, err := io.WriteString(raw, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		c.Close()
		return
	}
	select {
	case t.handed <- c:
	case <-t.closed:
		c.Close()
	}
}

// tunnelled is a connection after its CONNECT. Its origin is that of the CONNECT request. Headers
// inside the tunnel can't change it, because a proxy in front of the plain listener does not see
// them.
type tunnelled struct {
	net.Conn
	early   *bytes.Reader // bytes that came directly after the CONNECT request
	from    origin
	release func() // called once
}

func (c *tunnelled) origin() origin { return c.from }

func (c *tunnelled) Read(b []byte) (int, error) {
	if c.early.Len() > 0 {
		return c.early.Read(b)
	}
	return c.Conn.Read(b)
}

func (c *tunnelled) Close() error {
	err := c.Conn.Close()
	c.release()
	return err
}
