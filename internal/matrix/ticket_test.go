package matrix

import (
	"testing"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/vim"
)

// TestATicketGivesNoMoreThanItsSessionHasNow acquires tickets for requests, takes the session's
// authority, and then calls each row with a ticket. If an administrator's session later
// impersonates another user, its older tickets grant nothing.
func TestATicketGivesNoMoreThanItsSessionHasNow(t *testing.T) {
	for _, c := range []struct {
		name, want string
		acts       bool
		then       func(w *world, c *caller)
	}{
		{"NoAccess", "NoPermission", false, func(w *world, c *caller) { w.permit(c.user, access.NoAccess) }},
		{"no role at all", "NoPermission", false, func(w *world, c *caller) { w.forbid(c.user) }},
		{"an ended session", "NotAuthenticated", false, func(w *world, c *caller) { w.terminate(w.key(c.token)) }},
		{"another identity", "NotAuthenticated", false, func(w *world, c *caller) {
			w.newUser("boss", access.Admin)
			w.impersonate(c.token, "boss")
		}},
		{"no right to impersonate", "NoPermission", true, func(w *world, c *caller) {
			w.permit(c.user, access.ReadOnly)
		}},
	} {
		w := newWorld(t)
		holder := w.watcher(c.acts)
		holder.name = "a ticket whose session has " + c.name
		var rows []row
		var tickets []string
		for _, r := range rowsOf(w.API) {
			if r.needsSession() && own[r.String()] == "" && r.object.ID != "" {
				rows = append(rows, r)
				tickets = append(tickets, w.ticket(holder))
			}
		}
		kept := w.ticket(holder)
		if got := w.byTicket(kept, w.ref("SessionManager"), "sessionList", nil); got.fault != nil {
			t.Fatalf("a ticket of %s: %s", c.name, got)
		}
		c.then(w, holder)
		for i, r := range rows {
			got := w.byTicket(tickets[i], r.object.Ref(), r.name, r.empty())
			if n := got.noPermission(); n == nil || got.fault.Kind() != c.want || n.PrivilegeId != r.privilege {
				t.Errorf("%s with %s: got %s, want %s for lack of %s", r, holder, got, c.want, r.privilege)
			}
		}
	}
}

// ticket returns a ticket for one request to SOAP's path.
func (w *world) ticket(c *caller) string {
	w.t.Helper()
	args := &types.AcquireGenericServiceTicketRequestType{
		Spec: &types.SessionManagerHttpServiceRequestSpec{Url: "/sdk"},
	}
	got := w.mustAs(c.token, w.ref("SessionManager"), "AcquireGenericServiceTicket", args)
	return got.(types.SessionManagerGenericServiceTicket).Id
}

func (w *world) byTicket(ticket string, on reference, name string, args any) outcome {
	w.t.Helper()
	result, fault := w.API.Do(w.t.Context(), &vim.Call{
		Object: on, Name: name, Args: args, Read: args == nil, Peer: &w.Peer, Release: vim.FirstRelease,
		Binding: "matrix", HTTP: vim.HTTPRequest{Method: "POST", Target: "/sdk", Ticket: secret.New(ticket)},
	})
	return outcome{result.Value, fault}
}

// TestATicketDoesNotGiveTheAuthorityThatItsSessionTakesOnInTheMidst calls each row with a ticket whose
// session begins to impersonate an administrator on another goroutine: as soon as the ticket is spent,
// or when the call's commit arrives at the store. The call must not run with the new identity.
func TestATicketDoesNotGiveTheAuthorityThatItsSessionTakesOnInTheMidst(t *testing.T) {
	w := newWorld(t)
	w.newUser("boss", access.Admin)
	role := w.role(string(access.ImpersonateUser), string(access.SystemRead), string(access.GlobalLogEvent))
	w.newUser("actor", role)
	actor := func() *caller { return &caller{token: w.login("actor")} }
	meanwhile := func(c *caller) func() {
		return func() {
			done := make(chan struct{})
			go func() { defer close(done); w.impersonate(c.token, "boss") }()
			<-done
		}
	}
	for _, r := range rowsOf(w.API) {
		if !r.needsSession() && r.name != "currentSession" || r.object.ID == "" {
			continue
		}
		holder := actor()
		ticket := w.ticket(holder)
		before := w.newest()
		w.store.afterTicket(meanwhile(holder))
		got := w.byTicket(ticket, r.object.Ref(), r.name, r.empty())
		if got.fault == nil || got.fault.Kind() != "NotAuthenticated" {
			t.Errorf("%s: got %s, want NotAuthenticated", r, got)
		}
		if w.newest() > before+2 {
			t.Errorf("%s has changed something besides the ticket and the session", r)
		}
	}

	// The call is allowed, and the identity changes before its commit.
	holder := actor()
	ticket := w.ticket(holder)
	w.store.count(2, func() { w.beside().impersonate(holder.token, "boss") })
	event := &types.LogUserEventRequestType{Entity: vim.RootFolder(), Msg: "in the midst"}
	got := w.byTicket(ticket, w.ref("EventManager"), "LogUserEvent", event)
	if got.fault == nil || got.fault.Kind() != "NotAuthenticated" {
		t.Errorf("before its commit: got %s, want NotAuthenticated", got)
	}
	if e, ok := w.Events.Latest(); !ok || e.ID != "vigate.session.impersonated" {
		t.Errorf("the latest event is %+v", e)
	}
}

func (w *world) newest() store.Revision { return w.store.newest(w.t) }
