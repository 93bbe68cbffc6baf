package vigatetest

import (
	"context"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/config"
	"github.com/vigate/vigate/internal/lab"
	"github.com/vigate/vigate/internal/secret"
)

// Server is a running server. Its methods may be called by several goroutines, but Restart and Close must not
// run beside other calls.
//
// The methods without an error as result fail only if the machine does, for example if it has no free port.
// The test then ends. If the server was started by Start, they panic.
type Server struct {
	lab   *lab.Server
	clock *clock
	http  *http.Client
	fail  func(error)
}

// New starts a server that runs until the test and its subtests have ended. If it can't be started, the test
// ends.
func New(t testing.TB, option ...Option) *Server {
	t.Helper()
	s, err := Start(option...)
	if err != nil {
		t.Fatalf("start vigate: %v", err)
	}
	s.fail = func(err error) {
		t.Helper()
		t.Fatalf("vigate: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("end vigate: %v", err)
		}
	})
	return s
}

// Start starts a server without a test. The caller must close it. The error says which option can't be used.
func Start(option ...Option) (*Server, error) {
	clock := &clock{began: time.Now()}
	o := options{lab: lab.Options{AdminPassword: secret.New(administratorPassword), Now: clock.Now}}
	for _, set := range option {
		set(&o)
	}
	o.lab.Configure = func(c *config.Config) {
		for _, change := range o.configure {
			change(c)
		}
	}
	if o.inventory != nil {
		model, err := o.inventory.model()
		if err != nil {
			return nil, err
		}
		o.lab.Inventory, clock.runs = &model, true
	}
	l, err := lab.Start(context.Background(), o.lab)
	if err != nil {
		return nil, err
	}
	s := &Server{lab: l, clock: clock, fail: func(err error) { panic(fmt.Sprintf("vigate: %v", err)) }}
	s.http = &http.Client{Transport: &http.Transport{TLSClientConfig: s.tls(), ForceAttemptHTTP2: true}}
	return s, nil
}

// Close ends the server and removes its data. A server of New is closed by its test.
func (s *Server) Close() error {
	s.http.CloseIdleConnections()
	return s.lab.Close()
}

// URL returns https://127.0.0.1:PORT/sdk, which govmomi, govc, pyVmomi and package client take. It holds no
// user. With an inventory, it is the URL of the vCenter or ESXi host.
func (s *Server) URL() *url.URL {
	at := s.lab.Front()
	if at == nil {
		at = s.lab.Addr()
	}
	return &url.URL{Scheme: "https", Host: at.String(), Path: "/sdk"}
}

// Certificate returns the server's certificate.
func (s *Server) Certificate() *x509.Certificate { return s.lab.Certificate() }

// CertPool returns a pool that holds the server's certificate.
func (s *Server) CertPool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	return pool
}

// Thumbprint returns the SHA-256 of the server's certificate in the form AA:BB:…
func (s *Server) Thumbprint() string { return s.lab.Thumbprint() }

// HTTPClient returns a client that trusts the server's certificate. It is closed with the server.
func (s *Server) HTTPClient() *http.Client { return s.http }

// Now returns the time of the server's clock.
func (s *Server) Now() time.Time { return s.clock.Now() }

// Advance moves the server's clock forward, and ends the sessions that have expired then.
func (s *Server) Advance(d time.Duration) {
	s.clock.advance(d)
	s.check(s.lab.Sweep(context.Background()))
}

// EndAll ends all sessions, as an administrator does by TerminateSession. The next call of each fails with
// NotAuthenticated.
func (s *Server) EndAll() { s.check(s.lab.EndAll(context.Background())) }

// Restart ends the server as an operator does, and starts it again with the same data at the same address.
// Sessions, tickets, users and roles stay. Connections and calls that wait end. What the server keeps only in
// memory is gone: the filters of property collectors, and the counts of failed logins.
func (s *Server) Restart() { s.check(s.lab.Restart(context.Background())) }

// Limit sets the maximum number of live sessions of all users. Sessions that are there stay, and further logins
// are refused while there are n or more. If n is 0, the limit is that of WithMaxSessions again.
func (s *Server) Limit(n int) { s.lab.Limit(n) }

// SetRole gives the user with the name a role, in place of the one that it had. If the role is empty, the user
// has none. The change is in force for the sessions that the user has.
func (s *Server) SetRole(user string, role Role) {
	s.check(s.lab.Grant(context.Background(), user, string(role)))
}

// Delay makes each request that arrives from now on wait for the time d before it is served. If d is 0,
// requests are served at once again.
func (s *Server) Delay(d time.Duration) { s.lab.Brake.Delay(d) }

// Hold makes the requests that arrive from now on wait until release is called. So a test can let a client
// run into its own time limit without depending on the speed of the machine.
func (s *Server) Hold() (release func()) {
	s.lab.Brake.Hold()
	return s.lab.Brake.Release
}

// Sessions returns the live sessions, in any order. A test can see by them what a client left behind.
func (s *Server) Sessions() []types.UserSession {
	var all []types.UserSession
	for _, l := range s.lab.Sessions() {
		all = append(all, types.UserSession{
			Key: l.Key.String(), UserName: l.Name, FullName: l.FullName, LoginTime: l.LoginTime,
			LastActiveTime: l.LastActiveTime, Locale: l.Locale, MessageLocale: l.MessageLocale,
			ExtensionSession: l.Extension, IpAddress: l.Address, UserAgent: l.UserAgent,
			CallCount: l.CallCount,
		})
	}
	return all
}

func (s *Server) check(err error) {
	if err != nil {
		s.fail(err)
	}
}
