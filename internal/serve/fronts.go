package serve

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vigate/vigate/internal/binding"
	"github.com/vigate/vigate/internal/config"
	"github.com/vigate/vigate/internal/front"
	"github.com/vigate/vigate/internal/gateway/dispense"
	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/server"
	"github.com/vigate/vigate/internal/sessionmanager"
	"github.com/vigate/vigate/internal/upstream"
	"github.com/vigate/vigate/internal/upstream/manager"
	"github.com/vigate/vigate/internal/upstream/note"
	"github.com/vigate/vigate/internal/vim"
)

// frontServer is one front: its upstream, its listeners, and what they serve.
type frontServer struct {
	config      upstream.Config
	upstream    *upstream.Upstream
	front       *front.Front
	certificate *server.Certificate
	logger      *slog.Logger
	dispensers  map[string]http.Handler // by path
	server      *server.Server          // nil before Listen and after Run
	serving     atomic.Pointer[server.Server]
	open        atomic.Pointer[openFront] // nil until the upstream was reached
}

// openFront is what a front serves once it knows its upstream.
type openFront struct {
	api     *vim.API
	passing *passing
	handler http.Handler
}

const (
	// connectEvery is how often an upstream is tried that was never reached.
	connectEvery = time.Second
	// logoutTime is how long the logout from all upstreams may take at shutdown.
	logoutTime = 10 * time.Second
)

var (
	errNotReached = errors.New("the upstream was not reached yet")
	errNoUpstream = errors.New("the upstream can't be reached")
	errNoShare    = errors.New("there are more servers than sessions at the upstream: this one has no share")
)

// newBook returns the notes of the sessions at the upstreams.
func (n *Node) newBook() *note.Book {
	o := note.Options{Node: n.cluster.Key(), Now: n.now, Logger: n.logger}
	if n.fresh != nil {
		o.Alive = n.cluster.Alive
	}
	return note.New(o)
}

// upstreams returns the upstreams of all fronts.
func (n *Node) upstreams() []*upstream.Upstream {
	all := make([]*upstream.Upstream, len(n.fronts))
	for i, f := range n.fronts {
		all[i] = f.upstream
	}
	return all
}

// clients returns the client sessions of the front of an upstream.
func (n *Node) clients(name string) []manager.Client {
	var all []manager.Client
	for _, f := range n.fronts {
		o := f.open.Load()
		if f.config.Name != name || o == nil {
			continue
		}
		for l := range f.front.Sessions().All() {
			c := manager.Client{Key: l.Key().String(), Account: f.front.AccountName(l)}
			if s := o.passing.calls.OnSession(l); s != nil {
				c.Session = s.ID()
			}
			all = append(all, c)
		}
	}
	return all
}

// openFronts creates the fronts and their upstreams, without sending anything. The options are those of the
// server's own API. The error joins all mistakes.
func (n *Node) openFronts(o Options, h hooks, api vim.Options, sessions sessionmanager.Options) error {
	var errs []error
	methods := append(n.methods[:len(n.methods):len(n.methods)], dispense.Method{})
	for _, cfg := range o.Upstreams {
		f := &frontServer{config: cfg, certificate: n.certificate, logger: n.logger.With("front", cfg.Name)}
		var err error
		if cfg.TLSCert != "" {
			f.certificate, err = server.OpenCertificate(server.CertificateConfig{
				CertFile: cfg.TLSCert, KeyFile: cfg.TLSKey, Logger: f.logger,
			})
			if err != nil {
				errs = append(errs, cfg.Wrong("tls-cert", "can't be used: %v", err))
			}
		}
		options := upstream.Options{
			Version: Version, Notes: n.book, OnGone: func(a *upstream.Account) { f.front.Gone(a) },
			Queued: h.queued, Now: n.now, Logger: n.logger,
		}
		if n.fresh != nil {
			options.Share = n.cluster.Share
		}
		if f.upstream, err = upstream.Open(cfg, options); err != nil {
			errs = append(errs, err)
			continue
		}
		m := sessions
		if f.certificate != nil {
			m.SHA1 = f.thumbprint
			m.SHA256 = func() string { _, sum := f.certificate.Thumbprints(); return colons(sum[:]) }
		}
		f.front = front.New(front.Options{
			Thumbprint: func() string { return thumbprintOf(f.certificate) },
			Domain:     n.Domain, Upstream: f.upstream, Config: cfg, Gate: n.gate, Methods: methods,
			Login: login.GateOptions{Started: h.started, Grid: cmp.Or(o.PasswordGrid, passwordGrid)},
			API:   api, Manager: m, Now: n.now, Logger: n.logger,
		})
		errs = append(errs, n.openDispensers(f))
		n.fronts = append(n.fronts, f)
	}
	n.reload = newReload(n, o)
	return errors.Join(errs...)
}

