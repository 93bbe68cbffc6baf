package authority_test

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"testing"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/console/authority"
	"github.com/vigate/vigate/internal/console/consoletest"
	"github.com/vigate/vigate/internal/vim/vimtest"
)

const (
	bad     = `<script>alert("x")</script>`
	evePath = `/ui/users/user?name=VSPHERE.LOCAL%5Ceve`
	eve     = `VSPHERE.LOCAL\eve`
	secret  = "a password of eve"
)

// press presses a button of eve's page.
func press(b *consoletest.Browser, do string, more url.Values) *consoletest.Answer {
	form := url.Values{"name": {eve}, "do": {do}}
	for name, v := range more {
		form[name] = v
	}
	return b.Post("/ui/users/change", form)
}

var yes = url.Values{"yes": {"1"}}

func TestAUserIsAddedChangedDisabledAndRemoved(t *testing.T) {
	t.Parallel()
	f, b := consoletest.OpenAdmin(t, authority.Sections()...)
	b.Get("/ui/users").Is(http.StatusOK, vimtest.AnnName, "Ann Example")
	b.Post("/ui/users/add", url.Values{"name": {"eve"}, "fullname": {bad}, "password": {secret}}).
		LeadsTo("/ui/users?saved=1")
	b.Get("/ui/users?saved=1&q=eve").Is(http.StatusOK, "The change was made.", eve, bad).
		Lacks("<script>alert", "Ann Example")
	b.Get("/ui/users?q=%3Ci%3Enobody").Is(http.StatusOK, "No user or group matches.").Lacks("<i>")
	vimtest.OK(f.Grant(f.Admin, types.Permission{Principal: "eve", RoleId: access.ReadOnly, Propagate: true}))
	b.Get(evePath).Is(http.StatusOK, bad, "Read-only", "System.Read").Lacks("<script>alert")

	press(b, "update", url.Values{"fullname": {"Eve"}, "password": {secret + "!"}}).LeadsTo(evePath + "&saved=1")
	b.Get(evePath).Is(http.StatusOK, "Eve")
	token := f.Login("eve", secret+"!")
	press(b, "disable", nil).Is(http.StatusOK, "Disable "+eve+"?", "Cancel")
	if !f.Alive(token) {
		t.Fatal("the session has ended before the answer")
	}
	press(b, "disable", yes).LeadsTo(evePath + "&saved=1")
	if f.Alive(token) {
		t.Error("the session of a disabled user is alive")
	}
	b.Get("/ui/users?q=eve").Is(http.StatusOK, "Disabled")
	b.Get(evePath).Is(http.StatusOK, "Disabled", `value="enable"`, "each node locks users by itself").
		Lacks(`value="disable"`)
	press(b, "enable", nil).LeadsTo(evePath + "&saved=1")
	b.Get(evePath).Is(http.StatusOK, `value="disable"`).Lacks("Disabled", `value="enable"`)
	f.Login("eve", secret+"!")
	press(b, "remove", nil).Is(http.StatusOK, "Remove "+eve+"?")
	press(b, "remove", yes).LeadsTo("/ui/users?saved=1")
	b.Get(evePath).Is(http.StatusBadRequest, "could not be found")
	press(b, "explode", nil).Is(http.StatusBadRequest, "can't be read")
}

func TestALockedUserIsUnlocked(t *testing.T) {
	t.Parallel()
	f, b := consoletest.OpenAdmin(t, authority.Sections()...)
	vimtest.OK(f.Create("eve", secret, ""))
	vimtest.OK(f.Grant(f.Admin, types.Permission{Principal: "eve", RoleId: access.ReadOnly, Propagate: true}))
	try := func(password string) bool {
		a := b.Another().Post("/ui/login", url.Values{"user": {"eve"}, "password": {password}})
		return a.Code == http.StatusSeeOther
	}
	for range 6 {
		try("wrong")
	}
	if try(secret) {
		t.Fatal("the user is not locked")
	}
	const locked = `<span class="tag">Locked</span>`
	b.Get("/ui/users?q=eve").Is(http.StatusOK, locked)
	b.Get(evePath).Is(http.StatusOK, "Unlock", locked)
	press(b, "unlock", nil).LeadsTo(evePath + "&saved=1")
	b.Get("/ui/users?q=eve").Is(http.StatusOK, eve).Lacks(locked)
	b.Get(evePath).Is(http.StatusOK, "Unlock").Lacks(locked)
	if !try(secret) {
		t.Error("the user is locked")
	}
}

func TestARefusedUserStaysInTheFormWithoutItsPassword(t *testing.T) {
	t.Parallel()
	_, b := consoletest.OpenAdmin(t, authority.Sections()...)
	b.Get("/ui/users")
	b.Post("/ui/users/add", url.Values{"name": {"Ann"}, "fullname": {"Another Ann"}, "password": {secret}}).
		Is(http.StatusBadRequest, "already exists", `value="Another Ann"`).Lacks(secret)
	b.Post("/ui/users/change", url.Values{
		"name": {vimtest.AdminName}, "do": {"remove"}, "yes": {"1"},
	}).Is(http.StatusBadRequest, "without an administrator", vimtest.AdminName)
}

