package gateway_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	gosession "github.com/vmware/govmomi/session"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// stranger returns the SessionManager of a client of the front that has not logged in.
func (s *scene) stranger() *gosession.Manager {
	s.t.Helper()
	u, err := url.Parse(s.server.URL + "/sdk")
	s.must(err)
	transport := soap.NewClient(u, true)
	transport.Transport = recording{s, transport.DefaultTransport()}
	c, err := vim25.NewClient(s.ctx(), transport)
	s.must(err)
	return gosession.NewManager(c)
}

func TestWhatIsAboutSessionsIsTheFronts(t *testing.T) {
	d := newDouble(t)
	s := stage(t, d, "")
	c := s.login(1)
	s.must(c.read(0)) // there is a session at the upstream
	manager := *c.ServiceContent.SessionManager
	ticket, err := c.SessionManager.AcquireCloneTicket(s.ctx())
	s.must(err)
	twin := s.stranger()
	s.must(twin.CloneSession(s.ctx(), ticket))
	me, err := twin.UserSession(s.ctx())
	if err != nil || me == nil || me.UserName != userName(1) || me.Key == c.key {
		t.Errorf("the clone is %+v, %v", me, err)
	}
	if err := s.stranger().CloneSession(s.ctx(), ticket); !isFault[types.InvalidLogin](err) {
		t.Errorf("a ticket that was used: %v", err)
	}
	_, err = methods.SetLocale(s.ctx(), c, &types.SetLocale{This: manager, Locale: "de"})
	s.must(err)
	// The account may do it at the upstream, but the user may not at the front.
	err = c.SessionManager.TerminateSession(s.ctx(), []string{me.Key})
	if !isFault[types.NoPermission](err) {
		t.Errorf("TerminateSession by a user who may only read: %v", err)
	}
	_, err = methods.SessionIsActive(s.ctx(), c, &types.SessionIsActive{
		This: manager, SessionID: me.Key, UserName: me.UserName,
	})
	if !isFault[types.NoPermission](err) {
		t.Errorf("SessionIsActive by a user who may only read: %v", err)
	}
	s.must(twin.Logout(s.ctx()))
	for _, name := range []string{
		"AcquireCloneTicket", "CloneSession", "SetLocale", "TerminateSession", "SessionIsActive", "Logout",
	} {
		if n := d.count(name); n != 0 {
			t.Errorf("the upstream got %s %d times", name, n)
		}
	}
	s.must(c.read(0))
}

// A method that is newer than vigate may make an object of a session too.
func TestAnObjectThatAMethodBringsUnexpectedlyIsItsClients(t *testing.T) {
	d := newDouble(t)
	s := stage(t, d, "")
	c, other := s.login(1), s.login(2)
	s.must(c.read(0))
	const id = "52d1ae0e-6d0f-41a9-8f3c-3c0a8f6b9d11"
	d.answers("InventViews", `<InventViewsResponse xmlns="urn:vim25"><returnval type="ContainerView">session[`+
		d.secrets()[0]+`]`+id+`</returnval></InventViewsResponse>`)
	status, answer := c.post(envelope(`<InventViews xmlns="urn:vim25"><_this type="Folder">group-d1</_this>` +
		`</InventViews>`))
	_, mine, _ := strings.Cut(answer, `type="ContainerView">`)
	mine, _, _ = strings.Cut(mine, "<")
	if status != http.StatusOK || !strings.HasPrefix(mine, "session["+c.key+"]") || s.owned() != 1 {
		t.Fatalf("%d %s, and %d objects are owned", status, answer, s.owned())
	}
	view := types.ManagedObjectReference{Type: "ContainerView", Value: mine}
	_, err := methods.DestroyView(s.ctx(), other, &types.DestroyView{This: view})
	if !isFault[types.ManagedObjectNotFound](err) || d.count("DestroyView") != 0 {
		t.Errorf("another client: %v, and the upstream was asked %d times", err, d.count("DestroyView"))
	}
	s.must(c.Logout(s.ctx()))
	s.eventually("the object is destroyed", func() bool { return d.count("DestroyView") == 1 && s.owned() == 0 })
	if body := d.last("DestroyView").body; !strings.Contains(body, "session["+d.secrets()[0]+"]"+id) {
		t.Errorf("the upstream was asked to destroy %s", body)
	}
}
