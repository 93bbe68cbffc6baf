package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"github.com/spf13/cobra"

	"github.com/vigate/vigate/internal/config"
	"github.com/vigate/vigate/internal/lab"
	"github.com/vigate/vigate/internal/secret"
)

// settings are the values of the flags.
type settings struct {
	kind      string
	counts    map[string]*int // by the names of lab.Parts
	poweredOn bool

	listen, plain, own string
	password           string
	leak               time.Duration
	idle, lifetime     time.Duration
	most, mostPerUser  int
	verbose            bool
}

// defaultPassword is that of all users while only this machine can reach the lab.
const defaultPassword = "vigate-lab"

func command() *cobra.Command {
	s := settings{counts: map[string]*int{}}
	cmd := &cobra.Command{
		Use:   "vigate-lab",
		Short: "vigate in front of a simulated vCenter or ESXi host",
		Long: `Run vigate in front of govmomi's simulator of a vCenter or an ESXi host.

The inventory is the simulator's; sessions, passwords, limits and tickets are
vigate's. Nothing is kept when the program ends.`,
		Args:          cobra.NoArgs,
		SilenceErrors: true, SilenceUsage: true, DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return s.run(cmd.Context(), cmd)
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&s.kind, "model", string(lab.VCenter), "what is simulated: vcenter or esxi")
	defaults, err := lab.NewModel(lab.VCenter)
	if err != nil {
		panic(err) // VCenter is a kind
	}
	for _, p := range lab.Parts() {
		help := "number of " + p.Help
		if !p.OnESXi {
			help += " (only vcenter)"
		}
		s.counts[p.Name] = f.Int(p.Name, defaults.Counts[p.Name], help)
	}
	f.BoolVar(&s.poweredOn, "power-on", true, "power on the virtual machines")
	f.StringVar(&s.listen, "listen", "127.0.0.1:8989", "address of the vCenter or host, with TLS")
	f.StringVar(&s.plain, "plain-http", "", "another address of it, without TLS; only a loopback address")
	f.StringVar(&s.own, "own-listen", "127.0.0.1:8988", "address of vigate's own API, which has no inventory")
	f.StringVar(&s.password, "password", "", "password of all users (default "+defaultPassword+
		"; a random one if others can reach the lab)")
	f.DurationVar(&s.leak, "leak", 10*time.Second, "how often svc-leak logs in without ever logging out; 0: never")
	f.DurationVar(&s.idle, "idle-timeout", 30*time.Minute, "end a session after this time without a call")
	f.DurationVar(&s.lifetime, "max-lifetime", 24*time.Hour, "end a session after this time even if it is used")
	f.IntVar(&s.most, "max-sessions", 1000, "maximum number of sessions")
	f.IntVar(&s.mostPerUser, "max-sessions-per-user", 100, "maximum number of sessions of one user")
	f.BoolVarP(&s.verbose, "verbose", "v", false, "log every change")
	return cmd
}

// model returns the inventory that the flags describe.
func (s *settings) model(cmd *cobra.Command) (lab.Model, error) {
	m, err := lab.NewModel(lab.Kind(s.kind))
	if err != nil {
		return m, fmt.Errorf("--model: %w", err)
	}
	m.PowerOn = s.poweredOn
	for name, n := range s.counts {
		if cmd.Flags().Changed(name) {
			m.Counts[name] = *n
		}
	}
	return m, nil
}

// passwordOfAll returns the password of all users.
func (s *settings) passwordOfAll() (secret.Text, error) {
	if s.password != "" {
		return secret.New(s.password), nil
	}
	for _, addr := range []string{s.listen, s.own} {
		open, err := reachable(addr)
		if err != nil {
			return secret.Text{}, err
		}
		if open {
			return secret.New(rand.Text()), nil
		}
	}
	return secret.New(defaultPassword), nil
}

// reachable reports whether another machine may be able to reach the address.
func reachable(addr string) (bool, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false, fmt.Errorf("%q is not an address in the form host:port", addr)
	}
	ip, err := netip.ParseAddr(host)
	return host != "localhost" && (err != nil || !ip.Unmap().IsLoopback()), nil
}

func (s *settings) run(ctx context.Context, cmd *cobra.Command) (err error) {
	model, err := s.model(cmd)
	if err != nil {
		return err
	}
	password, err := s.passwordOfAll()
	if err != nil {
		return err
	}
	level := slog.LevelWarn
	if s.verbose {
		level = slog.LevelInfo
	}
	server, err := lab.Start(ctx, lab.Options{
		AdminPassword: password, Users: users(password), Inventory: &model,
		FrontListen: s.listen, FrontPlainHTTP: s.plain,
		Configure: func(c *config.Config) {
			c.Listen, c.IdleTimeout, c.MaxLifetime = s.own, s.idle, s.lifetime
			c.MaxSessions, c.MaxSessionsPerUser = s.most, s.mostPerUser
		},
		Logger: slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: level})),
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	if err := s.announce(cmd.OutOrStdout(), server, password); err != nil {
		return err
	}
	if s.leak > 0 {
		return leak(ctx, server, password, s.leak)
	}
	<-ctx.Done()
	return nil
}

// users returns the users to try besides the administrator.
func users(password secret.Text) []lab.User {
	return []lab.User{
		{Name: lab.Reader, Password: password, FullName: "A reader", Role: "ReadOnly"},
		{Name: lab.Leaker, Password: password, FullName: "A service that forgets to log out", Role: "ReadOnly"},
	}
}
