// Package server receives requests: it has the listeners, certificates, limits, time-outs, health
// checks and the orderly shutdown.
//
// [Open] opens the listeners of a [Config] and returns a [Server]; [Server.Run] serves until its
// context ends. The package knows nothing of the API that the handler serves. What it knows about
// the client of a request is in the request's context, see [peer.From].
package server

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// Config configures a server. Addresses are host:port; if one is empty, there is no such listener.
// At least one listener besides Admin is required.
type Config struct {
	// Handler serves all requests except health checks. A request's context contains the peer, and
	// ends when the client disconnects.
	Handler http.Handler

	Listen      string       // HTTPS, HTTP/1.1 and HTTP/2; needs Certificate
	Certificate *Certificate // shown by the listener at Listen
	PlainHTTP   string       // HTTP without TLS; a loopback address
	PlainHosts  []string     // that PlainHTTP answers to besides loopback names; see AnyHost
	Unix        string       // HTTP on a Unix socket; a path in a directory that is there
	Admin       string       // Metrics, and on a loopback address profiles; needs AdminAccess on other addresses
	AdminAccess *AdminAccess // who may use Admin, which then has TLS with Certificate; nil: every local client
	Metrics     http.Handler // served at /metrics of Admin; nil: none

	// TrustedProxies are the proxies whose X-Forwarded-For header is used.
	TrustedProxies []netip.Prefix
	// Ready returns an error while the server can't serve. Anybody may read its text. If Ready is
	// nil, the server is always ready.
	Ready func() error
	// OnDrain is called once when the server begins to shut down, to end waiting calls. Requests
	// may still come in on open connections, so calls that begin to wait later must end at once,
	// too. It must not block. If nil, nothing is called.
	OnDrain func()

	Limits Limits
	Logger *slog.Logger     // nil: slog.Default
	Random io.Reader        // source of request ids; nil: crypto/rand
	Now    func() time.Time // nil: time.Now
}

// Server is a server whose listeners are open. Run serves them.
type Server struct {
	limits  Limits
	health  *health
	onDrain func()
	logger  *slog.Logger
	sites   []*site
	cut     context.CancelFunc // ends the contexts of all requests
	base    context.Context

	ids      *requestIDs
	total    *quota        // connections
	each     *addressQuota // connections of each address
	http2    *addressQuota // those of HTTP/2
	requests *quota        // in flight
	shares   shares
}

// site is one listener with its http.Server.
type site struct {
	name      string
	http      *http.Server
	listeners []net.Listener
	own       *quota // its connections
}

