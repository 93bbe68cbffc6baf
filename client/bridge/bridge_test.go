package bridge_test

import (
	"context"
	"net/http"
	"net/url"
	"testing"

	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/session"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/mo"

	"github.com/vigate/vigate/client"
	"github.com/vigate/vigate/client/bridge"
	"github.com/vigate/vigate/vigatetest"
)

// keyOf returns the key of the session that govmomi's client has, or "" if it has none.
func keyOf(t *testing.T, vc *vim25.Client) string {
	t.Helper()
	s, err := session.NewManager(vc).UserSession(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if s == nil {
		return ""
	}
	return s.Key
}

// ownKeyOf returns the key of the session that the client has, or "" if it has none.
func ownKeyOf(t *testing.T, c *client.Client) string {
	t.Helper()
	s, err := c.CurrentSession(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if s == nil {
		return ""
	}
	return s.Key
}

func vim25Of(t *testing.T, c *client.Client) *vim25.Client {
	t.Helper()
	vc, err := bridge.Vim25(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(vc.CloseIdleConnections)
	return vc
}

func TestGovmomisClientHasTheSessionOfTheClient(t *testing.T) {
	t.Parallel()
	server := vigatetest.New(t)
	c := server.Client(t, vigatetest.Administrator())
	vc := vim25Of(t, c)
	if key := keyOf(t, vc); key == "" || key != ownKeyOf(t, c) || len(server.Sessions()) != 1 {
		t.Errorf("session %q, %q of the client; %d in all", key, ownKeyOf(t, c), len(server.Sessions()))
	}
	var root mo.Folder
	err := property.DefaultCollector(vc).RetrieveOne(t.Context(), vc.ServiceContent.RootFolder, []string{"name"}, &root)
	if err != nil || root.Name == "" {
		t.Errorf("the root folder: %q, %v", root.Name, err)
	}
	// No other server gets the session, and nobody who reads what is sent without TLS.
	own, err := url.Parse(c.URL())
	if err != nil || own.Scheme != "https" {
		t.Fatalf("the server is at %s: %v", own, err)
	}
	for _, u := range []url.URL{
		{Scheme: "https", Host: "another.example", Path: "/sdk"}, {Scheme: "http", Host: own.Host, Path: "/sdk"},
	} {
		if cookies := vc.Jar.Cookies(&u); len(cookies) > 0 {
			t.Errorf("%d cookies for %s", len(cookies), &u)
		}
		vc.Jar.SetCookies(&u, []*http.Cookie{{Name: "vmware_soap_session", Value: "another"}})
		if key := keyOf(t, vc); key == "" {
			t.Fatalf("%s has set the session", &u)
		}
	}
	// A logout through either ends it for both.
	if err := session.NewManager(vc).Logout(t.Context()); err != nil {
		t.Fatal(err)
	}
	if key := ownKeyOf(t, c); key != "" || len(server.Sessions()) != 0 {
		t.Errorf("after the logout: session %q, %d in all", key, len(server.Sessions()))
	}
}

func TestBothGoOnWithTheNextSession(t *testing.T) {
	t.Parallel()
	server := vigatetest.New(t)
	admin := vigatetest.Administrator()
	c, err := client.New(t.Context(), client.Config{
		URL: server.URL().String(), TLS: client.TLS{Pool: server.CertPool()},
		Login: func(ctx context.Context, c *client.Client) error {
			_, err := c.Login(ctx, admin.Name, admin.Password, "")
			return err
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	vc := vim25Of(t, c)
	if key := keyOf(t, vc); key != "" {
		t.Errorf("before a login: session %q", key)
	}
	// The client logs in by itself, and once more when its session has ended.
	for range 2 {
		if _, err := c.SessionList(t.Context()); err != nil {
			t.Fatal(err)
		}
		if key := keyOf(t, vc); key == "" || key != ownKeyOf(t, c) {
			t.Errorf("session %q, %q of the client", key, ownKeyOf(t, c))
		}
		server.EndAll()
	}
	// govmomi logs in.
	if err := session.NewManager(vc).Login(t.Context(), url.UserPassword(admin.Name, admin.Password)); err != nil {
		t.Fatal(err)
	}
	if key := ownKeyOf(t, c); key == "" || key != keyOf(t, vc) || len(server.Sessions()) != 1 {
		t.Errorf("session %q, %q of govmomi; %d in all", key, keyOf(t, vc), len(server.Sessions()))
	}
}

func TestTheClientHasTheSessionOfGovmomisClient(t *testing.T) {
	t.Parallel()
	server := vigatetest.New(t)
	vc := server.Govmomi(t, vigatetest.Administrator())
	c, err := bridge.FromVim25(t.Context(), vc.Client, client.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	if key := ownKeyOf(t, c); key == "" || key != keyOf(t, vc.Client) || len(server.Sessions()) != 1 {
		t.Errorf("session %q, %q of govmomi; %d in all", key, keyOf(t, vc.Client), len(server.Sessions()))
	}
	if err := c.Logout(t.Context()); err != nil {
		t.Fatal(err)
	}
	if key := keyOf(t, vc.Client); key != "" {
		t.Errorf("after the logout: session %q", key)
	}
	for name, refused := range map[string]func() error{
		"a URL": func() error {
			_, err := bridge.FromVim25(t.Context(), vc.Client, client.Config{URL: "https://another.example"})
			return err
		},
		"no connection": func() error {
			_, err := bridge.FromVim25(t.Context(), &vim25.Client{}, client.Config{})
			return err
		},
	} {
		if refused() == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}
