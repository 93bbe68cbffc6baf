package admin_test

import (
	"crypto/x509"
	"slices"
	"strings"
	"testing"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/admin"
	"github.com/vigate/vigate/internal/vim"
	"github.com/vigate/vigate/internal/vim/vimtest"
)

const accounts = "HostLocalAccountManager"

func (f *fixture) update(token, id, password, fullName string) vimtest.Answer {
	f.t.Helper()
	return f.As(token, accounts, "UpdateUser", &types.UpdateUserRequestType{
		User: &types.HostAccountSpec{Id: id, Password: password, Description: fullName}})
}

// enters reports whether the user can log in with the password.
func (f *fixture) enters(name, password string) bool {
	f.t.Helper()
	fault := f.As("", "SessionManager", "Login", &types.LoginRequestType{UserName: name, Password: password}).Fault
	return fault == nil || fault.Kind() == "NoPermission" // this fault means that the password is correct
}

func TestAUserIsCreatedAndRemoved(t *testing.T) {
	f := newFixture(t)
	vimtest.OK(f.Create("bob", "password of bob", "Bob Builder"))
	if !f.enters("BOB@vsphere.local", "password of bob") {
		t.Error("bob can't log in")
	}
	if got := vimtest.Fails[types.AlreadyExists](f.Create("Bob", "password of bob", "")); !strings.EqualFold(got.Name,
		`VSPHERE.LOCAL\bob`) {
		t.Errorf("name %q", got.Name)
	}
	vimtest.OK(f.On(accounts, "RemoveUser", &types.RemoveUserRequestType{UserName: "bob"}))
	if f.enters("bob", "password of bob") {
		t.Error("bob can log in")
	}
	for _, name := range []string{"bob", `CORP\bob`, "", `a\b\c`} {
		if got := vimtest.Fails[types.UserNotFound](
			f.On(accounts, "RemoveUser", &types.RemoveUserRequestType{UserName: name})); got.Principal != name {
			t.Errorf("principal %q", got.Principal)
		}
	}
}

func TestInvalidUsersAreRefused(t *testing.T) {
	f := newFixture(t)
	vimtest.Invalid("user.id", f.Create("", "password of nobody", ""))
	vimtest.Invalid("user.id", f.Create(`CORP\bob`, "password of bob", ""))
	vimtest.Invalid("user.id", f.Create(strings.Repeat("x", 400), "password of x", ""))
	vimtest.Invalid("user.password", f.Create("bob", "", ""))
	vimtest.Invalid("user.password", f.Create("bob", strings.Repeat("x", 1025), ""))
	vimtest.Invalid("user.description", f.Create("bob", "password of bob", "Bob\x00"))
	vimtest.Invalid("user", f.On(accounts, "CreateUser", &types.CreateUserRequestType{}))
	vimtest.Invalid("user.posixId", f.On(accounts, "CreateUser",
		&types.CreateUserRequestType{User: &types.HostPosixAccountSpec{PosixId: 1}}))
	vimtest.Invalid("user.shellAccess", f.On(accounts, "CreateUser",
		&types.CreateUserRequestType{User: &types.HostPosixAccountSpec{ShellAccess: new(true)}}))
	vimtest.Invalid("user.password", f.update(f.Admin, "ann", "short", ""))
	vimtest.Invalid("user.description", f.update(f.Admin, "ann", "", strings.Repeat("x", 1000)))
	if got := vimtest.Fails[types.UserNotFound](
		f.update(f.Admin, "nobody", "password of nobody", "")); got.Principal != "nobody" {
		t.Errorf("principal %q", got.Principal)
	}
	vimtest.Fails[types.UserNotFound](f.update(f.Admin, "", "password of nobody", ""))
}

