package matrix

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/admin"
)

// loss takes something from a caller during its call. An administrator on another server of the
// cluster does it.
type loss struct {
	name string
	// ends is true if the session ends, so that the call is not authenticated. Otherwise the call
	// has no permission.
	ends bool
	// both is true if the session ends and its authority is taken as well.
	both bool
	make func(by *world, v *victim)
}

// victim is the caller that loses something.
type victim struct {
	*caller
	key  string // key of its session
	user string // user or extension that logged in
}

// losses are the losses of a user who logged in with a password.
var losses = []loss{
	{"its session terminated", true, false, func(by *world, v *victim) { by.terminate(v.key) }},
	{"its user disabled", true, false, func(by *world, v *victim) {
		by.must("HostLocalAccountManager", "DisableUser", &admin.DisableUserRequestType{UserName: v.user})
	}},
	{"its user removed", true, true, func(by *world, v *victim) {
		by.must("HostLocalAccountManager", "RemoveUser", &types.RemoveUserRequestType{UserName: v.user})
	}},
	{"its password reset", true, false, func(by *world, v *victim) {
		by.must("HostLocalAccountManager", "UpdateUser", &types.UpdateUserRequestType{
			User: &types.HostAccountSpec{Id: v.user, Password: "what its owner now has"},
		})
	}},
	{"NoAccess", false, false, func(by *world, v *victim) { by.permit(v.user, access.NoAccess) }},
	{"its permission removed", false, false, func(by *world, v *victim) { by.forbid(v.user) }},
}

// lossesOfExtensions are the losses of an extension.
var lossesOfExtensions = []loss{
	losses[0],
	{"its certificate replaced", true, false, func(by *world, v *victim) {
		by.must("ExtensionManager", "SetExtensionCertificate", &types.SetExtensionCertificateRequestType{
			ExtensionKey: v.user, CertificatePem: by.pem("another"),
		})
	}},
	{"it unregistered", true, true, func(by *world, v *victim) {
		by.must("ExtensionManager", "UnregisterExtension", &types.UnregisterExtensionRequestType{ExtensionKey: v.user})
	}},
	{"NoAccess", false, false, func(by *world, v *victim) { by.permit(v.user, access.NoAccess) }},
}

// kinds are the callers that lose something. An impersonator loses it as the user who logged in.
var kinds = []struct {
	name   string
	losses []loss
	make   func(w *world) *victim
}{
	{"an administrator", losses, func(w *world) *victim {
		return w.victimOf(w.newUser("second", access.Admin), "second", all)
	}},
	{"an impersonator", losses, func(w *world) *victim {
		token := w.newUser("actor", w.role(string(access.ImpersonateUser)))
		w.impersonate(token, "administrator")
		return w.victimOf(token, "actor", all)
	}},
	{"an extension", lossesOfExtensions, func(w *world) *victim {
		return w.victimOf(w.loginExtension(), extensionKey, only(extending...))
	}},
	{"an extension that impersonates", lossesOfExtensions, func(w *world) *victim {
		token := w.loginExtension()
		w.impersonate(token, "administrator")
		return w.victimOf(token, extensionKey, all)
	}},
}

func (w *world) victimOf(token, user string, has func(string) bool) *victim {
	w.t.Helper()
	return &victim{caller: &caller{token: token, live: true, has: has}, key: w.key(token), user: user}
}

// makesSession reports whether the row is a login. A login does not depend on the caller's session.
func (r row) makesSession() bool {
	return strings.HasPrefix(r.name, "Login") || r.name == "CloneSession"
}

// TestWhoLosesItsAuthorityInTheMidstOfACallWritesNothing makes each call that writes to the store.
// It takes the caller's session or authority at the moment when the call's commit arrives at the
// store.
func TestWhoLosesItsAuthorityInTheMidstOfACallWritesNothing(t *testing.T) {
	committed := map[string]bool{}
	for _, r := range rows(t) {
		if n := commitsOf(t, r); n > 0 && !r.makesSession() {
			committed[r.String()] = true
			t.Run(r.String(), func(t *testing.T) {
				t.Parallel()
				for _, k := range kinds {
					for _, l := range k.losses {
						for at := 1; at <= n; at++ {
							t.Run(fmt.Sprintf("%s with %s before commit %d", k.name, l.name, at), func(t *testing.T) {
								loseInTheMidst(t, r, k.make, l, at)
							})
						}
					}
				}
			})
		}
	}
	for _, name := range []string{
		"HostLocalAccountManager.UpdateUser", "AuthorizationManager.SetEntityPermissions",
		"OptionManager.UpdateOptions",
		"ExtensionManager.SetExtensionCertificate", "SessionManager.TerminateSession", "SessionManager.SetLocale",
		"EventManager.PostEvent",
	} {
		if !committed[name] {
			t.Errorf("%s did not commit, or it no longer exists", name)
		}
	}
}

// commitsOf returns the number of commits that an administrator's call of the row makes.
func commitsOf(t *testing.T, r row) int {
	t.Helper()
	if r.read() {
		return 0
	}
	w := newWorld(t)
	c := &caller{token: w.newUser("second", access.Admin), live: true, has: all}
	c.objects = w.equip(c.token)
	args, on := w.request(c, r), c.objectsOf(r)[0]
	w.store.count(0, nil)
	w.call(c, r, on, args)
	return w.store.counted()
}

