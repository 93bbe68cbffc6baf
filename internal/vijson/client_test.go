package vijson_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/binding"
	"github.com/vigate/vigate/internal/peer"
	"github.com/vigate/vigate/internal/vectors"
	"github.com/vigate/vigate/internal/vijson"
)

// serve returns a world of vectors, and a server of its API.
func serve(t *testing.T) (*vectors.World, *httptest.Server) {
	t.Helper()
	w := vectors.NewWorld(t)
	mux := http.NewServeMux()
	vijson.Mount(mux, w.API, binding.NewBodies(0))
	s := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		mux.ServeHTTP(rw, r.WithContext(peer.With(r.Context(), &w.Peer)))
	}))
	t.Cleanup(s.Close)
	return w, s
}

// newClient returns govmomi's client in JSON mode. It has made no call yet.
func newClient(t *testing.T, base string) *vim25.Client {
	t.Helper()
	u, err := url.Parse(base + "/sdk")
	if err != nil {
		t.Fatal(err)
	}
	s := soap.NewClient(u, true)
	s.Namespace, s.Version = "urn:vim25", "9.1.0.0"
	s.UseJSON(true)
	c, err := vim25.NewClient(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestGovmomisClientInItsJSONModeWorks(t *testing.T) {
	_, server := serve(t)
	ctx, first, second := t.Context(), newClient(t, server.URL), newClient(t, server.URL)
	manager := *first.ServiceContent.SessionManager
	login, err := methods.Login(ctx, first, &types.Login{This: manager, UserName: "administrator",
		Password: "password of the administrator", Locale: "en_US"})
	if err != nil {
		t.Fatal(err)
	}
	if login.Returnval.UserName != `VSPHERE.LOCAL\Administrator` {
		t.Errorf("%+v", login.Returnval)
	}
	if _, err := methods.GetCurrentTime(ctx, first); err != nil {
		t.Error(err)
	}
	ticket, err := methods.AcquireCloneTicket(ctx, first, &types.AcquireCloneTicket{This: manager})
	if err != nil {
		t.Fatal(err)
	}
	clone, err := methods.CloneSession(ctx, second, &types.CloneSession{This: manager, CloneTicket: ticket.Returnval})
	if err != nil {
		t.Fatal(err)
	}
	active := func() bool {
		r, err := methods.SessionIsActive(ctx, first,
			&types.SessionIsActive{This: manager, SessionID: clone.Returnval.Key, UserName: "administrator"})
		if err != nil {
			t.Fatal(err)
		}
		return r.Returnval
	}
	if !active() {
		t.Error("the clone is not active")
	}
	if _, err := methods.TerminateSession(ctx, first,
		&types.TerminateSession{This: manager, SessionId: []string{clone.Returnval.Key}}); err != nil {
		t.Fatal(err)
	}
	if active() {
		t.Error("the clone is active after its end")
	}
	_, err = methods.GetCurrentTime(ctx, second)
	if !soap.IsSoapFault(err) {
		t.Fatalf("%v, want a fault", err)
	}
	if f, ok := soap.ToSoapFault(err).VimFault().(types.NotAuthenticated); !ok {
		t.Errorf("fault %T %v", f, err)
	}
	// govmomi sends null for a nil list.
	if _, err := methods.TerminateSession(ctx, first, &types.TerminateSession{This: manager}); err != nil {
		t.Error(err)
	}
	if _, err := methods.Logout(ctx, first, &types.Logout{This: manager}); err != nil {
		t.Error(err)
	}
}
