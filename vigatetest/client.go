package vigatetest

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/url"
	"testing"

	"github.com/vmware/govmomi"
	"github.com/vmware/govmomi/session"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/soap"

	"github.com/vigate/vigate/client"
)

func (s *Server) tls() *tls.Config {
	return &tls.Config{RootCAs: s.CertPool(), MinVersion: tls.VersionTLS12}
}

// Govmomi returns a govmomi client that is logged in as the user. It is logged out when the test ends. If the
// login fails, the test ends.
func (s *Server) Govmomi(t testing.TB, user User) *govmomi.Client {
	t.Helper()
	c, err := s.ConnectGovmomi(context.Background(), user)
	if err != nil {
		t.Fatalf("log in as %s: %v", user.Name, err)
	}
	t.Cleanup(func() { _ = c.Logout(context.Background()) }) // the test may have ended the session
	return c
}

// ConnectGovmomi returns a govmomi client that is logged in as the user. The error is that of the client.
func (s *Server) ConnectGovmomi(ctx context.Context, user User) (*govmomi.Client, error) {
	transport := soap.NewClient(s.URL(), false)
	transport.DefaultTransport().TLSClientConfig.RootCAs = s.CertPool()
	api, err := vim25.NewClient(ctx, transport)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", s.URL(), err)
	}
	c := &govmomi.Client{Client: api, SessionManager: session.NewManager(api)}
	if err := c.Login(ctx, url.UserPassword(user.Name, user.Password)); err != nil {
		api.CloseIdleConnections()
		return nil, err
	}
	return c, nil
}

// Client returns a client for VI JSON that is logged in as the user. It is logged out when the test ends. If
// the login fails, the test ends.
func (s *Server) Client(t testing.TB, user User) *client.Client {
	t.Helper()
	c, err := s.Connect(context.Background(), user)
	if err != nil {
		t.Fatalf("log in as %s: %v", user.Name, err)
	}
	t.Cleanup(func() {
		_ = c.Logout(context.Background()) // the test may have ended the session
		c.Close()
	})
	return c
}

// Connect returns a client for VI JSON that is logged in as the user. The error is that of the client.
func (s *Server) Connect(ctx context.Context, user User) (*client.Client, error) {
	c, err := client.New(ctx, client.Config{URL: s.URL().String(), TLS: client.TLS{Pool: s.CertPool()}})
	if err != nil {
		return nil, err
	}
	if _, err := c.Login(ctx, user.Name, user.Password, ""); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}
