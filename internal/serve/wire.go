package serve

import (
	"cmp"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vigate/vigate/internal/admin"
	"github.com/vigate/vigate/internal/announce"
	"github.com/vigate/vigate/internal/binding"
	"github.com/vigate/vigate/internal/cluster"
	"github.com/vigate/vigate/internal/config"
	"github.com/vigate/vigate/internal/control"
	"github.com/vigate/vigate/internal/datadir"
	"github.com/vigate/vigate/internal/directory"
	"github.com/vigate/vigate/internal/domain"
	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/history"
	"github.com/vigate/vigate/internal/identity"
	"github.com/vigate/vigate/internal/inventory"
	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/login/local"
	"github.com/vigate/vigate/internal/metrics"
	"github.com/vigate/vigate/internal/property"
	"github.com/vigate/vigate/internal/recheck"
	"github.com/vigate/vigate/internal/rest"
	"github.com/vigate/vigate/internal/serve/process"
	"github.com/vigate/vigate/internal/serve/storage"
	"github.com/vigate/vigate/internal/server"
	"github.com/vigate/vigate/internal/sessionmanager"
	"github.com/vigate/vigate/internal/setting"
	"github.com/vigate/vigate/internal/soap"
	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/sts"
	tokens "github.com/vigate/vigate/internal/sts/manager"
	"github.com/vigate/vigate/internal/sts/signing"
	"github.com/vigate/vigate/internal/trust"
	"github.com/vigate/vigate/internal/upstream/manager"
	"github.com/vigate/vigate/internal/upstream/note"
	"github.com/vigate/vigate/internal/vijson"
	"github.com/vigate/vigate/internal/vim"
	"github.com/vigate/vigate/internal/wsdl"
)

// Node is one server with all its parts. Open shows how they depend on each other.
type Node struct {
	logger *slog.Logger
	gc     *process.Collector // nil for a guest
	guest  bool               // see Options
	around func(http.Handler) http.Handler
	pages  bool // whether there is a console
	data   *datadir.Dir
	Store  store.Store
	now    func() time.Time
	fresh  func() error // returns an error while the node must not serve anybody; nil: never
	// nil if the store can be copied without it, or the socket could not be opened
	control     *control.Server
	cluster     *cluster.Cluster
	certificate *server.Certificate

	*domain.Domain
	tickets *os.Root // directory of local's files
	local   *local.Tickets
	methods []login.Method // the ways in besides clones
	bodies  *binding.Bodies
	fronts  []*frontServer
	reload  *reload
	book    *note.Book        // of the sessions at the upstreams
	sources *identity.Sources // besides the server's own users
	users   *recheck.Checker
	gate    *login.Gate
	signing *signing.Keys
	tokens  *sts.Service
	// described are the descriptions of the fronts for clients of SOAP
	described wsdl.Kept
	API       *vim.API
	metrics   *metrics.Recorder // nil if there is no admin listener
	server    *server.Server
	serving   atomic.Pointer[server.Server] // server, from the time when it listens, for concurrent readers

	announcer *announce.Announcer // nil if the state is reported to nobody
	state     announce.State      // the state that is reported

	sweeps int // number of sweeps of sessions
	cancel context.CancelFunc
	feed   sync.WaitGroup // the goroutine that runs Mirror
}

