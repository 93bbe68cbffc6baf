package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"
)

// checkLoopback returns an error for an address that other machines could reach. what names the
// listener in the error.
func checkLoopback(what, addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("check %s address: %w", what, err)
	}
	if host == "localhost" {
		return nil
	}
	if ip, err := netip.ParseAddr(host); err == nil && ip.Unmap().IsLoopback() {
		return nil
	}
	return fmt.Errorf("check %s address: %q is not a loopback address; without TLS only 127.0.0.1, ::1 and localhost "+
		"are served", what, addr)
}

// keepAlive detects clients that disappeared without closing their connections, for example by a
// power failure: after 90 s their connections end, and with them the calls that wait on them.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 15 * time.Second, Count: 4}

func listenTCP(ctx context.Context, what, addr string) (net.Listener, error) {
	lc := net.ListenConfig{KeepAliveConfig: keepAlive}
	l, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("open %s listener: %w", what, err)
	}
	return l, nil
}

// listenLoopback is listenTCP, and checks the address that a name was resolved to.
func listenLoopback(ctx context.Context, what, addr string) (net.Listener, error) {
	l, err := listenTCP(ctx, what, addr)
	if err != nil {
		return nil, err
	}
	if tcp, ok := l.Addr().(*net.TCPAddr); !ok || !tcp.AddrPort().Addr().Unmap().IsLoopback() {
		return nil, errors.Join(fmt.Errorf("open %s listener: %q is not a loopback address here but %s", what, addr,
			l.Addr()), l.Close())
	}
	return l, nil
}

// unixProbe is how long a server on an existing socket may take to accept a connection.
const unixProbe = 2 * time.Second

// listenUnix opens the socket at path. Every local user may connect, as over loopback. The kernel
// identifies the user, and the application decides what the user may do.
func listenUnix(ctx context.Context, path string) (net.Listener, error) {
	if err := removeStale(ctx, path); err != nil {
		return nil, fmt.Errorf("open unix listener: %w", err)
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("open unix listener: %w", err)
	}
	u := l.(*net.UnixListener) // what "unix" makes
	u.SetUnlinkOnClose(false)
	if err := os.Chmod(path, 0o666); err != nil {
		return nil, fmt.Errorf("open unix listener: %w", errors.Join(err, u.Close(), os.Remove(path)))
	}
	made, err := os.Lstat(path)
	if err != nil {
		return nil, fmt.Errorf("open unix listener: %w", errors.Join(err, u.Close()))
	}
	s := &unixSocket{UnixListener: u, path: path, made: made}
	s.close = sync.OnceValue(s.closeAndRemove)
	return s, nil
}

// removeStale removes the socket of a server that no longer runs, and no other file.
func removeStale(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("%s is there and is not a socket", path)
	}
	ctx, cancel := context.WithTimeout(ctx, unixProbe)
	defer cancel()
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", path)
	if err == nil {
		c.Close()
		return fmt.Errorf("%s is in use by another server", path)
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("find out whether %s is in use: %w", path, err)
	}
	return os.Remove(path)
}

// unixSocket removes its file when it is closed, unless another server has replaced it.
type unixSocket struct {
	*net.UnixListener
	path  string
	made  fs.FileInfo
	close func() error
}

func (s *unixSocket) Close() error { return s.close() }

func (s *unixSocket) closeAndRemove() error {
	// Remove the file first: while the listener is open, no other server considers it stale.
	if now, err := os.Lstat(s.path); err == nil && os.SameFile(now, s.made) {
		if err := os.Remove(s.path); err != nil {
			return errors.Join(err, s.UnixListener.Close())
		}
	}
	return s.UnixListener.Close()
}