// listenFronts opens the listeners of the fronts.
func (n *Node) listenFronts(ctx context.Context, cfg config.Config) error {
	for _, f := range n.fronts {
		s, err := server.Open(ctx, server.Config{
			Handler: n.wrap(f), Certificate: f.certificate,
			Listen: f.config.Listen, PlainHTTP: f.config.PlainHTTP, PlainHosts: cfg.PlainHTTPHosts,
			TrustedProxies: cfg.TrustedProxies, OnDrain: f.drain, Limits: limits(cfg), Logger: f.logger,
			Ready: func() error { return errors.Join(n.ready(), f.ready()) },
		})
		if err != nil {
			return err
		}
		f.server = s
		f.serving.Store(s)
		for _, name := range []string{"tls", "plain"} {
			if addr := s.Addr(name); addr != nil {
				f.logger.Info("listening", "listener", name, "address", addr.String())
			}
		}
	}
	return nil
}

// FrontAddr returns the address of a listener of a front ("tls" or "plain"), or nil if there is none.
func (n *Node) FrontAddr(name, listener string) net.Addr {
	for _, f := range n.fronts {
		if s := f.serving.Load(); s != nil && f.config.Name == name {
			return s.Addr(listener)
		}
	}
	return nil
}

// FrontReady returns an error while the front can't serve, or if there is none with the name.
func (n *Node) FrontReady(name string) error {
	for _, f := range n.fronts {
		if f.config.Name == name {
			return f.ready()
		}
	}
	return errNotReached
}

// serveAll serves on all listeners until ctx ends or one of them fails. Then all are drained, and after
// that all sessions at the upstreams are logged out, because a request in flight needs them.
func (n *Node) serveAll(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	stopping := func() { n.announcer.Stopping("waiting for running requests") }
	defer context.AfterFunc(ctx, stopping)()
	life, end := context.WithCancel(context.Background())
	defer end()
	var serving, keeping sync.WaitGroup
	errs := make([]error, 1+len(n.fronts))
	run := func(i int, s *server.Server) {
		serving.Go(func() {
			defer stop()
			errs[i] = n.cut(s.Run(ctx))
		})
	}
	run(0, n.server)
	n.server = nil // it closes its listeners
	for i, f := range n.fronts {
		keeping.Go(func() { f.upstream.Run(life) })
		keeping.Go(func() { n.connect(life, f) })
		run(i+1, f.server)
		f.server = nil
	}
	serving.Wait()
	stopping() // it may not have run yet
	end()
	keeping.Wait()
	n.logOut()
	return errors.Join(errs...)
}

// cut logs that requests were cut at shutdown. That is still an orderly shutdown.
func (n *Node) cut(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		n.logger.Warn("requests in flight were cut at shutdown", "err", err)
		return nil
	}
	return err
}

// logOut ends all sessions at the upstreams.
func (n *Node) logOut() {
	ctx, cancel := context.WithTimeout(context.Background(), logoutTime)
	defer cancel()
	var all sync.WaitGroup
	for _, f := range n.fronts {
		all.Go(func() {
			if err := f.upstream.Drain(ctx); err != nil {
				// Their keys are in the store: the next start ends them.
				f.logger.Warn("sessions may be left at the upstream", "err", err)
			}
		})
	}
	all.Wait()
}

// connect opens the API of a front as soon as its upstream was reached, because the front takes over the
// id of its SessionManager.
func (n *Node) connect(ctx context.Context, f *frontServer) {
	for ctx.Err() == nil {
		content, err := f.upstream.Content(ctx)
		if err == nil {
			if err = n.openFront(f, content); err == nil {
				return
			}
			f.logger.Error("the front can't be opened", "err", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(connectEvery):
		}
	}
}

// openFront makes the front serve its clients.
func (n *Node) openFront(f *frontServer, content *upstream.Content) error {
	p, api, err := n.newPassing(f, content.SessionManager.Value)
	if err != nil {
		return err
	}
	f.open.Store(&openFront{api, p, binding.OneSlash(p)})
	f.logger.Info("the front is open", "upstream", content.About.FullName)
	return nil
}

// ServeHTTP serves a request to the front. It answers 503 until the upstream was reached.
func (f *frontServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if o := f.open.Load(); o != nil {
		o.handler.ServeHTTP(w, r)
		return
	}
	w.Header().Set("Retry-After", "2")
	http.Error(w, errNotReached.Error(), http.StatusServiceUnavailable)
}

// thumbprint returns the SHA-1 of the front's certificate as AA:BB:…, or "" if it has none.
func (f *frontServer) thumbprint() string {
	if f.certificate == nil {
		return ""
	}
	sum, _ := f.certificate.Thumbprints()
	return colons(sum[:])
}

// ready returns an error while the front can't serve. Anybody may read its text, so it has no details.
func (f *frontServer) ready() error {
	if f.open.Load() == nil {
		return errNotReached
	}
	err := f.upstream.Ready()
	if _, shareless := errors.AsType[*upstream.ShareError](err); shareless {
		return errNoShare
	}
	if err != nil {
		return errNoUpstream
	}
	return nil
}

func (f *frontServer) drain() {
	if o := f.open.Load(); o != nil {
		o.api.Drain()
	}
}

// close releases a front that was never run.
func (f *frontServer) close() error {
	if f.server == nil {
		return nil
	}
	return f.server.Close()
}