// Open assembles a server on the store in cfg.Data, which is created if it does not exist, and
// waits until all state is loaded. It does not open listeners.
func Open(ctx context.Context, cfg config.Config, o Options) (_ *Node, err error) {
	n := &Node{
		logger: cmp.Or(o.Logger, slog.Default()), now: o.Now, around: o.Around, guest: o.Guest,
		pages: cfg.Console, bodies: binding.NewBodies(0), cancel: func() {},
	}
	if n.now == nil {
		n.now = time.Now
	}
	if !o.Guest {
		n.gc = process.NewCollector()
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.Close())
		}
	}()
	if n.data, err = datadir.Open(cfg.Data); err != nil {
		return nil, err
	}
	cfg.Data = n.data.Path()
	n.certificate, err = server.OpenCertificate(server.CertificateConfig{
		Dir: n.data.Root(), CertFile: cfg.TLSCert, KeyFile: cfg.TLSKey, Logger: n.logger,
	})
	if err != nil {
		return nil, err
	}
	h := n.measure(cfg)
	s, err := o.store()(ctx, cfg, storage.Options{Now: n.now, Logger: n.logger, Observe: h.group})
	if err != nil {
		return nil, err
	}
	n.Store, h.lag = s.Store, s.Lag
	n.openControl(cfg, s.Backup)

	n.cluster, err = cluster.New(cluster.Options{
		Name: storage.NodeName(cfg), Version: Version, Sessions: func() int { return n.Sessions.Size() }, Lag: s.Lag,
		Now: n.now, Logger: n.logger,
	})
	if err != nil {
		return nil, err
	}
	if s.Fresh != nil {
		n.fresh = func() error {
			if err := s.Fresh(); err != nil {
				return err
			}
			return n.cluster.Clock()
		}
	}
	if n.sources, err = identity.Open(o.Identity, n.now, n.logger); err != nil {
		return nil, err
	}
	n.signing = newSigning(o, n.now, n.logger)
	n.book = n.newBook()
	n.Domain, err = domain.New(domain.Options{
		Store: h.store(n.Store), Base: baseValues(cfg), DefaultDomain: cfg.DefaultDomain,
		Thumbprint: n.ticketThumbprint, Requests: n.requests,
		Views:  []store.View{n.cluster.View(), n.signing.View(), n.book.View()},
		Sweeps: n.maySweep, Patience: o.Patience, Cost: o.Cost, Policy: o.Policy,
		Now: n.now, Logger: n.logger,
		Sources: append([]directory.Source{directory.SystemUsers(nil)}, n.sources.Directories()...),
	})
	if err != nil {
		return nil, err
	}
	n.users = n.newChecker()
	n.cluster.Attach(n.Mirror)
	n.book.Attach(n.Mirror)
	n.openTokens(o)
	if err := n.openAPI(cfg, o, h); err != nil {
		return nil, err
	}
	return n, n.follow(ctx)
}

// openControl opens the socket for local commands. A server can run without it.
func (n *Node) openControl(cfg config.Config, backup func(io.Writer) error) {
	if backup == nil {
		return
	}
	var err error
	if n.control, err = control.Listen(cfg.Data, control.Options{Backup: backup, Logger: n.logger}); err != nil {
		n.logger.Warn("no backup can be made while this server runs", "err", err)
	}
}

// passwordGrid is the period of the answers to failed passwords. It is longer than a password takes to
// check while the server is not overloaded, with any source.
const passwordGrid = 250 * time.Millisecond

// openMethods creates the login methods besides that for clones.
func (n *Node) openMethods(cfg config.Config) error {
	believed, err := trust.Open(cfg.ClientCA, cfg.ClientCRL, n.now, n.logger)
	if err != nil {
		return err
	}
	sources := n.sources.Passwords()
	if cfg.LocalTickets != config.LocalTicketsOff {
		// Other accounts may traverse the directory to read the one file whose name they were
		// given.
		if n.tickets, err = n.data.Sub(datadir.Local, 0o711); err != nil {
			return fmt.Errorf("open directory of local tickets: %w", err)
		}
		n.local = &local.Tickets{
			Dir: n.tickets, Loopback: cfg.LocalTickets == config.LocalTicketsLoopback,
			Access: n.Access.Table(), Sessions: n.Sessions, Mirror: n.Mirror, Events: n.Events, Now: n.now,
			Logger: n.logger,
		}
		if err := n.local.Open(); err != nil {
			return err
		}
		sources = append(sources, n.local)
	}
	passwords, err := login.NewPasswords(n.Accounts, sources...)
	if err != nil {
		return err
	}
	n.methods = []login.Method{
		login.ByCertificate{Extensions: n.Extensions.Table()},
		login.BySubject{Extensions: n.Extensions.Table(), Trust: believed.Current, Now: n.now},
		passwords, sts.Method{},
	}
	others, err := n.sources.Methods(identity.MethodOptions{
		Spent: n.Spent, Turns: n.tokens.Turns(), Own: n.tokens.Issuers, Confirm: n.tokens.Confirm,
		Again: n.tokens.Again,
	})
	n.methods = append(n.methods, others...)
	return err
}

