package matrix

import (
	"testing"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/secret"
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