func loseInTheMidst(t *testing.T, r row, make func(*world) *victim, l loss, at int) {
	t.Helper()
	w := newWorld(t)
	v := make(w)
	if r = w.find(r); !v.may(r) || !l.ends && (!r.needsSession() || own[r.String()] != "") {
		return
	}
	if r.object.ID == "" {
		v.objects = w.equip(v.token)
	}
	other := w.beside()
	args, on := w.request(v.caller, r), v.objectsOf(r)[0]
	var then contents
	w.store.count(at, func() {
		other.Sync()
		l.make(other, v)
		then = w.store.contents(t)
	})
	got := w.call(v.caller, r, on, args)
	if then == nil {
		return // the call makes fewer commits as this caller
	}
	written := w.store.contents(t).since(then)
	if at > 1 && then.duties() {
		// The server completes the duty that the call's first commit created.
		if slices.ContainsFunc(written, func(key string) bool { return !isDuty(key) }) {
			t.Errorf("it wrote %q", written)
		}
		return
	}
	want := "NoPermission"
	switch {
	case l.both && got.fault != nil && slices.Contains([]string{want, "UserNotFound"}, got.fault.Kind()):
		want = got.fault.Kind() // UserNotFound: the request names the user that is removed
	case l.ends:
		want = "NotAuthenticated"
	}
	if got.fault == nil || got.fault.Kind() != want || got.value != nil || len(written) > 0 {
		t.Errorf("got %s, and the call wrote %q; want %s and no write", got, written, want)
	}
}

// isDuty reports whether the changed record is part of ending sessions.
func isDuty(key string) bool {
	return strings.HasPrefix(key, "-1/") || strings.HasPrefix(key, "9/") || strings.Contains(key, "/end:")
}

// waysIn are the logins, with what can be taken during a login from what it proves.
var waysIn = []struct {
	name string
	args func(w *world) any
	user string
	loss []loss
}{
	{"Login", func(w *world) any {
		w.permit(w.user("comer"), access.Admin)
		return &types.LoginRequestType{UserName: "comer", Password: password("comer")}
	}, "comer", losses[1:4]},
	{"CloneSession", func(w *world) any {
		token := w.newUser("comer", access.Admin)
		ticket := w.mustAs(token, w.ref("SessionManager"), "AcquireCloneTicket", &types.AcquireCloneTicketRequestType{})
		return &types.CloneSessionRequestType{CloneTicket: ticket.(string)}
	}, "comer", losses[1:4]},
	{"LoginExtensionByCertificate", func(*world) any {
		return &types.LoginExtensionByCertificateRequestType{ExtensionKey: extensionKey}
	}, extensionKey, lossesOfExtensions[1:3]},
	{"LoginExtensionBySubjectName", func(*world) any {
		return &types.LoginExtensionBySubjectNameRequestType{ExtensionKey: extensionKey}
	}, extensionKey,
		[]loss{lossesOfExtensions[2], {"its subject name changed", true, false, func(by *world, v *victim) {
			x := extension(v.user)
			x.SubjectName = "CN=somebody else"
			by.must("ExtensionManager", "UpdateExtension", &types.UpdateExtensionRequestType{Extension: x})
		}}}},
}

// TestALoginWhoseProofIsTakenInItsMidstMakesNoSession takes away what a login has proved at the
// moment when its session's commit arrives at the store.
func TestALoginWhoseProofIsTakenInItsMidstMakesNoSession(t *testing.T) {
	for _, way := range waysIn {
		for _, l := range way.loss {
			w := newWorld(t)
			other, args := w.beside(), way.args(w)
			var then contents
			w.store.count(1, func() {
				other.Sync()
				l.make(other, &victim{user: way.user})
				then = w.store.contents(t)
			})
			got := w.do("", w.ref("SessionManager"), way.name, args)
			if got.fault == nil || got.fault.Kind() != "InvalidLogin" {
				t.Errorf("%s with %s: got %s, want InvalidLogin", way.name, l.name, got)
			}
			for _, key := range w.store.contents(t).since(then) {
				if strings.HasPrefix(key, "1/") {
					t.Errorf("%s with %s: it made the session %s", way.name, l.name, key)
				}
			}
		}
	}
}

// TestNobodyBecomesAUserOrExtensionThatIsLostInTheMidst removes the target of an impersonation at
// the moment when the impersonation's commit arrives at the store.
func TestNobodyBecomesAUserOrExtensionThatIsLostInTheMidst(t *testing.T) {
	for _, target := range []struct {
		name   string
		losses []loss
		enter  bool
	}{
		{"boss", losses[:4], true},
		{extensionKey, lossesOfExtensions[2:3], false},
	} {
		for _, l := range target.losses {
			w := newWorld(t)
			v := &victim{user: target.name}
			if target.enter {
				v.key = w.key(w.newUser(target.name, access.Admin))
			}
			actor := w.newUser("second", access.Admin)
			before, other := w.key(actor), w.beside()
			var then contents
			w.store.count(1, func() {
				other.Sync()
				l.make(other, v)
				then = w.store.contents(t)
			})
			request := &types.ImpersonateUserRequestType{UserName: target.name}
			got := w.do(actor, w.ref("SessionManager"), "ImpersonateUser", request)
			if got.fault == nil || got.fault.Kind() != "InvalidLogin" {
				t.Errorf("%s with %s: got %s, want InvalidLogin", target.name, l.name, got)
			}
			if written := w.store.contents(t).since(then); len(written) > 0 || w.key(actor) != before {
				t.Errorf("%s with %s: it wrote %q", target.name, l.name, written)
			}
		}
	}
}