// openAPI creates the gate and the managed objects.
func (n *Node) openAPI(cfg config.Config, o Options, h hooks) error {
	if err := n.openMethods(cfg); err != nil {
		return err
	}
	methods := append([]login.Method{login.Clone{Sessions: n.Sessions}}, n.methods...)
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	n.gate = n.NewGate(login.GateOptions{
		Methods: methods, Started: h.started, Grid: cmp.Or(o.PasswordGrid, passwordGrid),
	})
	options := vim.Options{
		Logger: n.logger, Now: n.now, Fresh: n.fresh, Observe: h.call, Unreadable: n.gate.Unreadable,
	}
	sessions := sessionmanager.Options{
		Gate: n.gate, LocalTickets: n.local, HostName: host,
		SHA1:   func() string { sum, _ := n.certificate.Thumbprints(); return colons(sum[:]) },
		SHA256: func() string { _, sum := n.certificate.Thumbprints(); return colons(sum[:]) },
	}
	if err := n.openFronts(o, h, options, sessions); err != nil {
		return err
	}
	n.API = vim.New(n.Domain, options)
	behind := manager.Options{Upstreams: n.upstreams, Clients: n.clients}
	err = serveObjects(n.API, n.Domain, n.cluster, n.signing, behind, sessions, admin.Options{
		Locked: n.gate.Locked, Unlock: n.gate.Unlock,
		PublicKey: func() string {
			der := n.certificate.Leaf().RawSubjectPublicKeyInfo
			return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
		},
	})
	if err != nil {
		return err
	}
	n.describeMetrics(methods, h.lag)
	return nil
}

// Objects returns the managed objects that a server serves, without data.
func Objects() ([]*vim.Object, error) {
	// The methods of the objects are the same whatever data they work on.
	d, err := domain.New(domain.Options{Base: setting.Defaults()})
	if err != nil {
		return nil, err
	}
	api := vim.New(d, vim.Options{})
	nodes, err := cluster.New(cluster.Options{})
	if err != nil {
		return nil, err
	}
	err = serveObjects(api, d, nodes, signing.New(signing.Options{}), manager.Options{}, sessionmanager.Options{},
		admin.Options{})
	if err != nil {
		return nil, err
	}
	return api.Objects(), nil
}

// serveObjects adds all managed objects to the API.
func serveObjects(
	api *vim.API, d *domain.Domain, nodes *cluster.Cluster, keys *signing.Keys, upstreams manager.Options,
	sessions sessionmanager.Options, rules admin.Options,
) error {
	return errors.Join(
		inventory.Serve(api, d, inventory.Options{About: about()}), sessionmanager.Serve(api, d, sessions),
		admin.Serve(api, d, rules), history.Serve(api, d.Events, d.DefaultDomain()),
		property.Serve(api, d.Sessions), nodes.Serve(api), manager.Serve(api, upstreams),
		tokens.Serve(api, keys, d.Events),
	)
}

// follow starts to feed the views from the store and waits until they have loaded its whole state.
func (n *Node) follow(ctx context.Context) error {
	feed, cancel := context.WithCancel(context.Background())
	n.cancel = cancel
	n.feed.Go(func() {
		if err := n.Mirror.Run(feed); err != nil && feed.Err() == nil {
			n.logger.Error("the store is no longer followed", "err", err)
		}
	})
	if err := n.Mirror.Wait(ctx, 0); err != nil {
		return fmt.Errorf("read store: %w", err)
	}
	return nil
}

// Handler returns the bindings, each at its path.
func (n *Node) Handler() http.Handler {
	mux := http.NewServeMux()
	bodies := n.bodies
	vijson.Mount(mux, n.API, bodies)
	soap.Mount(mux, n.API, bodies, soap.Options{Version: Release, Logger: n.logger})
	rest.Mount(mux, n.API, bodies, n.gate.Challenges())
	n.mountTokens(mux, bodies)
	n.mountPages(mux)
	return n.wrap(binding.OneSlash(mux))
}

// wrap returns the handler as the program that has the node wants it.
func (n *Node) wrap(h http.Handler) http.Handler {
	if n.around != nil {
		return n.around(h)
	}
	return h
}

// Listen opens the listeners.
func (n *Node) Listen(ctx context.Context, cfg config.Config) error {
	access, err := n.adminAccess(cfg)
	if err != nil {
		return err
	}
	s, err := server.Open(ctx, server.Config{
		Handler: n.Handler(), Certificate: n.certificate,
		Listen: cfg.Listen, PlainHTTP: cfg.PlainHTTP, PlainHosts: cfg.PlainHTTPHosts, Unix: cfg.Unix,
		Admin: cfg.AdminListen, AdminAccess: access,
		Metrics: n.metricsHandler(), TrustedProxies: cfg.TrustedProxies, Ready: n.ready, OnDrain: n.API.Drain,
		Limits: limits(cfg), Logger: n.logger,
	})
	if err != nil {
		return err
	}
	n.server = s
	n.serving.Store(s)
	var public []string
	for _, l := range []struct{ name, scheme string }{{"tls", "https://"}, {"plain", "http://"}, {"unix", ""},
		{"admin", ""}} {
		addr := s.Addr(l.name)
		if addr == nil {
			continue
		}
		n.logger.Info("listening", "listener", l.name, "address", addr.String())
		if l.scheme != "" {
			public = append(public, l.scheme+addr.String())
		}
	}
	n.cluster.Listens(public...)
	return n.listenFronts(ctx, cfg)
}

