package matrix

import (
	"testing"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/access"
)

// TestWhoseSessionsAreAboutToEndWritesNothing removes a caller's login method during its call. The
// server that removed it is stopped before it has ended the caller's sessions, so the call comes
// between the two.
func TestWhoseSessionsAreAboutToEndWritesNothing(t *testing.T) {
	for _, k := range kinds {
		for _, l := range k.losses {
			if l.name == losses[0].name || !l.ends {
				continue // both happen in one commit
			}
			for _, r := range rows(t) {
				if r.object.ID == "" || !keeps[r.String()] {
					continue
				}
				t.Run(k.name+" with "+l.name+": "+r.String(), func(t *testing.T) {
					t.Parallel()
					comeBetween(t, r, k.name, k.make, l)
				})
			}
		}
	}
}

// keeps lists rows with which a caller could keep what it is about to lose, or let another keep it.
var keeps = map[string]bool{
	"AuthorizationManager.SetEntityPermissions": true, "ExtensionManager.SetExtensionCertificate": true,
	"HostLocalAccountManager.CreateUser": true, "HostLocalAccountManager.UpdateUser": true,
	"SessionManager.AcquireCloneTicket": true, "SessionManager.ImpersonateUser": true, "SessionManager.SetLocale": true,
}

func comeBetween(t *testing.T, r row, kind string, victimOf func(*world) *victim, l loss) {
	t.Helper()
	w := newWorld(t)
	v := victimOf(w)
	if r = w.find(r); !v.may(r) || r.name == "UpdateUser" && kind == "an extension" {
		return
	}
	args, on := w.request(v.caller, r), v.objectsOf(r)[0]
	switch { // If a session changes its own login method, the session stays alive.
	case r.name == "UpdateUser" && v.user != extensionKey:
		args = &types.UpdateUserRequestType{User: &types.HostAccountSpec{Id: v.user,
			Password: "what the thief now has"}}
	case r.name == "SetExtensionCertificate" && v.user == extensionKey:
		args = &types.SetExtensionCertificateRequestType{ExtensionKey: v.user, CertificatePem: w.pem("the thief's")}
	}
	other, let, done := w.beside(), make(chan struct{}), make(chan struct{})
	var then contents
	w.store.count(1, func() {
		arrived := make(chan struct{})
		other.store.count(2, func() {
			close(arrived)
			<-let
		})
		go func() {
			defer close(done)
			l.make(other, v)
		}()
		<-arrived
		then = w.store.contents(t)
	})
	got := w.call(v.caller, r, on, args)
	if then == nil {
		t.Fatal("the call made no commit")
	}
	written := w.store.contents(t).since(then)
	close(let)
	<-done
	if got.fault == nil || len(written) > 0 {
		t.Errorf("got %s, and the call wrote %q", got, written)
	}
}

// TestNobodyBecomesAnExtensionThatGetsMoreThanItHasInTheMidst grants the target of an impersonation
// more privileges at the moment when the impersonation's commit arrives at the store.
func TestNobodyBecomesAnExtensionThatGetsMoreThanItHasInTheMidst(t *testing.T) {
	w := newWorld(t)
	actor := w.newUser("actor", w.role(string(access.ImpersonateUser)))
	other := w.beside()
	w.store.count(1, func() { other.permit(extensionKey, access.Admin) })
	got := w.do(actor, w.ref("SessionManager"), "ImpersonateUser",
		&types.ImpersonateUserRequestType{UserName: extensionKey})
	if got.fault == nil || got.fault.Kind() != "InvalidLogin" {
		t.Errorf("got %s, want InvalidLogin", got)
	}
	w.forbid(extensionKey)
	w.impersonate(actor, extensionKey)
}
