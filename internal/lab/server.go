// Package lab runs a whole vigate server inside another program: in the tests of other projects, which use it
// through package vigatetest, and in the command vigate-lab. The server is assembled by package serve like any
// other. Its data is in memory.
//
// [Start] opens a [Server] with users and roles. [Server.Restart] ends the server and starts it again with the
// same data at the same address.
package lab

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/vigate/vigate/internal/account"
	"github.com/vigate/vigate/internal/config"
	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/serve"
	"github.com/vigate/vigate/internal/session"
	"github.com/vigate/vigate/internal/store/storetest"
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
}

// Server is a running server. Its methods are safe for concurrent use, except Restart and Close, which must
// not run beside any other.
type Server struct {
	Brake *Brake // delays the requests

	cfg   config.Config
	serve serve.Options
	admin secret.Text
	limit atomic.Int64 // of live sessions; 0: that of the settings

	node  *serve.Node
	stop  context.CancelFunc
	ended chan error
}

// drain is how long a server waits at its end for the requests in flight.
const drain = 2 * time.Second

// Start starts a server.
func Start(ctx context.Context, o Options) (*Server, error) {
	dir, err := os.MkdirTemp("", "vigate-lab-")
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
		Logger: cmp.Or(o.Logger, slog.New(slog.DiscardHandler)), Now: o.Now, Guest: true,
		// Nobody guesses these passwords, and the machine may be slow.
		PasswordGrid: -1, Patience: time.Minute, Cost: account.Cost{Memory: 8, Time: 1, Lanes: 1},
		OpenStore: func(context.Context, config.Config, serve.StoreOptions) (serve.OpenedStore, error) {
			return serve.OpenedStore{Store: records()}, nil
		},
		Policy: s.policy, Around: s.Brake.Wrap,
	}
	found := func(ctx context.Context, n *serve.Node) error { return found(ctx, n, o.Roles, o.Users) }
	if err := s.open(ctx, found); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return s, nil
}

// open opens the server and runs it. found, if not nil, is called before it listens.
func (s *Server) open(ctx context.Context, found func(context.Context, *serve.Node) error) error {
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
		err = listen(ctx, n, s.cfg)
	}
	if err != nil {
		return errors.Join(err, n.Close())
	}
	s.keepAddresses(n)
	run, stop := context.WithCancel(context.Background())
	s.node, s.stop, s.ended = n, stop, make(chan error, 1)
	go func(ended chan<- error) { ended <- n.Run(run) }(s.ended)
	return nil
}

// keepAddresses makes the next start use the ports that this one was given.
func (s *Server) keepAddresses(n *serve.Node) {
	for name, addr := range map[string]*string{"tls": &s.cfg.Listen, "plain": &s.cfg.PlainHTTP} {
		if a := n.Addr(name); a != nil {
			*addr = a.String()
		}
	}
}

// A port that the server had before may be in use for a moment, as the local port of another program's
// connection.
const (
	portWait = 30 * time.Second
	portTry  = 20 * time.Millisecond
)

// listen opens the listeners. It waits for ports that are in use.
func listen(ctx context.Context, n *serve.Node, cfg config.Config) error {
	ctx, cancel := context.WithTimeout(ctx, portWait)
	defer cancel()
	tick := time.NewTicker(portTry)
	defer tick.Stop()
	for {
		err := n.Listen(ctx, cfg)
		if !errors.Is(err, syscall.EADDRINUSE) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-tick.C:
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
	return errors.Join(s.shut(), os.RemoveAll(filepath.Dir(s.cfg.Data)))
}

// Addr returns the address of the TLS listener.
func (s *Server) Addr() net.Addr { return s.node.Addr("tls") }

// Certificate returns the certificate of the TLS listener. It stays the same in a restart.
func (s *Server) Certificate() *x509.Certificate { return s.node.Leaf() }

// Sessions returns the live sessions.
func (s *Server) Sessions() []session.Summary {
	var all []session.Summary
	for l := range s.node.Sessions.All() {
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