func TestAUserChangesItsOwnPasswordAndItsOtherSessionsEnd(t *testing.T) {
	f := newFixture(t)
	other := f.Login(vimtest.AnnName, vimtest.AnnPassword)
	vimtest.OK(f.update(f.Ann, "ann@vsphere.local", "a new password", ""))
	if !f.Alive(f.Ann) || f.Alive(other) || !f.Alive(f.Admin) {
		t.Errorf("alive: own %v, other %v, administrator %v", f.Alive(f.Ann), f.Alive(other), f.Alive(f.Admin))
	}
	if f.enters(vimtest.AnnName, vimtest.AnnPassword) || !f.enters(vimtest.AnnName, "a new password") {
		t.Error("the old password is still valid")
	}
	// It may not change its other members or another user.
	for _, a := range []vimtest.Answer{
		f.update(f.Ann, "ann", "", "Queen Ann"), f.update(f.Ann, "administrator", "a new password", ""),
		f.update(f.Ann, "nobody", "a new password", ""), f.update(f.Ann, `\`, "a new password", ""),
	} {
		if got := vimtest.Fails[types.NoPermission](a); got.PrivilegeId != "Host.Local.ManageUserGroups" {
			t.Errorf("privilege %q", got.PrivilegeId)
		}
	}
}

func TestANewPasswordByAnotherEndsAllSessions(t *testing.T) {
	f := newFixture(t)
	vimtest.OK(f.update(f.Admin, "ann", "", "Queen Ann"))
	if !f.Alive(f.Ann) {
		t.Error("a new full name ended the session")
	}
	vimtest.OK(f.update(f.Admin, "ann", "a new password", ""))
	if f.Alive(f.Ann) || !f.Alive(f.Admin) {
		t.Error("the wrong session is alive")
	}
	vimtest.OK(f.update(f.Admin, "administrator", "a new password", ""))
	if !f.Alive(f.Admin) {
		t.Error("the administrator's own session ended")
	}
}

func TestAnImpersonatorIsNotTheUser(t *testing.T) {
	f := newFixture(t)
	agent := f.User("agent", "Sessions.ImpersonateUser")
	vimtest.Get[types.UserSession](f.As(agent, "SessionManager", "ImpersonateUser",
		&types.ImpersonateUserRequestType{UserName: "ann"}))
	vimtest.Fails[types.NoPermission](f.update(agent, "ann", "a new password", ""))
	if !f.enters(vimtest.AnnName, vimtest.AnnPassword) {
		t.Error("the password was changed")
	}
}

func TestDisablingOrRemovingAUserEndsAllItsSessions(t *testing.T) {
	for name, args := range map[string]any{
		"DisableUser": &admin.DisableUserRequestType{UserName: "ann"},
		"RemoveUser":  &types.RemoveUserRequestType{UserName: "ann"},
	} {
		f := newFixture(t)
		agent := f.User("agent", "Sessions.ImpersonateUser")
		vimtest.Get[types.UserSession](f.As(agent, "SessionManager", "ImpersonateUser",
			&types.ImpersonateUserRequestType{UserName: "ann"}))
		vimtest.OK(f.On(accounts, name, args))
		if f.Alive(f.Ann) || f.Alive(agent) || !f.Alive(f.Admin) {
			t.Errorf("%s: alive: ann %v, impersonator %v, administrator %v", name, f.Alive(f.Ann), f.Alive(agent),
				f.Alive(f.Admin))
		}
		if f.enters(vimtest.AnnName, vimtest.AnnPassword) {
			t.Errorf("%s: can log in", name)
		}
	}
}

func TestADisabledUserIsEnabledAgain(t *testing.T) {
	f := newFixture(t)
	vimtest.OK(f.On(accounts, "DisableUser", &admin.DisableUserRequestType{UserName: "ann"}))
	vimtest.OK(f.On(accounts, "EnableUser", &admin.EnableUserRequestType{UserName: "ANN"}))
	f.Login(vimtest.AnnName, vimtest.AnnPassword)
	vimtest.Fails[types.UserNotFound](f.On(accounts, "DisableUser", &admin.DisableUserRequestType{UserName: "nobody"}))
	vimtest.Fails[types.UserNotFound](f.On(accounts, "EnableUser", &admin.EnableUserRequestType{UserName: "nobody"}))
}

func TestALockedUserIsUnlocked(t *testing.T) {
	f := newFixture(t)
	for range 5 {
		f.enters("ann", "wrong password")
	}
	if f.enters(vimtest.AnnName, vimtest.AnnPassword) {
		t.Fatal("not locked")
	}
	states := func() []admin.VigateUserState {
		return vimtest.Get[[]admin.VigateUserState](f.On(accounts, "RetrieveUserStates",
			&admin.RetrieveUserStatesRequestType{UserName: []string{"administrator", vimtest.AnnName, "nobody", ""}}))
	}
	want := []admin.VigateUserState{
		{UserName: "administrator"}, {UserName: vimtest.AnnName, Locked: true}, {UserName: "nobody"}, {},
	}
	if got := states(); !slices.Equal(got, want) {
		t.Errorf("the states are %+v", got)
	}
	vimtest.OK(f.On(accounts, "UnlockUser", &admin.UnlockUserRequestType{UserName: "ann"}))
	if e := vimtest.Get[*types.EventEx](f.Newest()); e.EventTypeId != "vigate.account.unlocked" ||
		e.UserName != vimtest.AdminName {
		t.Errorf("event %+v", e)
	}
	if !f.enters(vimtest.AnnName, vimtest.AnnPassword) {
		t.Error("still locked")
	}
	// The key of an extension is a name without a domain.
	f.Peer.Certificates = []*x509.Certificate{f.Certificate("other")}
	for range 5 {
		_, _ = f.Send("", f.Ref("SessionManager"), "LoginExtensionByCertificate",
			&types.LoginExtensionByCertificateRequestType{ExtensionKey: "com.acme"})
	}
	acme := vimtest.Get[[]admin.VigateUserState](f.On(accounts, "RetrieveUserStates",
		&admin.RetrieveUserStatesRequestType{UserName: []string{"com.acme", "COM.acme@vsphere.local"}}))
	if len(acme) != 2 || !acme[0].Locked || acme[1].Locked {
		t.Errorf("the states of an extension and of a user with its name are %+v", acme)
	}
	vimtest.OK(f.On(accounts, "UnlockUser", &admin.UnlockUserRequestType{UserName: "ann"})) // has no effect
	vimtest.OK(f.On(accounts, "DisableUser", &admin.DisableUserRequestType{UserName: "ann"}))
	want[1] = admin.VigateUserState{UserName: vimtest.AnnName, Disabled: true}
	if got := states(); !slices.Equal(got, want) {
		t.Errorf("the states are %+v", got)
	}
	for _, name := range []string{"nobody", ""} {
		vimtest.Fails[types.UserNotFound](f.On(accounts, "UnlockUser", &admin.UnlockUserRequestType{UserName: name}))
	}
}

func TestUnlockingAUserRequiresAllItsPrivileges(t *testing.T) {
	f := newFixture(t)
	clerk := f.User("clerk", "Host.Local.ManageUserGroups")
	unlock := func(name string) vimtest.Answer {
		return f.As(clerk, accounts, "UnlockUser", &admin.UnlockUserRequestType{UserName: name})
	}
	for range 5 {
		f.enters("administrator", "wrong password")
	}
	vimtest.Fails[types.NoPermission](unlock("administrator"))
	if f.enters(vimtest.AdminName, vimtest.AdminPassword) {
		t.Error("a caller without the administrator's privileges unlocked the administrator")
	}
	vimtest.OK(unlock("ann"))
	vimtest.OK(f.Register(vimtest.Extension("com.acme")))
	vimtest.Fails[types.NoPermission](unlock("com.acme"))
}

func TestPasswordsAreInNoLogAndNoEvent(t *testing.T) {
	f := newFixture(t)
	vimtest.OK(f.Create("bob", "the first secret", "Bob"))
	vimtest.OK(f.update(f.Admin, "bob", "the second secret", ""))
	f.enters("bob", "the wrong secret")
	vimtest.Invalid("user.password", f.Create("eve", strings.Repeat("third secret", 100), ""))
	var b strings.Builder
	for _, e := range vimtest.Get[[]types.BaseEvent](
		f.On("EventManager", "QueryEvents", &types.QueryEventsRequestType{})) {
		b.WriteString(e.GetEvent().FullFormattedMessage)
		if x, is := e.(*types.EventEx); is {
			for _, kv := range x.Arguments {
				b.WriteString(kv.Value.(string))
			}
		}
	}
	for _, secret := range []string{"first secret", "second secret", "wrong secret", "third secret",
		vimtest.AdminPassword, f.Admin, f.Ann} {
		if strings.Contains(b.String(), secret) || strings.Contains(f.Logged(), secret) {
			t.Errorf("%q is in a log or an event", secret)
		}
	}
}

func (f *fixture) search(r types.RetrieveUserGroupsRequestType) vimtest.Answer {
	f.t.Helper()
	return f.On("UserDirectory", "RetrieveUserGroups", &r)
}

func TestUsersAreListedOnlyForCallersWhoSetPermissionsOrManageUsers(t *testing.T) {
	f := newFixture(t)
	list := func(token string) vimtest.Answer {
		return f.As(token, "UserDirectory", "RetrieveUserGroups", &types.RetrieveUserGroupsRequestType{FindUsers: true})
	}
	for _, privilege := range []access.Privilege{access.ModifyPermissions, access.HostManageUserGroups} {
		found := vimtest.Get[[]types.BaseUserSearchResult](list(f.User("has "+string(privilege), privilege)))
		if len(found) < 3 {
			t.Errorf("with %s: %v", privilege, found)
		}
	}
	for _, token := range []string{f.Ann, f.User("roles only", access.ModifyRoles)} {
		if got := vimtest.Fails[types.NoPermission](list(token)); got.PrivilegeId != string(access.ModifyPermissions) {
			t.Errorf("%+v", got)
		}
	}
}

func TestUsersAreFoundInTheirDomain(t *testing.T) {
	f := newFixture(t)
	f.Needs(vim.View, "UserDirectory", "RetrieveUserGroups", &types.RetrieveUserGroupsRequestType{})
	vimtest.OK(f.Create("bob", "password of bob", "Bob Builder"))
	vimtest.OK(f.On("ExtensionManager", "RegisterExtension",
		&types.RegisterExtensionRequestType{Extension: vimtest.Extension("bobby")}))
	for name, c := range map[string]struct {
		ask  types.RetrieveUserGroupsRequestType
		want []string
	}{
		"all": {types.RetrieveUserGroupsRequestType{FindUsers: true},
			[]string{"Administrator", "Ann", "bob"}},
		"all, exactly": {types.RetrieveUserGroupsRequestType{FindUsers: true, ExactMatch: true},
			[]string{"Administrator", "Ann", "bob"}},
		"part of a name": {types.RetrieveUserGroupsRequestType{FindUsers: true, SearchStr: "MINI"},
			[]string{"Administrator"}},
		"part of a full name": {types.RetrieveUserGroupsRequestType{FindUsers: true, SearchStr: "build"},
			[]string{"bob"}},
		"exact": {types.RetrieveUserGroupsRequestType{FindUsers: true, SearchStr: "BOB",
			ExactMatch: true, Domain: "vsphere.local"}, []string{"bob"}},
		"no extension":     {types.RetrieveUserGroupsRequestType{FindUsers: true, SearchStr: "bobby"}, nil},
		"groups":           {types.RetrieveUserGroupsRequestType{FindGroups: true}, nil},
		"nobody asked for": {types.RetrieveUserGroupsRequestType{SearchStr: "ann"}, nil},
		"groups of a user": {types.RetrieveUserGroupsRequestType{FindUsers: true, FindGroups: true,
			BelongsToUser: "ann"}, nil},
		"system account": {types.RetrieveUserGroupsRequestType{FindUsers: true, SearchStr: "operator",
			ExactMatch: true, Domain: "localos"}, []string{"operator"}},
		"no system account": {types.RetrieveUserGroupsRequestType{FindUsers: true, SearchStr: "daemon",
			ExactMatch: true, Domain: "localos"}, nil},
		"system is not listed": {types.RetrieveUserGroupsRequestType{FindUsers: true, SearchStr: "oper",
			Domain: "localos"}, nil},
	} {
		found := vimtest.Get[[]types.BaseUserSearchResult](f.search(c.ask))
		var names []string
		for _, u := range found {
			names = append(names, u.GetUserSearchResult().Principal)
		}
		if found == nil || !slices.Equal(names, c.want) {
			t.Errorf("%s: %v", name, names)
		}
	}
	bob := vimtest.Get[[]types.BaseUserSearchResult](
		f.search(types.RetrieveUserGroupsRequestType{FindUsers: true, SearchStr: "bob"}))[0].GetUserSearchResult()
	if bob.FullName != "Bob Builder" || bob.Group {
		t.Errorf("%+v", bob)
	}
	for _, r := range []types.RetrieveUserGroupsRequestType{{Domain: "CORP"}, {BelongsToGroup: "staff"},
		{BelongsToUser: "nobody"}, {BelongsToUser: `\`}} {
		vimtest.Fails[types.NotFound](f.search(r))
	}
	if got := vimtest.Get[[]string](f.Prop(f.Ann, "UserDirectory", "domainList")); !slices.Equal(got,
		[]string{"VSPHERE.LOCAL", "LOCALOS"}) {
		t.Errorf("domains: %v", got)
	}
}
