// Package lab runs a whole vigate server inside another program: in the tests of other projects, through package
// vigatetest, and in the command vigate-lab. The server is assembled by package serve like any other. Its data is in
// memory.
//
// [Start] opens a [Server] with users and roles. [Server.Restart] ends the server and starts it again with the
// same data at the same address.
package lab

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/vigate/vigate/internal/account"
	"github.com/vigate/vigate/internal/config"
	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/identity"
	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/serve"
	"github.com/vigate/vigate/internal/serve/storage"
	"github.com/vigate/vigate/internal/session"
	"github.com/vigate/vigate/internal/store/storetest"
	"github.com/vigate/vigate/internal/upstream/settings"
)

// Options are the parameters of Start. AdminPassword is required.
type Options struct {
	// AdminPassword is the password of the user administrator of the default domain.
	AdminPassword secret.Text
	Roles         []Role
	Users         []User
	// Configure changes the configuration. If nil, it is that of a server on a free port of the loopback
	// address.
	Configure func(*config.Config)
	Now       func() time.Time // clock of the server; nil: time.Now
	Logger    *slog.Logger     // nil: nothing is logged
	// Identity is the section of the configuration with other sources of users. If zero, there is none.
	Identity identity.Config

	// Inventory describes the inventory of the simulator behind the server. If nil, there is no simulator and no
	// front.
	Inventory *Model
	// FrontListen and FrontPlainHTTP are the addresses of the front. If both are empty, the front is at a
	// free port of the loopback address.
	FrontListen, FrontPlainHTTP string
	// Front changes the configuration of the front. If nil, all but the addresses is as above.
	Front func(*settings.Config)
}

// Server is a running server. Its methods are safe for concurrent use, except Restart and Close, which must
// not run beside any other.
type Server struct {
	Brake *Brake // delays the requests

	cfg       config.Config
	inventory *Inventory // nil: none
	serve     serve.Options
	admin     secret.Text
	limit     atomic.Int64 // of live sessions; 0: that of the settings

	node  *serve.Node
	stop  context.CancelFunc
	ended chan error
}

// drain is how long a server waits at its end for the requests in flight.
const drain = 2 * time.Second

// Start starts a server.
func Start(ctx context.Context, o Options) (*Server, error) {
	dir, err := os.MkdirTemp("", "vigate-lab-")
	if err == nil {
		dir, err = filepath.EvalSymlinks(dir) // a data directory is not reached by links
	}
	if err != nil {
		return nil, fmt.Errorf("make data directory: %w", err)
	}
	s := &Server{Brake: &Brake{}, cfg: config.Default(), admin: o.AdminPassword}
	s.cfg.Data, s.cfg.Listen, s.cfg.DrainTimeout = filepath.Join(dir, "data"), "127.0.0.1:0", drain
	if o.Configure != nil {
		o.Configure(&s.cfg)
	}
	records := storetest.NewReopened(o.Now)
	s.serve = serve.Options{
		Logger: cmp.Or(o.Logger, slog.New(slog.DiscardHandler)), Now: o.Now, Guest: true, Identity: o.Identity,
		// Nobody guesses these passwords, and the machine may be slow.
		PasswordGrid: -1, Patience: time.Minute, Cost: account.Cost{Memory: 8, Time: 1, Lanes: 1},
		OpenStore: func(context.Context, config.Config, storage.Options) (storage.Opened, error) {
			return storage.Opened{Store: records()}, nil
		},
		Policy: s.policy, Around: s.Brake.wrap,
	}
	err = s.simulate(dir, o)
	if err == nil {
		err = s.open(ctx, func(ctx context.Context, n *serve.Node) error { return found(ctx, n, o.Roles, o.Users) })
	}
	if err != nil {
		return nil, errors.Join(err, s.remove())
	}
	return s, nil
}

// simulate opens the inventory, if there is one.
func (s *Server) simulate(dir string, o Options) (err error) {
	if o.Inventory == nil {
		return nil
	}
	if s.inventory, err = OpenInventory(*o.Inventory); err != nil {
		return err
	}
	s.serve.Upstreams, err = s.inventory.upstreams(dir, s.cfg.Listen, o)
	return err
}

// A port that the server had before may be in use for a moment, as the local port of another program's
// connection.
const (
	portWait = 30 * time.Second
	portTry  = 20 * time.Millisecond
)

// open opens the server and runs it. It waits for ports that are in use. found, if not nil, is called before
// the server listens, and may be called again if it does not come to that.
func (s *Server) open(ctx context.Context, found func(context.Context, *serve.Node) error) error {
	ctx, cancel := context.WithTimeout(ctx, portWait)
	defer cancel()
	tick := time.NewTicker(portTry)
	defer tick.Stop()
	for {
		err := s.try(ctx, found)
		if !errors.Is(err, syscall.EADDRINUSE) || s.node == nil { // at the first start, somebody else has it
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-tick.C:
		}
	}
}