func limits(cfg config.Config) server.Limits {
	return server.Limits{
		Connections: cfg.MaxConnections, ListenerConnections: cfg.MaxConnections,
		AddressConnections: cfg.MaxAddressConnections,
		Idle:               cfg.IdleConnectionTimeout, Drain: cfg.DrainTimeout,
	}
}

// Addr returns the address of a listener ("tls", "plain", "unix" or "admin"), or nil if there is no
// such listener.
func (n *Node) Addr(listener string) net.Addr {
	if s := n.serving.Load(); s != nil {
		return s.Addr(listener)
	}
	return nil
}

// Leaf returns the certificate that the server shows.
func (n *Node) Leaf() *x509.Certificate { return n.certificate.Leaf() }

// Load returns the current number of connections and requests, and the number of those that were
// refused.
func (n *Node) Load() server.Load {
	if s := n.serving.Load(); s != nil {
		return s.Load()
	}
	return server.Load{}
}

// Run serves until ctx ends, then writes pending state to the store.
func (n *Node) Run(ctx context.Context) error {
	e := n.Events.Change(event.Event{Type: "ServerStartedSessionEvent"})
	if _, err := n.Mirror.Commit(context.WithoutCancel(ctx), e); err != nil {
		return fmt.Errorf("post start: %w", err)
	}
	if err := n.cluster.Report(context.WithoutCancel(ctx)); err != nil {
		return err
	}
	// Before anybody can clone a session whose user nobody vouches for any more.
	if err := n.users.Disown(ctx); err != nil {
		return err
	}
	if err := n.announcer.Serving(n.state, n.status()); err != nil {
		return err
	}
	chores, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { n.housekeeping(chores) })
	wg.Go(func() { n.reload.follow(chores) })
	err := n.serveAll(ctx)
	stop()
	wg.Wait()
	last, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	err = errors.Join(err, n.Sessions.Flush(last), n.gate.Flush(last))
	if left := n.cluster.Leave(last); left != nil {
		n.logger.Warn("other nodes show this node until its record expires", "err", left)
	}
	return err
}

// Close releases all that Open and Listen have opened.
func (n *Node) Close() error {
	n.cancel()
	n.feed.Wait()
	var errs []error
	if n.server != nil {
		errs = append(errs, n.server.Close())
	}
	for _, f := range n.fronts {
		errs = append(errs, f.close())
	}
	if n.control != nil {
		errs = append(errs, n.control.Close())
	}
	if n.Store != nil {
		errs = append(errs, n.Store.Close())
	}
	if n.sources != nil {
		n.sources.Close()
	}
	if n.tickets != nil {
		errs = append(errs, n.tickets.Close())
	}
	if n.data != nil {
		errs = append(errs, n.data.Close())
	}
	return errors.Join(errs...)
}

// ready returns an error while the server can't serve.
func (n *Node) ready() error {
	switch {
	case !n.Mirror.Whole():
		return errors.New("the store is not followed")
	case n.cluster.Clock() != nil:
		return errors.New("this node's clock disagrees with the clocks of the other nodes")
	case n.fresh != nil && n.fresh() != nil:
		return errors.New("this node has not heard from the cluster for too long")
	case n.Access.Damaged() != nil:
		return errors.New("the record of roles and permissions is damaged")
	case n.Accounts.Damaged() != nil:
		return errors.New("records of users are damaged")
	case n.Extensions.Damaged() != nil:
		return errors.New("records of extensions are damaged")
	case n.Settings.Damaged() != nil:
		return errors.New("the record of options is damaged: the strictest values that are known are in force")
	}
	return nil
}

// requests returns the number of requests since the start.
func (n *Node) requests() uint64 {
	if s := n.serving.Load(); s != nil {
		return s.Requests()
	}
	return 0
}
