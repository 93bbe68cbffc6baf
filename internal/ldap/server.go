package ldap

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/vigate/vigate/internal/secret/secretfile"
	"github.com/vigate/vigate/internal/trust"
)

// server is one server of a directory.
type server struct {
	url      string
	address  string // host:port
	host     string // the name in its certificate
	scheme   string
	startTLS bool

	retry time.Time // the server failed and is not tried before; guarded by servers.mu
	cause error     // why it failed
}

// servers are the servers of a directory, in the order of preference.
type servers struct {
	all          []*server
	ca           string
	bindDN       string
	passwordFile string
	request      time.Duration
	now          func() time.Time
	logger       *slog.Logger

	mu sync.Mutex // guards the fields of each server whose comments name it
}

const maxServers = 8

func parseServers(s Settings, by surroundings) (*servers, error) {
	if len(s.Servers) == 0 || len(s.Servers) > maxServers {
		return nil, fmt.Errorf("must be 1 to %d URLs", maxServers)
	}
	list := &servers{ca: s.CA, bindDN: s.BindDN, passwordFile: s.BindPasswordFile, request: by.request, now: by.now,
		logger: by.logger}
	for _, text := range s.Servers {
		u, err := url.Parse(text)
		if err != nil || u.Hostname() == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" ||
			u.Scheme != "ldap" && u.Scheme != "ldaps" {
			return nil, fmt.Errorf("%q is not a URL such as ldaps://dc1.corp.example:636", text)
		}
		port := u.Port()
		if port == "" {
			port = map[string]string{"ldap": "389", "ldaps": "636"}[u.Scheme]
		}
		one := &server{url: u.Scheme + "://" + u.Host, address: net.JoinHostPort(u.Hostname(), port),
			host: u.Hostname(), scheme: u.Scheme, startTLS: s.StartTLS && u.Scheme == "ldap"}
		if one.plain() && !loopback(u.Hostname()) {
			return nil, fmt.Errorf("%q would send passwords in the clear: use ldaps:// or start-tls", text)
		}
		list.all = append(list.all, one)
	}
	return list, nil
}

// plain reports whether connections to the server are not encrypted.
func (s *server) plain() bool { return s.scheme == "ldap" && !s.startTLS }

func loopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

// usable returns the servers to try, in order. A server that has failed is left out for deadTime.
// Then one caller tries it, and the others leave it out until that caller has succeeded. If there is
// none, the error says why the servers failed.
func (l *servers) usable() ([]*server, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var usable []*server
	var causes []error
	now := l.now()
	for _, s := range l.all {
		if s.cause != nil && now.Before(s.retry) {
			causes = append(causes, fmt.Errorf("%s failed before: %w", s.url, s.cause))
			continue
		}
		if s.cause != nil {
			s.retry = now.Add(deadTime)
		}
		usable = append(usable, s)
	}
	if len(usable) == 0 {
		return nil, errors.Join(causes...)
	}
	return usable, nil
}

// failed records that the server can't be used at present. A nil error records that it can.
func (l *servers) failed(s *server, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s.cause = err
	if err != nil {
		s.retry = l.now().Add(deadTime)
	}
}

// untried records that a caller that was to try the server did not find out whether it can be used.
func (l *servers) untried(s *server) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s.retry = l.now()
}

// connect connects to the first server that can be reached. prepare, if not nil, makes the connection
// ready for use; a server on which that fails counts as one that can't be reached.
func (l *servers) connect(ctx context.Context, prepare func(*connection) error) (*connection, error) {
	usable, err := l.usable()
	if err != nil {
		return nil, err
	}
	var causes []error
	for _, s := range usable {
		c, err := l.dial(ctx, s)
		if err == nil && prepare != nil {
			if err = c.run(ctx, func() error { return prepare(c) }); err != nil {
				c.close()
			}
		}
		if err == nil {
			l.failed(s, nil)
			return c, nil
		}
		if ctx.Err() != nil {
			// The caller has gone. That says nothing about the server.
			l.untried(s)
			return nil, errors.Join(append(causes, context.Cause(ctx))...)
		}
		l.failed(s, err)
		causes = append(causes, fmt.Errorf("%s: %w", s.url, err))
	}
	return nil, errors.Join(causes...)
}

// dial connects to the server, encrypts the connection, and finds out what kind of server it is.
func (l *servers) dial(ctx context.Context, s *server) (*connection, error) {
	config, err := l.tls(s)
	if err != nil {
		return nil, err
	}
	dialing, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(dialing, "tcp", s.address)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	if a, err := netip.ParseAddrPort(conn.RemoteAddr().String()); s.plain() && (err != nil || !a.Addr().IsLoopback()) {
		return nil, errors.Join(fmt.Errorf("connect: %s is not on this machine", conn.RemoteAddr()), conn.Close())
	}
	c := &connection{server: s, wire: &wire{Conn: conn}, born: l.now(), request: l.request}
	c.wire.left.Store(maxReply)
	var outer net.Conn = c.wire
	if s.scheme == "ldaps" {
		encrypted := tls.Client(c.wire, config)
		if err := encrypted.HandshakeContext(dialing); err != nil {
			return nil, errors.Join(fmt.Errorf("TLS: %w", err), conn.Close())
		}
		outer = encrypted
	}
	c.conn = ldap.NewConn(outer, s.scheme == "ldaps")
	c.conn.SetTimeout(l.request)
	c.conn.Start()
	if s.startTLS {
		if err := c.run(dialing, func() error { return c.conn.StartTLS(config) }); err != nil {
			c.close()
			return nil, fmt.Errorf("StartTLS: %w", err)
		}
	}
	return c, nil
}

// tls returns the configuration for connections to the server.
func (l *servers) tls(s *server) (*tls.Config, error) {
	config := &tls.Config{ServerName: s.host, MinVersion: tls.VersionTLS12}
	if s.plain() || l.ca == "" {
		return config, nil
	}
	var err error
	if config.RootCAs, err = trust.ReadPool(l.ca); err != nil {
		return nil, fmt.Errorf("read ca: %w", err)
	}
	return config, nil
}

// login binds a new connection as the service account.
func (l *servers) login(c *connection) error {
	if l.bindDN != "" {
		password, err := secretfile.Read(l.passwordFile, "bind-password-file", l.logger)
		if err != nil {
			return err
		}
		if err := c.conn.Bind(l.bindDN, password.Reveal()); err != nil {
			return fmt.Errorf("bind as %s: %w", l.bindDN, err)
		}
	}
	return c.recognize()
}