// try opens the server and runs it.
func (s *Server) try(ctx context.Context, found func(context.Context, *serve.Node) error) error {
	n, err := serve.Open(ctx, s.cfg, s.serve)
	if err != nil {
		return err
	}
	_, err = n.Bootstrap(ctx, s.cfg, serve.Terminal{Out: io.Discard, Err: io.Discard, Getenv: func(name string) string {
		if name == serve.PasswordVariable {
			return s.admin.Reveal()
		}
		return ""
	}, IsTerminal: func(io.Writer) bool { return false }})
	if err == nil && found != nil {
		err = found(ctx, n)
	}
	if err == nil {
		err = n.Listen(ctx, s.cfg)
	}
	if err != nil {
		return errors.Join(err, n.Close())
	}
	s.keepAddresses(n)
	run, stop := context.WithCancel(context.Background())
	s.node, s.stop, s.ended = n, stop, make(chan error, 1)
	go func(ended chan<- error) { ended <- n.Run(run) }(s.ended)
	return s.waitForFront(ctx)
}

// waitForFront waits until the front serves.
func (s *Server) waitForFront(ctx context.Context) error {
	if s.inventory == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, frontWait)
	defer cancel()
	tick := time.NewTicker(frontTry)
	defer tick.Stop()
	for {
		err := s.node.FrontReady(frontName)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(err, s.shut())
		case <-tick.C:
		}
	}
}

// How long the front may take to reach the simulator, and how often it is asked.
const (
	frontWait = 30 * time.Second
	frontTry  = 2 * time.Millisecond
)

// keepAddresses makes the next start use the ports that this one was given.
func (s *Server) keepAddresses(n *serve.Node) {
	for name, addr := range map[string]*string{"tls": &s.cfg.Listen, "plain": &s.cfg.PlainHTTP} {
		if a := n.Addr(name); a != nil {
			*addr = a.String()
		}
	}
	for i := range s.serve.Upstreams {
		u := &s.serve.Upstreams[i]
		for name, addr := range map[string]*string{"tls": &u.Listen, "plain": &u.PlainHTTP} {
			if a := n.FrontAddr(u.Name, name); a != nil {
				*addr = a.String()
			}
		}
	}
}

// shut ends the server and releases all that it holds but its data.
func (s *Server) shut() error {
	s.Brake.Release()
	s.stop()
	return errors.Join(<-s.ended, s.node.Close())
}

// Restart ends the server as an operator does, and starts it again.
func (s *Server) Restart(ctx context.Context) error {
	if err := s.shut(); err != nil {
		return fmt.Errorf("end server: %w", err)
	}
	if err := s.open(ctx, nil); err != nil {
		return fmt.Errorf("start server again: %w", err)
	}
	return nil
}

// Close ends the server and removes its data.
func (s *Server) Close() error {
	return errors.Join(s.shut(), s.remove())
}

// remove removes the server's files, and the inventory.
func (s *Server) remove() error {
	if s.inventory != nil {
		s.inventory.Close()
	}
	return os.RemoveAll(filepath.Dir(s.cfg.Data))
}

// Inventory returns the inventory behind the server, or nil.
func (s *Server) Inventory() *Inventory { return s.inventory }

// Front returns the address of the front's TLS listener, or nil if there is no inventory.
func (s *Server) Front() net.Addr { return s.node.FrontAddr(frontName, "tls") }

// FrontPlainHTTP returns the address of the front's listener without TLS, or nil.
func (s *Server) FrontPlainHTTP() net.Addr { return s.node.FrontAddr(frontName, "plain") }

// Addr returns the address of the TLS listener.
func (s *Server) Addr() net.Addr { return s.node.Addr("tls") }

// Certificate returns the certificate of the TLS listener. It stays the same in a restart.
func (s *Server) Certificate() *x509.Certificate { return s.node.Leaf() }

// Thumbprint returns the SHA-256 of the certificate in the form AA:BB:…
func (s *Server) Thumbprint() string {
	sum := sha256.Sum256(s.Certificate().Raw)
	return strings.ReplaceAll(fmt.Sprintf("% X", sum[:]), " ", ":")
}

// Sessions returns the live sessions, of the server and of its front.
func (s *Server) Sessions() []session.Summary {
	var all []session.Summary
	for l := range s.node.Sessions.AllFronts() {
		if s.node.Sessions.Alive(l) {
			all = append(all, l.Summary())
		}
	}
	return all
}

// EndAll ends all sessions, as an administrator does who terminates them.
func (s *Server) EndAll(ctx context.Context) error {
	_, err := s.node.Sessions.EndAll(ctx, func(*session.Session) bool { return true },
		func(e session.Session) event.Event { return session.Terminated(e, event.By(origin)) })
	return err
}

// Sweep ends the sessions that have expired by now. The server itself does so every second.
func (s *Server) Sweep(ctx context.Context) error {
	_, err := s.node.Sessions.SweepExpired(ctx)
	return err
}

// Limit sets the maximum number of live sessions. Sessions that are there already stay. If n is 0, the
// limit is that of the configuration again.
func (s *Server) Limit(n int) { s.limit.Store(int64(n)) }

func (s *Server) policy(p session.Policy) session.Policy {
	if n := s.limit.Load(); n > 0 {
		p.MaxSessions = int(n)
	}
	return p
}
