package vim

import (
	"slices"
	"strings"
	"testing"

	"github.com/vmware/govmomi/vim25/types"
)

const accounts = "HostLocalAccountManager"

func (f *fixture) create(id, password, fullName string) answer {
	f.t.Helper()
	return f.on(accounts, "CreateUser", &types.CreateUserRequestType{User: &types.HostAccountSpec{Id: id, Password: password, Description: fullName}})
}

func (f *fixture) update(token, id, password, fullName string) answer {
	f.t.Helper()
	return f.as(token, accounts, "UpdateUser", &types.UpdateUserRequestType{User: &types.HostAccountSpec{Id: id, Password: password, Description: fullName}})
}

// enters reports whether the user can log in.
func (f *fixture) enters(name, password string) bool {
	f.t.Helper()
	_, fault := f.call("", "SessionManager", "Login", &types.LoginRequestType{UserName: name, Password: password})
	return fault == nil || fault.Kind() == "NoPermission" // which comes after the password
}

func TestAUserIsCreatedAndRemoved(t *testing.T) {
	f := newFixture(t)
	ok(f, f.create("bob", "password of bob", "Bob Builder"))
	if !f.enters("BOB@vsphere.local", "password of bob") {
		t.Error("bob can't log in")
	}
	if got := fails[types.AlreadyExists](f, f.create("Bob", "password of bob", "")); !strings.EqualFold(got.Name, `VSPHERE.LOCAL\bob`) {
		t.Errorf("name %q", got.Name)
	}
	ok(f, f.on(accounts, "RemoveUser", &types.RemoveUserRequestType{UserName: "bob"}))
	if f.enters("bob", "password of bob") {
		t.Error("bob can log in")
	}
	for _, name := range []string{"bob", `CORP\bob`, "", `a\b\c`} {
		if got := fails[types.UserNotFound](f, f.on(accounts, "RemoveUser", &types.RemoveUserRequestType{UserName: name})); got.Principal != name {
			t.Errorf("principal %q", got.Principal)
		}
	}
}

func TestAUserThatCannotBeIsRefused(t *testing.T) {
	f := newFixture(t)
	invalid(f, "user.id", f.create("", "password of nobody", ""))
	invalid(f, "user.id", f.create(`CORP\bob`, "password of bob", ""))
	invalid(f, "user.id", f.create(strings.Repeat("x", 400), "password of x", ""))
	invalid(f, "user.password", f.create("bob", "", ""))
	invalid(f, "user.password", f.create("bob", strings.Repeat("x", 1025), ""))
	invalid(f, "user.description", f.create("bob", "password of bob", "Bob\x00"))
	invalid(f, "user", f.on(accounts, "CreateUser", &types.CreateUserRequestType{}))
	invalid(f, "user.posixId", f.on(accounts, "CreateUser", &types.CreateUserRequestType{User: &types.HostPosixAccountSpec{PosixId: 1}}))
	invalid(f, "user.shellAccess", f.on(accounts, "CreateUser", &types.CreateUserRequestType{User: &types.HostPosixAccountSpec{ShellAccess: new(true)}}))
	invalid(f, "user.password", f.update(f.admin, "ann", "short", ""))
	invalid(f, "user.description", f.update(f.admin, "ann", "", strings.Repeat("x", 1000)))
	if got := fails[types.UserNotFound](f, f.update(f.admin, "nobody", "password of nobody", "")); got.Principal != "nobody" {
		t.Errorf("principal %q", got.Principal)
	}
	fails[types.UserNotFound](f, f.update(f.admin, "", "password of nobody", ""))
}

