package clients

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/vmware/govmomi"
	"github.com/vmware/govmomi/event"
	"github.com/vmware/govmomi/fault"
	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/session"
	"github.com/vmware/govmomi/session/cache"
	"github.com/vmware/govmomi/session/keepalive"
	"github.com/vmware/govmomi/vapi/rest"
	"github.com/vmware/govmomi/view"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// client returns a govmomi client without a session.
func (s *server) client(t *testing.T, json bool) *vim25.Client {
	t.Helper()
	sc := soap.NewClient(&url.URL{Scheme: "https", Host: s.tls, Path: "/sdk"}, true)
	sc.UseJSON(json)
	c, err := vim25.NewClient(t.Context(), sc)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// login returns a govmomi client with a session of the administrator.
func (s *server) login(t *testing.T, json bool) (*vim25.Client, *session.Manager) {
	t.Helper()
	c := s.client(t, json)
	m := session.NewManager(c)
	if err := m.Login(t.Context(), url.UserPassword(adminUser, adminPassword)); err != nil {
		t.Fatal(err)
	}
	return c, m
}

// Perl's SDK posts to /sdk/webService. Clients whose base address ends in a slash post to //sdk.
func TestGovmomiLogsInAtEveryPathThatClientsPostTo(t *testing.T) {
	s := newServer(t)
	for _, path := range []string{"/sdk", "//sdk", "/sdk/", "/sdk/webService", "//sdk/webService", "/sdk/vimService",
		"/sdk/vimService.wsdl"} {
		sc := soap.NewClient(&url.URL{Scheme: "https", Host: s.tls, Path: path}, true)
		sc.CheckRedirect = func(r *http.Request, _ []*http.Request) error { return fmt.Errorf("redirect to %s", r.URL) }
		c, err := vim25.NewClient(t.Context(), sc)
		if err == nil {
			err = session.NewManager(c).Login(t.Context(), url.UserPassword(adminUser, adminPassword))
		}
		if err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func both(t *testing.T, f func(t *testing.T, s *server, json bool)) { everyBinding(t, f) }

func TestGovmomisSessionManagerWorksOverBothBindings(t *testing.T) {
	both(t, func(t *testing.T, s *server, json bool) {
		ctx := t.Context()
		c, m := s.login(t, json)
		us, err := m.UserSession(ctx)
		if err != nil || us == nil || us.UserName != admin {
			t.Fatalf("UserSession: %+v %v", us, err)
		}
		if ok, err := m.SessionIsActive(ctx); err != nil || !ok {
			t.Errorf("SessionIsActive: %v %v", ok, err)
		}
		ticket, err := m.AcquireGenericServiceTicket(ctx,
			&types.SessionManagerHttpServiceRequestSpec{Method: "httpGet", Url: "https://x/y"})
		if err != nil || ticket.Id == "" {
			t.Errorf("AcquireGenericServiceTicket: %v", err)
		}
		if _, err := m.AcquireLocalTicket(ctx, "root"); err == nil {
			t.Error("AcquireLocalTicket from afar succeeds")
		}
		if err := m.UpdateServiceMessage(ctx, "hello"); err != nil {
			t.Error(err)
		}
		var sm mo.SessionManager
		if err := property.DefaultCollector(c).RetrieveOne(ctx, *c.ServiceContent.SessionManager, nil,
			&sm); err != nil {
			t.Fatal(err)
		}
		if sm.Message == nil || *sm.Message != "hello" || len(sm.SessionList) == 0 || sm.DefaultLocale != "en" {
			t.Errorf("all of SessionManager: %+v", sm)
		}
		if err := m.UpdateServiceMessage(ctx, ""); err != nil {
			t.Error(err)
		}
		if err := m.Logout(ctx); err != nil {
			t.Fatal(err)
		}
		if us, err := m.UserSession(ctx); err != nil || us != nil {
			t.Errorf("after logout: %+v %v", us, err)
		}
		err = m.Login(ctx, url.UserPassword(adminUser, "wrong"))
		var wrong *types.InvalidLogin
		if _, ok := fault.As(err, &wrong); !ok {
			t.Errorf("bad password: %v", err)
		}
	})
}

func TestGovmomiWaitsForUpdatesOverBothBindings(t *testing.T) {
	both(t, func(t *testing.T, s *server, json bool) {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		c, _ := s.login(t, json)
		_, writer := s.login(t, json)
		seen := 0
		text := "change over SOAP"
		if json {
			text = "change over VI JSON"
		}
		err := property.Wait(ctx, property.DefaultCollector(c), *c.ServiceContent.SessionManager, []string{"message"},
			func(all []types.PropertyChange) bool {
				seen++
				if seen == 1 {
					if err := writer.UpdateServiceMessage(ctx, text); err != nil {
						t.Error(err)
					}
				}
				for _, p := range all {
					if p.Name == "message" && p.Val == text {
						return true
					}
				}
				return false
			})
		if err != nil || seen != 2 {
			t.Errorf("%d updates, %v", seen, err)
		}
	})
}

func TestGovmomisViewsEventsAndFolder(t *testing.T) {
	both(t, func(t *testing.T, s *server, json bool) {
		ctx := t.Context()
		c, _ := s.login(t, json)
		v, err := view.NewManager(c).CreateContainerView(ctx, c.ServiceContent.RootFolder,
			[]string{"VirtualMachine"}, true)
		if err != nil {
			t.Fatal(err)
		}
		var vms []mo.VirtualMachine
		if err := v.Retrieve(ctx, []string{"VirtualMachine"}, []string{"name"}, &vms); err != nil || len(vms) != 0 {
			t.Errorf("machines: %v %v", vms, err)
		}
		if err := v.Destroy(ctx); err != nil {
			t.Error(err)
		}
		list, err := event.NewManager(c).QueryEvents(ctx,
			types.EventFilterSpec{Type: []string{"UserLoginSessionEvent"}})
		if err != nil || len(list) == 0 || !strings.Contains(list[0].GetEvent().FullFormattedMessage, "logged in as") {
			t.Errorf("events: %v %v", list, err)
		}
		var folder mo.Folder
		if err := property.DefaultCollector(c).RetrieveOne(ctx, c.ServiceContent.RootFolder,
			[]string{"name", "childEntity"}, &folder); err != nil || folder.Name != "Datacenters" {
			t.Errorf("folder %+v %v", folder, err)
		}
	})
}

func TestGovmomisKeepAliveLogsInAgain(t *testing.T) {
	s := newServer(t)
	ctx := t.Context()
	vc := s.client(t, false)
	m := session.NewManager(vc)
	again := make(chan error, 10)
	vc.RoundTripper = keepalive.NewHandlerSOAP(vc.RoundTripper, 50*time.Millisecond, func() error {
		_, err := methods.GetCurrentTime(ctx, soapOf(vc))
		if err != nil {
			err = m.Login(ctx, url.UserPassword(adminUser, adminPassword))
			again <- err
		}
		return err
	})
	if err := m.Login(ctx, url.UserPassword(adminUser, adminPassword)); err != nil {
		t.Fatal(err)
	}
	us, err := m.UserSession(ctx)
	if err != nil {
		t.Fatal(err)
	}
	_, other := s.login(t, false)
	if err := other.TerminateSession(ctx, []string{us.Key}); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-again:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(patience):
		t.Fatal("the handler noticed nothing")
	}
	if err := m.Logout(ctx); err != nil {
		t.Error(err)
	}
}

// The provider of the Kubernetes Cluster API logs in like this: its client of the Automation API
// shares the cookies of another client that has a session.
func TestGovmomisRESTClientLogsInBesideALiveSession(t *testing.T) {
	both(t, func(t *testing.T, s *server, json bool) {
		ctx := t.Context()
		user := url.UserPassword(adminUser, adminPassword)
		c := &govmomi.Client{Client: s.client(t, json)}
		c.SessionManager = session.NewManager(c.Client)
		if err := c.Login(ctx, user); err != nil {
			t.Fatal(err)
		}
		own, err := c.SessionManager.UserSession(ctx)
		if err != nil || own == nil {
			t.Fatalf("%+v %v", own, err)
		}
		rc := rest.NewClient(c.Client)
		for range 2 { // the second login sends the id of the first session
			if err := rc.Login(ctx, user); err != nil {
				t.Fatalf("login beside a live session: %v", err)
			}
		}
		if rs, err := rc.Session(ctx); err != nil || rs == nil || rs.User != adminName {
			t.Errorf("session of the Automation API: %+v %v", rs, err)
		}
		if err := rc.Logout(ctx); err != nil {
			t.Error(err)
		}
		if left, err := c.SessionManager.UserSession(ctx); err != nil || left == nil || left.Key != own.Key {
			t.Errorf("after the logout of the other client: %+v %v", left, err)
		}
		// Without its id, the client only has the other client's cookie, which names no session
		// here.
		rc.SessionID("")
		if rs, err := rc.Session(ctx); err != nil || rs != nil {
			t.Errorf("by the other's cookie: %+v %v", rs, err)
		}
		if err := rc.Logout(ctx); err == nil {
			t.Error("a logout by the other's cookie succeeds")
		}
		if left, err := c.SessionManager.UserSession(ctx); err != nil || left == nil || left.Key != own.Key {
			t.Errorf("after a logout by its cookie: %+v %v", left, err)
		}
	})
}

// soapOf returns the client without its handlers, so that the handler's own call does not trigger
// the handler.
func soapOf(c *vim25.Client) soap.RoundTripper { return c.Client }

func TestGovmomisCacheReusesASession(t *testing.T) {
	s := newServer(t)
	ctx := t.Context()
	t.Setenv("GOVMOMI_HOME", t.TempDir())
	u := &url.URL{Scheme: "https", Host: s.tls, Path: "/sdk", User: url.UserPassword(adminUser, adminPassword)}
	var keys []string
	for range 2 {
		cs := &cache.Session{URL: u, Insecure: true}
		c := new(vim25.Client)
		if err := cs.Login(ctx, c, nil); err != nil {
			t.Fatal(err)
		}
		us, err := session.NewManager(c).UserSession(ctx)
		if err != nil || us == nil {
			t.Fatalf("%+v %v", us, err)
		}
		keys = append(keys, us.Key)
		rc := new(rest.Client)
		if err := cs.Login(ctx, rc, nil); err != nil {
			t.Fatalf("REST: %v", err)
		}
	}
	if keys[0] != keys[1] {
		t.Errorf("keys %v", keys)
	}
}

func TestOneTokenServesAllThreeBindings(t *testing.T) {
	s := newServer(t)
	ctx := t.Context()
	c, err := govmomi.NewClient(ctx, &url.URL{Scheme: "https", Host: s.tls, Path: "/sdk",
		User: url.UserPassword(adminUser, adminPassword)}, true)
	if err != nil {
		t.Fatal(err)
	}
	us, err := c.SessionManager.UserSession(ctx)
	if err != nil {
		t.Fatal(err)
	}
	token := strings.Trim(c.SessionCookie().Value, `"`)
	rc := rest.NewClient(s.client(t, false))
	rc.SessionID(token)
	if rs, err := rc.Session(ctx); err != nil || rs == nil || rs.User != adminName {
		t.Errorf("over the Automation API: %+v %v", rs, err)
	}
	jc := s.client(t, true)
	jc.Cookie = func() *soap.HeaderElement { return &soap.HeaderElement{Value: token} }
	got, err := session.NewManager(jc).UserSession(ctx)
	if err != nil || got == nil || got.Key != us.Key {
		t.Errorf("over VI JSON: %+v %v", got, err)
	}
	if err := rc.Logout(ctx); err != nil {
		t.Fatal(err)
	}
	if left, err := c.SessionManager.UserSession(ctx); err != nil || left != nil {
		t.Errorf("over SOAP after the Automation API's logout: %+v %v", left, err)
	}
}