// Open checks cfg and opens its listeners. If it fails, none stays open.
func Open(ctx context.Context, cfg Config) (*Server, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	cfg.fill()
	ids, err := newRequestIDs(cfg.Random)
	if err != nil {
		return nil, err
	}
	s := &Server{
		limits:  cfg.Limits,
		health:  &health{ready: cfg.Ready},
		onDrain: cfg.OnDrain,
		logger:  cfg.Logger,

		ids:      ids,
		total:    newQuota(cfg.Limits.Connections),
		each:     newAddressQuota(cfg.Limits.AddressConnections, 0),
		http2:    newAddressQuota(max(1, cfg.Limits.HTTP2/4), cfg.Limits.HTTP2),
		requests: newQuota(cfg.Limits.Requests),
		shares: shares{
			requests: newAddressQuota(cfg.Limits.AddressRequests, 0),
			headers:  newAddressQuota(max(1, cfg.Limits.Headers/4), cfg.Limits.Headers),
		},
	}
	s.base, s.cut = context.WithCancel(context.Background())
	if err := s.open(ctx, cfg); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (cfg *Config) check() error {
	var errs []error
	if cfg.Handler == nil {
		errs = append(errs, errors.New("open server: no handler"))
	}
	if cfg.Listen == "" && cfg.PlainHTTP == "" && cfg.Unix == "" {
		errs = append(errs, errors.New("open server: no address to listen on"))
	}
	if (cfg.Listen != "" || cfg.AdminAccess != nil) && cfg.Certificate == nil {
		errs = append(errs, errors.New("open server: no certificate for the TLS listener"))
	}
	if cfg.PlainHTTP != "" {
		errs = append(errs, checkLoopback("plain HTTP", cfg.PlainHTTP))
	}
	switch a := cfg.AdminAccess; {
	case cfg.Admin != "" && a == nil:
		errs = append(errs, checkLoopback("admin", cfg.Admin))
	case a != nil && a.Certificate == nil && a.Token == nil:
		errs = append(errs, errors.New("open server: everybody would have access to the admin listener"))
	}
	return errors.Join(errs...)
}

func (cfg *Config) fill() {
	cfg.Limits = cfg.Limits.withDefaults()
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if cfg.Random == nil {
		cfg.Random = rand.Reader
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.OnDrain == nil {
		cfg.OnDrain = func() {}
	}
}

func newRequestIDs(random io.Reader) (*requestIDs, error) {
	var b [4]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return nil, fmt.Errorf("open server: read random bytes: %w", err)
	}
	return &requestIDs{run: hex.EncodeToString(b[:])}, nil
}

// open opens the listeners. If it fails, those that it has opened are in s.sites.
func (s *Server) open(ctx context.Context, cfg Config) error {
	b := builder{s: s, cfg: cfg}
	app := front{next: cfg.Handler, proxies: cfg.TrustedProxies, requests: s.requests}
	plain := app
	if cfg.Listen != "" {
		l, err := listenTCP(ctx, "TLS", cfg.Listen)
		if err != nil {
			return err
		}
		st := b.add("tls", l, s.each, app, s.total)
		s.secure(st, cfg.Certificate)
		if cfg.PlainHTTP != "" {
			plain.tunnel = newTunnel(l.Addr(), cfg.Limits.Tunnels)
			st.listeners = append(st.listeners, plain.tunnel)
		}
	}
	if cfg.PlainHTTP != "" {
		l, err := listenLoopback(ctx, "plain HTTP", cfg.PlainHTTP)
		if err != nil {
			return err
		}
		plain.guard = guard{loopback: true, names: cfg.PlainHosts}
		b.add("plain", l, s.each, plain, s.total)
	}
	if cfg.Unix != "" {
		l, err := listenUnix(ctx, cfg.Unix)
		if err != nil {
			return err
		}
		b.add("unix", l, s.each, app, s.total)
	}
	if cfg.Admin != "" {
		return b.addAdmin(ctx)
	}
	return nil
}

// builder holds what all sites have in common.
type builder struct {
	s   *Server
	cfg Config
}

// add creates a site for l. Its connections count in quotas, in each if that is not nil, and in a
// quota of the site's own.
func (b *builder) add(name string, l net.Listener, each *addressQuota, f front, quotas ...*quota) *site {
	f.ids, f.health, f.guarded, f.logger, f.now = b.s.ids, b.s.health, new(refusals), b.cfg.Logger, b.cfg.Now
	f.shares, f.stall = &b.s.shares, b.cfg.Limits.Stall
	own := newQuota(b.cfg.Limits.ListenerConnections)
	headers := b.s.shares.headers
	if each == nil {
		headers = nil
	}
	st := &site{name: name, own: own, http: b.s.newHTTPServer(&f), listeners: []net.Listener{&listener{
		Listener: l,
		name:     name,
		quotas:   append(quotas, own),
		each:     each,
		headers:  headers,
		proxies:  f.proxies,
		stall:    b.cfg.Limits.Stall,
		logger:   b.cfg.Logger,
		now:      b.cfg.Now,
	}}}
	b.s.sites = append(b.s.sites, st)
	return st
}

// addAdmin creates the site for metrics and profiles. Its connections and requests are counted separately, so that
// it works when the others are full.
func (b *builder) addAdmin(ctx context.Context) error {
	access := b.cfg.AdminAccess
	if access == nil {
		l, err := listenLoopback(ctx, "admin", b.cfg.Admin)
		if err != nil {
			return err
		}
		b.add("admin", l, nil, front{next: adminHandler(b.cfg.Metrics, true),
			guard: guard{loopback: true, sameOrigin: true}, requests: newQuota(b.cfg.Limits.Requests)})
		return nil
	}
	l, err := listenTCP(ctx, "admin", b.cfg.Admin)
	if err != nil {
		return err
	}
	tcp, ok := l.Addr().(*net.TCPAddr)
	local := ok && tcp.AddrPort().Addr().Unmap().IsLoopback()
	st := b.add("admin", l, newAddressQuota(adminAddressConnections, 0), front{
		next:  access.protect(adminHandler(b.cfg.Metrics, local), b.cfg.Logger),
		guard: guard{loopback: local, sameOrigin: true}, requests: newQuota(adminConnections),
	}, newQuota(adminConnections))
	st.http.TLSConfig = b.cfg.Certificate.tlsConfig()
	st.http.TLSConfig.NextProtos = []string{"http/1.1"}
	return nil
}

func (s *Server) newHTTPServer(f *front) *http.Server {
	return &http.Server{
		Handler:           f,
		ReadHeaderTimeout: s.limits.Header,
		ReadTimeout:       s.limits.Request,
		IdleTimeout:       s.limits.Idle,
		MaxHeaderBytes:    s.limits.HeaderBytes,
		ErrorLog:          log.New(&errorLog{s.logger}, "", 0),
		BaseContext:       func(net.Listener) context.Context { return s.base },
		ConnContext:       connContext,
		Protocols:         protocols(false),

		DisableGeneralOptionsHandler: true, // its answer has no headers of ours
	}
}

// secure configures a site for TLS and HTTP/2.
func (s *Server) secure(st *site, c *Certificate) {
	st.http.TLSConfig = c.tlsConfig()
	older := c.tlsConfig()
	older.NextProtos = []string{"http/1.1"}
	st.http.TLSConfig.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		m := knownOrigin(hello.Conn).meter
		m.hello()
		if !slices.Contains(hello.SupportedProtos, "h2") || m.speaksHTTP2(s.http2) {
			return nil, nil
		}
		return older, nil
	}
	st.http.Protocols = protocols(true)
	st.http.HTTP2 = &http.HTTP2Config{
		MaxConcurrentStreams:          s.limits.StreamsPerConnection,
		MaxReadFrameSize:              16 << 10,
		MaxReceiveBufferPerConnection: 1 << 20,
		MaxReceiveBufferPerStream:     256 << 10,
		SendPingTimeout:               s.limits.Stall, // finds dead clients whose calls wait
		PingTimeout:                   s.limits.Header,
		WriteByteTimeout:              s.limits.Stall,
	}
}

