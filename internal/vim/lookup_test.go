package vim_test

import (
	"testing"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/vim"
	"github.com/vigate/vigate/internal/vim/vimtest"
)

// A binding looks up a call's object before it refuses the call. The lookup must not spend a ticket, nor
// reveal an object that Do does not reveal.
func TestALookUpTellsWhatDoWouldAndTakesNoTicket(t *testing.T) {
	const sessions = "SessionManager"
	f := newFixture(t)
	spec := &types.SessionManagerHttpServiceRequestSpec{Method: "httpGet", Url: "https://vigate.test/x"}
	ticket := vimtest.Get[types.SessionManagerGenericServiceTicket](f.As(f.Ann, sessions, "AcquireGenericServiceTicket",
		&types.AcquireGenericServiceTicketRequestType{Spec: spec}))
	own, err := f.NewInstance(f.Session(f.Ann), "SessionManager", &struct{}{}, 0)
	f.Must(err)
	gone := own
	gone.Value += "0"
	other := types.ManagedObjectReference{Type: "SessionManager", Value: "other"}
	call := func(token, ticket string, on types.ManagedObjectReference) *vim.Call {
		return &vim.Call{
			Object: on, Name: "currentSession", Read: true, Token: secret.New(token), Peer: &f.Peer,
			HTTP: vim.HTTPRequest{Method: "GET", Target: "/x", Ticket: secret.New(ticket)},
		}
	}
	for _, c := range []struct {
		what, token string
		on          types.ManagedObjectReference
	}{
		{"its own", f.Ann, own}, {"another's", f.Admin, own}, {"nobody's", f.Ann, gone}, {"the API's", "",
			f.Ref(sessions)},
		{"no object", "", other}, {"no object, with a session", f.Ann, other},
	} {
		fault := f.Lookup(t.Context(), call(c.token, "", c.on))
		_, want := f.Do(t.Context(), call(c.token, "", c.on))
		if (fault == nil) != (want == nil) || fault != nil && fault.Kind() != want.Kind() {
			t.Errorf("%s: %v, and Do says %v", c.what, fault, want)
		}
	}
	for _, on := range []types.ManagedObjectReference{own, gone} {
		if fault := f.Lookup(t.Context(), call("", "", on)); fault == nil || fault.Kind() != "NotAuthenticated" {
			t.Errorf("without a session: %v", fault)
		}
		if fault := f.Lookup(t.Context(), call("", ticket.Id, on)); fault != nil {
			t.Errorf("with a ticket: %v", fault)
		}
	}
	if r, fault := f.Do(t.Context(), call("", ticket.Id, f.Ref(sessions))); fault != nil || r.Value == nil {
		t.Errorf("the ticket was taken: %v", fault)
	}
	if fault := f.Lookup(t.Context(), call("", "", types.ManagedObjectReference{Type: "Nothing"})); fault != nil {
		t.Errorf("a type that is not served: %v", fault)
	}
}