func TestAUserChangesItsOwnPasswordAndItsOtherSessionsEnd(t *testing.T) {
	f := newFixture(t)
	other := f.login(annName, annPassword)
	ok(f, f.update(f.ann, "ann@vsphere.local", "a new password", ""))
	if !f.alive(f.ann) || f.alive(other) || !f.alive(f.admin) {
		t.Errorf("alive: own %v, other %v, administrator %v", f.alive(f.ann), f.alive(other), f.alive(f.admin))
	}
	if f.enters(annName, annPassword) || !f.enters(annName, "a new password") {
		t.Error("the old password is in force")
	}
	// But nothing else, and nobody else's.
	for _, a := range []answer{
		f.update(f.ann, "ann", "", "Queen Ann"), f.update(f.ann, "administrator", "a new password", ""),
		f.update(f.ann, "nobody", "a new password", ""), f.update(f.ann, `\`, "a new password", ""),
	} {
		if got := fails[types.NoPermission](f, a); got.PrivilegeId != "Host.Local.ManageUserGroups" {
			t.Errorf("privilege %q", got.PrivilegeId)
		}
	}
}

func TestANewPasswordByAnotherEndsAllSessions(t *testing.T) {
	f := newFixture(t)
	ok(f, f.update(f.admin, "ann", "", "Queen Ann"))
	if !f.alive(f.ann) {
		t.Error("a new full name ended the session")
	}
	ok(f, f.update(f.admin, "ann", "a new password", ""))
	if f.alive(f.ann) || !f.alive(f.admin) {
		t.Error("the wrong session is alive")
	}
	ok(f, f.update(f.admin, "administrator", "a new password", ""))
	if !f.alive(f.admin) {
		t.Error("the administrator's own session ended")
	}
}

func TestAnImpersonatorIsNotTheUser(t *testing.T) {
	f := newFixture(t)
	agent := f.user("agent", "Sessions.ImpersonateUser")
	get[types.UserSession](f, f.as(agent, "SessionManager", "ImpersonateUser", &types.ImpersonateUserRequestType{UserName: "ann"}))
	fails[types.NoPermission](f, f.update(agent, "ann", "a new password", ""))
	if !f.enters(annName, annPassword) {
		t.Error("the password was changed")
	}
}

func TestDisablingAndRemovingEndEverySessionThatTheUserIsIn(t *testing.T) {
	for name, args := range map[string]any{
		"DisableUser": &DisableUserRequestType{UserName: "ann"}, "RemoveUser": &types.RemoveUserRequestType{UserName: "ann"},
	} {
		f := newFixture(t)
		agent := f.user("agent", "Sessions.ImpersonateUser")
		get[types.UserSession](f, f.as(agent, "SessionManager", "ImpersonateUser", &types.ImpersonateUserRequestType{UserName: "ann"}))
		ok(f, f.on(accounts, name, args))
		if f.alive(f.ann) || f.alive(agent) || !f.alive(f.admin) {
			t.Errorf("%s: alive: ann %v, impersonator %v, administrator %v", name, f.alive(f.ann), f.alive(agent), f.alive(f.admin))
		}
		if f.enters(annName, annPassword) {
			t.Errorf("%s: can log in", name)
		}
	}
}

func TestADisabledUserIsEnabledAgain(t *testing.T) {
	f := newFixture(t)
	ok(f, f.on(accounts, "DisableUser", &DisableUserRequestType{UserName: "ann"}))
	ok(f, f.on(accounts, "EnableUser", &EnableUserRequestType{UserName: "ANN"}))
	f.login(annName, annPassword)
	fails[types.UserNotFound](f, f.on(accounts, "DisableUser", &DisableUserRequestType{UserName: "nobody"}))
	fails[types.UserNotFound](f, f.on(accounts, "EnableUser", &EnableUserRequestType{UserName: "nobody"}))
}

func TestALockedUserIsUnlocked(t *testing.T) {
	f := newFixture(t)
	for range 5 {
		f.enters("ann", "wrong password")
	}
	if f.enters(annName, annPassword) {
		t.Fatal("not locked")
	}
	ok(f, f.on(accounts, "UnlockUser", &UnlockUserRequestType{UserName: "ann"}))
	if e := newest[*types.EventEx](f); e.EventTypeId != "vigate.account.unlocked" || e.UserName != adminName {
		t.Errorf("event %+v", e)
	}
	if !f.enters(annName, annPassword) {
		t.Error("still locked")
	}
	ok(f, f.on(accounts, "UnlockUser", &UnlockUserRequestType{UserName: "ann"})) // nothing to do
	for _, name := range []string{"nobody", ""} {
		fails[types.UserNotFound](f, f.on(accounts, "UnlockUser", &UnlockUserRequestType{UserName: name}))
	}
}

func TestPasswordsAreInNoLogAndNoEvent(t *testing.T) {
	f := newFixture(t)
	ok(f, f.create("bob", "the first secret", "Bob"))
	ok(f, f.update(f.admin, "bob", "the second secret", ""))
	f.enters("bob", "the wrong secret")
	invalid(f, "user.password", f.create("eve", strings.Repeat("third secret", 100), ""))
	var b strings.Builder
	for _, e := range get[[]types.BaseEvent](f, f.on("EventManager", "QueryEvents", &types.QueryEventsRequestType{})) {
		b.WriteString(e.GetEvent().FullFormattedMessage)
		if x, is := e.(*types.EventEx); is {
			for _, kv := range x.Arguments {
				b.WriteString(kv.Value.(string))
			}
		}
	}
	for _, secret := range []string{"first secret", "second secret", "wrong secret", "third secret", adminPassword, f.admin, f.ann} {
		if strings.Contains(b.String(), secret) || strings.Contains(f.log.String(), secret) {
			t.Errorf("%q is in a log or an event", secret)
		}
	}
}

func (f *fixture) search(r types.RetrieveUserGroupsRequestType) answer {
	f.t.Helper()
	return f.as(f.ann, "UserDirectory", "RetrieveUserGroups", &r)
}

func TestUsersAreFoundInTheirDomain(t *testing.T) {
	f := newFixture(t)
	f.needs(View, "UserDirectory", "RetrieveUserGroups", &types.RetrieveUserGroupsRequestType{})
	ok(f, f.create("bob", "password of bob", "Bob Builder"))
	ok(f, f.on("ExtensionManager", "RegisterExtension", &types.RegisterExtensionRequestType{Extension: anExtension("bobby")}))
	for name, c := range map[string]struct {
		ask  types.RetrieveUserGroupsRequestType
		want []string
	}{
		"all":                  {types.RetrieveUserGroupsRequestType{FindUsers: true}, []string{"Administrator", "Ann", "bob"}},
		"all, exactly":         {types.RetrieveUserGroupsRequestType{FindUsers: true, ExactMatch: true}, []string{"Administrator", "Ann", "bob"}},
		"part of a name":       {types.RetrieveUserGroupsRequestType{FindUsers: true, SearchStr: "MINI"}, []string{"Administrator"}},
		"part of a full name":  {types.RetrieveUserGroupsRequestType{FindUsers: true, SearchStr: "build"}, []string{"bob"}},
		"exact":                {types.RetrieveUserGroupsRequestType{FindUsers: true, SearchStr: "BOB", ExactMatch: true, Domain: "vsphere.local"}, []string{"bob"}},
		"no extension":         {types.RetrieveUserGroupsRequestType{FindUsers: true, SearchStr: "bobby"}, nil},
		"groups":               {types.RetrieveUserGroupsRequestType{FindGroups: true}, nil},
		"nobody asked for":     {types.RetrieveUserGroupsRequestType{SearchStr: "ann"}, nil},
		"groups of a user":     {types.RetrieveUserGroupsRequestType{FindUsers: true, FindGroups: true, BelongsToUser: "ann"}, nil},
		"system account":       {types.RetrieveUserGroupsRequestType{FindUsers: true, SearchStr: "operator", ExactMatch: true, Domain: "localos"}, []string{"operator"}},
		"no system account":    {types.RetrieveUserGroupsRequestType{FindUsers: true, SearchStr: "daemon", ExactMatch: true, Domain: "localos"}, nil},
		"system is not listed": {types.RetrieveUserGroupsRequestType{FindUsers: true, SearchStr: "oper", Domain: "localos"}, nil},
	} {
		found := get[[]types.BaseUserSearchResult](f, f.search(c.ask))
		var names []string
		for _, u := range found {
			names = append(names, u.GetUserSearchResult().Principal)
		}
		if found == nil || !slices.Equal(names, c.want) {
			t.Errorf("%s: %v", name, names)
		}
	}
	bob := get[[]types.BaseUserSearchResult](f, f.search(types.RetrieveUserGroupsRequestType{FindUsers: true, SearchStr: "bob"}))[0].GetUserSearchResult()
	if bob.FullName != "Bob Builder" || bob.Group {
		t.Errorf("%+v", bob)
	}
	for _, r := range []types.RetrieveUserGroupsRequestType{{Domain: "CORP"}, {BelongsToGroup: "staff"}, {BelongsToUser: "nobody"}, {BelongsToUser: `\`}} {
		fails[types.NotFound](f, f.search(r))
	}
	if got := get[[]string](f, f.prop(f.ann, "UserDirectory", "domainList")); !slices.Equal(got, []string{"VSPHERE.LOCAL", "LOCALOS"}) {
		t.Errorf("domains: %v", got)
	}
}