func protocols(h2 bool) *http.Protocols {
	p := new(http.Protocols)
	p.SetHTTP1(true)
	p.SetHTTP2(h2)
	return p
}

// Addr returns the address of the listener "tls", "plain", "unix" or "admin", or nil if there is
// none. It contains the port that the system chose for port 0.
func (s *Server) Addr(name string) net.Addr {
	for _, st := range s.sites {
		if st.name == name {
			return st.listeners[0].Addr()
		}
	}
	return nil
}

// Close closes the listeners of a server that was never run.
func (s *Server) Close() error {
	s.cut()
	var errs []error
	for _, st := range s.sites {
		for _, l := range st.listeners {
			errs = append(errs, l.Close())
		}
	}
	return errors.Join(errs...)
}

// Run serves until ctx ends or a listener fails, and then shuts down. From then on the server is
// not ready and accepts no connections. Requests in flight have the drain limit to finish; the
// remaining ones are cut. The handler of a cut request may run a little longer than Run, but its
// context has ended. Run returns nil if all requests finished, and an error that is
// [context.DeadlineExceeded] if some were cut. It may be called only once.
func (s *Server) Run(ctx context.Context) error {
	failed := make(chan error, 1)
	var serving sync.WaitGroup
	for _, st := range s.sites {
		for _, l := range st.listeners {
			serving.Go(func() {
				if err := st.serve(l); !errors.Is(err, http.ErrServerClosed) {
					select {
					case failed <- fmt.Errorf("serve %s listener: %w", st.name, err):
					default: // one reason is enough
					}
				}
			})
		}
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	err = errors.Join(err, s.drain())
	serving.Wait()
	return err
}

func (st *site) serve(l net.Listener) error {
	if st.http.TLSConfig != nil {
		return st.http.ServeTLS(l, "", "") // the certificate is in TLSConfig
	}
	return st.http.Serve(l)
}

// drain shuts the sites down. The context of Run has ended already, so drain creates its own.
func (s *Server) drain() error {
	s.health.draining.Store(true)
	s.onDrain()
	ctx, cancel := context.WithTimeout(context.Background(), s.limits.Drain)
	defer cancel()
	defer s.cut()
	errs := make([]error, len(s.sites))
	var done sync.WaitGroup
	for i, st := range s.sites {
		done.Go(func() {
			if err := st.http.Shutdown(ctx); err != nil {
				errs[i] = errors.Join(fmt.Errorf("drain %s listener: %w", st.name, err), st.http.Close())
			}
		})
	}
	done.Wait()
	return errors.Join(errs...)
}

// errorLog logs the errors of net/http: at debug level if any client can cause them, otherwise as
// warnings.
type errorLog struct{ logger *slog.Logger }

func (e *errorLog) Write(b []byte) (int, error) {
	text := strings.TrimSpace(string(b))
	level := slog.LevelWarn
	if strings.HasPrefix(text, "http2: ") || strings.HasPrefix(text, "http: TLS handshake error ") {
		level = slog.LevelDebug
	}
	e.logger.Log(context.Background(), level, cleanText(text, 1024))
	return len(b), nil
}