func TestRolesAreAddedChangedAndRemoved(t *testing.T) {
	t.Parallel()
	f, b := consoletest.OpenAdmin(t, authority.Sections()...)
	b.Get("/ui/roles").Is(http.StatusOK, "Read-only", "/ui/roles/role\"")
	b.Get("/ui/roles/role").Is(http.StatusOK, "View and stop sessions", "Sessions.TerminateSession")
	b.Post("/ui/roles/save", url.Values{"name": {"bad " + bad}, "privilege": {"No.Such"}}).
		Is(http.StatusBadRequest, "A specified parameter", "bad "+bad).Lacks("<script>alert")
	b.Post("/ui/roles/save", url.Values{"name": {"enders"}, "privilege": {"Sessions.TerminateSession"}}).
		LeadsTo("/ui/roles?saved=1")
	find := func() types.AuthorizationRole {
		all := vimtest.Get[[]types.AuthorizationRole](f.Prop(f.Admin, "AuthorizationManager", "roleList"))
		return all[len(all)-1]
	}
	r := find()
	id := strconv.Itoa(int(r.RoleId))
	if r.Name != "enders" || !slices.Contains(r.Privilege, "Sessions.TerminateSession") {
		t.Errorf("the role is %+v", r)
	}
	b.Get("/ui/roles/role?id="+id).Is(http.StatusOK, `value="Sessions.TerminateSession" checked`)
	b.Post("/ui/roles/save", url.Values{"id": {id}, "name": {"talkers"}, "privilege": {"Sessions.GlobalMessage"}}).
		LeadsTo("/ui/roles/role?id=" + id + "&saved=1")
	if r = find(); r.Name != "talkers" || slices.Contains(r.Privilege, "Sessions.TerminateSession") {
		t.Errorf("the role is %+v", r)
	}
	vimtest.OK(f.Grant(f.Admin, types.Permission{Principal: "Ann", RoleId: r.RoleId, Propagate: true}))
	remove := url.Values{"id": {id}}
	b.Post("/ui/roles/remove", remove).Is(http.StatusOK, "Remove talkers?")
	remove.Set("yes", "1")
	b.Post("/ui/roles/remove", remove).Is(http.StatusBadRequest, "could not be removed")
	vimtest.OK(f.Revoke(f.Admin, "Ann", false))
	b.Post("/ui/roles/remove", remove).LeadsTo("/ui/roles?saved=1")
	b.Get("/ui/roles/role?id=" + id).Is(http.StatusNotFound)
	b.Get("/ui/roles/role?id=-1").Is(http.StatusOK).Lacks(`action="/ui/roles/remove"`, ">Save<")
}

func TestPermissionsAreSetAndRemoved(t *testing.T) {
	t.Parallel()
	f, b := consoletest.OpenAdmin(t, authority.Sections()...)
	vimtest.OK(f.Create("eve", secret, ""))
	b.Get("/ui/permissions").Is(http.StatusOK, vimtest.AnnName, "Read-only", "Set a permission")
	set := url.Values{"principal": {bad}, "kind": {"user"}, "role": {strconv.Itoa(int(access.ReadOnly))}}
	b.Post("/ui/permissions/set", set).Is(http.StatusBadRequest, "could not be found", bad).Lacks("<script>alert")
	set.Set("principal", "eve")
	set.Set("propagate", "1")
	b.Post("/ui/permissions/set", set).LeadsTo("/ui/permissions?saved=1")
	b.Get("/ui/permissions").Is(http.StatusOK, eve)
	f.Login("eve", secret)
	remove := url.Values{"principal": {eve}, "kind": {"user"}}
	b.Post("/ui/permissions/remove", remove).Is(http.StatusOK, "Remove "+eve+"?")
	remove.Set("yes", "1")
	b.Post("/ui/permissions/remove", remove).LeadsTo("/ui/permissions?saved=1")
	b.Get("/ui/permissions").Is(http.StatusOK).Lacks(eve)
	b.Post("/ui/permissions/remove", remove).Is(http.StatusNotFound)
	remove.Set("principal", vimtest.AdminName)
	b.Post("/ui/permissions/remove", remove).Is(http.StatusBadRequest, "without an administrator")
}

func TestWhatACallerMayNotChangeIsNotOfferedAndRefused(t *testing.T) {
	t.Parallel()
	f, b := consoletest.OpenAdmin(t, authority.Sections()...)
	vimtest.OK(f.Create("eve", secret, ""))
	admin := b.Another()
	admin.Login("administrator", vimtest.AdminPassword)
	admin.Get("/ui/users")
	b.Login("Ann", vimtest.AnnPassword)
	b.Get("/ui/users").Is(http.StatusForbidden)
	b.Get(evePath).Is(http.StatusForbidden)
	b.Get("/ui/roles").Is(http.StatusOK).Lacks("/ui/roles/role\"", "/ui/users")
	b.Get("/ui/roles/role").Is(http.StatusForbidden)
	b.Get("/ui/permissions").Is(http.StatusOK).Lacks("/ui/permissions/")
	form := url.Values{
		"name": {eve}, "principal": {eve}, "kind": {"user"}, "role": {"-1"}, "id": {"-1"}, "password": {secret + "?"},
		"yes": {"1"},
	}
	for _, target := range []string{
		"users/add", "users/change", "roles/save", "roles/remove", "permissions/set", "permissions/remove",
	} {
		for _, do := range []string{"update", "unlock", "enable", "disable", "remove"} {
			form.Set("do", do)
			b.Post("/ui/"+target, form).Is(http.StatusForbidden, "Permission")
			form.Set("token", "")
			admin.Post("/ui/"+target, form).Is(http.StatusForbidden, "another session")
			form.Del("token")
		}
	}
	vimtest.OK(f.Grant(f.Admin, types.Permission{Principal: "eve", RoleId: access.ReadOnly, Propagate: true}))
	f.Login("eve", secret)
}
