package admin_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/admin"
	"github.com/vigate/vigate/internal/vim"
	"github.com/vigate/vigate/internal/vim/vimtest"
)

const authority = "AuthorizationManager"

func (f *fixture) reset(token string, all ...types.Permission) vimtest.Answer {
	f.t.Helper()
	return f.As(token, authority, "ResetEntityPermissions",
		&types.ResetEntityPermissionsRequestType{Entity: vim.RootFolder(), Permission: all})
}

// shownRole returns a role as roleList shows it to the owner of the token.
func (f *fixture) shownRole(token string, id int32) *types.AuthorizationRole {
	f.t.Helper()
	for _, r := range vimtest.Get[[]types.AuthorizationRole](f.Prop(token, authority, "roleList")) {
		if r.RoleId == id {
			return &r
		}
	}
	return nil
}

func TestRolesAreAddedChangedAndRemoved(t *testing.T) {
	f := newFixture(t)
	id := f.AddRole("Operator", "Sessions.TerminateSession")
	r := f.shownRole(f.Ann, id)
	if r == nil || r.Name != "Operator" || r.System ||
		!slices.Equal(r.Privilege, []string{"Sessions.TerminateSession", "System.Anonymous", "System.Read",
			"System.View"}) {
		t.Fatalf("role: %+v", r)
	}
	vimtest.OK(f.On(authority, "UpdateAuthorizationRole",
		&types.UpdateAuthorizationRoleRequestType{RoleId: id, NewName: "Watcher",
			PrivIds: []string{"Sessions.ValidateSession"}}))
	if r = f.shownRole(f.Ann, id); r.Name != "Watcher" || !slices.Contains(r.Privilege, "Sessions.ValidateSession") ||
		slices.Contains(r.Privilege, "Sessions.TerminateSession") {
		t.Errorf("role: %+v", r)
	}
	vimtest.OK(f.On(authority, "RemoveAuthorizationRole",
		&types.RemoveAuthorizationRoleRequestType{RoleId: id, FailIfUsed: true}))
	if r = f.shownRole(f.Ann, id); r != nil {
		t.Errorf("still there: %+v", r)
	}
}

func TestInvalidRolesAreRefused(t *testing.T) {
	f := newFixture(t)
	id := f.AddRole("Operator")
	add := func(name string, privileges ...string) vimtest.Answer {
		return f.On(authority, "AddAuthorizationRole",
			&types.AddAuthorizationRoleRequestType{Name: name, PrivIds: privileges})
	}
	update := func(id int32, name string, privileges ...string) vimtest.Answer {
		return f.On(authority, "UpdateAuthorizationRole",
			&types.UpdateAuthorizationRoleRequestType{RoleId: id, NewName: name, PrivIds: privileges})
	}
	remove := func(id int32, failIfUsed bool) vimtest.Answer {
		return f.On(authority, "RemoveAuthorizationRole",
			&types.RemoveAuthorizationRoleRequestType{RoleId: id, FailIfUsed: failIfUsed})
	}
	for _, name := range []string{"operator", "admin"} {
		if got := vimtest.Fails[types.AlreadyExists](add(name)); got.Name != name {
			t.Errorf("name %q", got.Name)
		}
	}
	if got := vimtest.Fails[types.InvalidName](add(" ")); got.Name != " " {
		t.Errorf("name %q", got.Name)
	}
	vimtest.Invalid("privIds", add("Other", "No.Such"))
	vimtest.Fails[types.NotFound](update(99, "X"))
	vimtest.Fails[types.AlreadyExists](update(id, "ADMIN"))
	vimtest.Fails[types.InvalidName](update(id, ""))
	vimtest.Invalid("privIds", update(id, "Operator", "No.Such"))
	vimtest.Invalid("roleId", update(-1, "X"))
	vimtest.Fails[types.NotFound](remove(99, false))
	vimtest.Invalid("roleId", remove(-1, false))
	vimtest.OK(f.Grant(f.Admin, types.Permission{Principal: "ann", RoleId: id}))
	vimtest.Fails[types.RemoveFailed](remove(id, true))
	vimtest.OK(remove(id, false))
	if got := vimtest.Get[[]types.Permission](f.On(authority, "RetrieveAllPermissions",
		&types.RetrieveAllPermissionsRequestType{})); len(got) != 1 {
		t.Errorf("permissions: %+v", got)
	}
}

func TestAChangeOfAuthorityAppliesImmediately(t *testing.T) {
	f := newFixture(t)
	may := func() bool { return f.Prop(f.Ann, "SessionManager", "sessionList").Fault == nil }
	id := f.AddRole("Operator")
	vimtest.OK(f.Grant(f.Admin, types.Permission{Principal: "Ann@vsphere.local", RoleId: id}))
	if may() {
		t.Error("before the role has the privilege")
	}
	vimtest.OK(f.On(authority, "UpdateAuthorizationRole",
		&types.UpdateAuthorizationRoleRequestType{RoleId: id, NewName: "Operator",
			PrivIds: []string{"Sessions.TerminateSession"}}))
	if !may() {
		t.Error("not after the role was given it")
	}
	vimtest.OK(f.Revoke(f.Admin, "ANN", false))
	if may() {
		t.Error("after the permission was removed")
	}
	vimtest.Fails[types.NotFound](f.Revoke(f.Admin, "ann", false))
	vimtest.OK(f.Grant(f.Admin, types.Permission{Principal: vimtest.AnnName, RoleId: id}))
	vimtest.OK(f.On(authority, "MergePermissions",
		&types.MergePermissionsRequestType{SrcRoleId: id, DstRoleId: access.ReadOnly}))
	if may() {
		t.Error("after the role was merged into another")
	}
}

func TestPermissionsAreShownAsTheyWereSet(t *testing.T) {
	f := newFixture(t)
	vimtest.OK(f.Grant(f.Admin, types.Permission{Principal: "ann", RoleId: access.NoAccess, Propagate: true,
		Entity: new(vim.RootFolder())}))
	want := []types.Permission{
		{Entity: new(vim.RootFolder()), Principal: vimtest.AdminName, RoleId: -1, Propagate: true},
		{Entity: new(vim.RootFolder()), Principal: vimtest.AnnName, RoleId: access.NoAccess, Propagate: true},
	}
	same := func(got, want []types.Permission) {
		t.Helper()
		if !slices.EqualFunc(got, want, func(a, b types.Permission) bool {
			return a.Entity != nil && *a.Entity == vim.RootFolder() && a.Principal == b.Principal &&
				a.RoleId == b.RoleId && a.Group == b.Group && a.Propagate == b.Propagate
		}) {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
	same(vimtest.Get[[]types.Permission](f.On(authority, "RetrieveAllPermissions",
		&types.RetrieveAllPermissionsRequestType{})), want)
	same(vimtest.Get[[]types.Permission](f.On(authority, "RetrieveEntityPermissions",
		&types.RetrieveEntityPermissionsRequestType{Entity: vim.RootFolder(), Inherited: true})), want)
	same(vimtest.Get[[]types.Permission](f.On(authority, "RetrieveRolePermissions",
		&types.RetrieveRolePermissionsRequestType{RoleId: access.NoAccess})), want[1:])
	vimtest.Fails[types.NotFound](f.On(authority, "RetrieveRolePermissions",
		&types.RetrieveRolePermissionsRequestType{RoleId: 77}))
	vimtest.OK(f.reset(f.Admin, types.Permission{Principal: vimtest.AdminName, RoleId: -1}))
	same(vimtest.Get[[]types.Permission](
		f.On(authority, "RetrieveAllPermissions", &types.RetrieveAllPermissionsRequestType{})),
		[]types.Permission{{Principal: vimtest.AdminName, RoleId: -1}})
}

func TestInvalidPermissionsAreRefused(t *testing.T) {
	f := newFixture(t)
	other := types.ManagedObjectReference{Type: "Folder", Value: "group-d2"}
	both := func(name string, check func(vimtest.Answer), p ...types.Permission) {
		t.Helper()
		for _, a := range []vimtest.Answer{f.Grant(f.Admin, p...), f.reset(f.Admin, p...)} {
			check(a)
		}
	}
	unknown := func(who string) func(vimtest.Answer) {
		return func(a vimtest.Answer) {
			t.Helper()
			if got := vimtest.Fails[types.UserNotFound](a); got.Principal != who || got.Unresolved {
				t.Errorf("got %+v, want %s", got, who)
			}
		}
	}
	admin := types.Permission{Principal: vimtest.AdminName, RoleId: -1}
	both("user", unknown(`VSPHERE.LOCAL\nobody`), admin, types.Permission{Principal: "nobody", RoleId: -1})
	both("system account", unknown(`LOCALOS\nobody`), types.Permission{Principal: `localos\operator`, RoleId: -1},
		types.Permission{Principal: "nobody@LOCALOS", RoleId: -1})
	both("no name", unknown(`a\b\c`), types.Permission{Principal: `a\b\c`, RoleId: -1})
	both("group", unknown(vimtest.AnnName), types.Permission{Principal: vimtest.AnnName, Group: true, RoleId: -1})
	both("role", func(a vimtest.Answer) { t.Helper(); vimtest.Fails[types.NotFound](a) },
		types.Permission{Principal: "ann", RoleId: 99})
	for _, role := range []int32{access.View, access.Anonymous} {
		both("reserved role", func(a vimtest.Answer) { t.Helper(); vimtest.Invalid("permission.roleId", a) },
			types.Permission{Principal: "ann", RoleId: role})
	}
	both("twice", func(a vimtest.Answer) { t.Helper(); vimtest.Invalid("permission.principal", a) },
		types.Permission{Principal: "ann", RoleId: -1}, types.Permission{Principal: "ANN", RoleId: -2})
	both("entity", func(a vimtest.Answer) { t.Helper(); vimtest.Invalid("permission.entity", a) },
		types.Permission{Principal: "ann", RoleId: -1, Entity: &other})
	for name, args := range map[string]any{
		"SetEntityPermissions":      &types.SetEntityPermissionsRequestType{Entity: other},
		"ResetEntityPermissions":    &types.ResetEntityPermissionsRequestType{Entity: other},
		"RemoveEntityPermission":    &types.RemoveEntityPermissionRequestType{Entity: other, User: "ann"},
		"RetrieveEntityPermissions": &types.RetrieveEntityPermissionsRequestType{Entity: other},
		"HasPrivilegeOnEntity":      &types.HasPrivilegeOnEntityRequestType{Entity: other},
		"HasPrivilegeOnEntities": &types.HasPrivilegeOnEntitiesRequestType{
			Entity: []types.ManagedObjectReference{vim.RootFolder(), other}},
		"HasUserPrivilegeOnEntities": &types.HasUserPrivilegeOnEntitiesRequestType{
			Entities: []types.ManagedObjectReference{other}, UserName: "ann"},
		"FetchUserPrivilegeOnEntities": &types.FetchUserPrivilegeOnEntitiesRequestType{
			Entities: []types.ManagedObjectReference{other}, UserName: "ann"},
	} {
		if got := vimtest.Fails[types.ManagedObjectNotFound](f.On(authority, name, args)); got.Obj != other {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestTheLastAdministratorCannotBeRemoved(t *testing.T) {
	f := newFixture(t)
	for name, a := range map[string]vimtest.Answer{
		"set":    f.Grant(f.Admin, types.Permission{Principal: vimtest.AdminName, RoleId: access.ReadOnly}),
		"reset":  f.reset(f.Admin),
		"remove": f.Revoke(f.Admin, vimtest.AdminName, false),
		"merge": f.On(authority, "MergePermissions",
			&types.MergePermissionsRequestType{SrcRoleId: -1, DstRoleId: access.ReadOnly}),
		"disable": f.On("HostLocalAccountManager", "DisableUser",
			&admin.DisableUserRequestType{UserName: vimtest.AdminName}),
		"delete": f.On("HostLocalAccountManager", "RemoveUser",
			&types.RemoveUserRequestType{UserName: vimtest.AdminName}),
	} {
		if a.Fault == nil || a.Fault.Kind() != "AuthMinimumAdminPermission" {
			t.Errorf("%s: %v", name, a.Fault)
		}
	}
	vimtest.OK(f.Grant(f.Admin, types.Permission{Principal: vimtest.AnnName, RoleId: -1}))
	vimtest.OK(f.Revoke(f.Ann, vimtest.AdminName, false))
	vimtest.Fails[types.AuthMinimumAdminPermission](f.Revoke(f.Ann, vimtest.AnnName, false))
}

func TestNobodyGrantsOrRevokesPrivilegesThatItDoesNotHave(t *testing.T) {
	f := newFixture(t)
	strong := f.AddRole("Strong", "Sessions.ImpersonateUser")
	clerk := f.User("clerk", "Authorization.ModifyPermissions", "Authorization.ModifyRoles",
		"Authorization.ReassignRolePermissions", "Host.Local.ManageUserGroups")
	lacks := func(a vimtest.Answer, privilege string) {
		t.Helper()
		got := vimtest.Fails[types.NoPermission](a)
		if len(got.MissingPrivileges) != 1 || got.MissingPrivileges[0].Entity != vim.RootFolder() ||
			!slices.Contains(got.MissingPrivileges[0].PrivilegeIds, privilege) {
			t.Errorf("missing: %+v", got)
		}
	}
	const want = "Sessions.ImpersonateUser"
	lacks(f.Grant(clerk, types.Permission{Principal: "clerk", RoleId: strong}), want)
	lacks(f.Grant(clerk, types.Permission{Principal: "clerk", RoleId: -1}), want)
	lacks(f.Grant(clerk, types.Permission{Principal: vimtest.AdminName, RoleId: access.NoAccess}), want)
	lacks(f.Revoke(clerk, vimtest.AdminName, false), want)
	lacks(f.reset(clerk, types.Permission{Principal: "clerk", RoleId: access.ReadOnly}), want)
	lacks(f.As(clerk, authority, "MergePermissions",
		&types.MergePermissionsRequestType{SrcRoleId: access.ReadOnly, DstRoleId: strong}), want)
	lacks(f.As(clerk, authority, "MergePermissions",
		&types.MergePermissionsRequestType{SrcRoleId: -1, DstRoleId: access.ReadOnly}), want)
	own := vimtest.Get[[]types.Permission](f.On(authority, "RetrieveAllPermissions",
		&types.RetrieveAllPermissionsRequestType{}))[2].RoleId
	lacks(f.As(clerk, authority, "UpdateAuthorizationRole",
		&types.UpdateAuthorizationRoleRequestType{RoleId: own, NewName: "Mine", PrivIds: []string{want}}), want)
	lacks(f.As(clerk, "HostLocalAccountManager", "UpdateUser",
		&types.UpdateUserRequestType{User: &types.HostAccountSpec{Id: vimtest.AdminName,
			Password: "another password"}}), want)
	vimtest.OK(f.Grant(f.Admin, types.Permission{Principal: "ann", RoleId: strong}))
	lacks(f.As(clerk, authority, "RemoveAuthorizationRole",
		&types.RemoveAuthorizationRoleRequestType{RoleId: strong}), want)
	lacks(f.As(clerk, authority, "UpdateAuthorizationRole",
		&types.UpdateAuthorizationRoleRequestType{RoleId: strong, NewName: "Weaker",
			PrivIds: []string{"Authorization.ModifyRoles"}}), want)
	// It may give and take the privileges that it has.
	vimtest.OK(f.As(f.Admin, authority, "UpdateAuthorizationRole",
		&types.UpdateAuthorizationRoleRequestType{RoleId: strong, NewName: "Weaker",
			PrivIds: []string{"Authorization.ModifyRoles"}}))
	vimtest.OK(f.As(clerk, authority, "UpdateAuthorizationRole",
		&types.UpdateAuthorizationRoleRequestType{RoleId: strong, NewName: "Weakest"}))
	vimtest.OK(f.Grant(clerk, types.Permission{Principal: "ann", RoleId: own}))
}

func TestPrivilegesOfASessionAreFoundByItsKey(t *testing.T) {
	f := newFixture(t)
	ids := []string{"System.Read", "Sessions.TerminateSession", "No.Such", "System.View"}
	one := func(key string) vimtest.Answer {
		return f.As(f.Ann, authority, "HasPrivilegeOnEntity",
			&types.HasPrivilegeOnEntityRequestType{Entity: vim.RootFolder(), SessionId: key, PrivId: ids})
	}
	if got := vimtest.Get[[]bool](one(f.Key(f.Ann))); !slices.Equal(got, []bool{true, false, false, true}) {
		t.Errorf("Ann: %v", got)
	}
	if got := vimtest.Get[[]bool](one(f.Key(f.Admin))); !slices.Equal(got, []bool{true, true, false, true}) {
		t.Errorf("administrator: %v", got)
	}
	many := vimtest.Get[[]types.EntityPrivilege](f.As(f.Ann, authority, "HasPrivilegeOnEntities",
		&types.HasPrivilegeOnEntitiesRequestType{Entity: []types.ManagedObjectReference{vim.RootFolder()},
			SessionId: f.Key(f.Ann), PrivId: ids[:2]}))
	if len(many) != 1 || many[0].Entity != vim.RootFolder() ||
		!slices.Equal(many[0].PrivAvailability,
			[]types.PrivilegeAvailability{{PrivId: ids[0], IsGranted: true}, {PrivId: ids[1]}}) {
		t.Errorf("%+v", many)
	}
	for _, key := range []string{"", f.Ann, uuid.NewString()} { // a token is not a key
		vimtest.Invalid("sessionId", one(key))
		vimtest.Invalid("sessionId", f.As(f.Ann, authority, "HasPrivilegeOnEntities",
			&types.HasPrivilegeOnEntitiesRequestType{SessionId: key}))
	}
}

func TestPrivilegesOfAUserAreFoundByName(t *testing.T) {
	f := newFixture(t)
	for name, want := range map[string][]bool{"ann@VSPHERE.LOCAL": {true, false},
		`vsphere.local\administrator`: {true, true}, "nobody": {false, false}} {
		got := vimtest.Get[[]types.EntityPrivilege](
			f.As(f.Ann, authority, "HasUserPrivilegeOnEntities", &types.HasUserPrivilegeOnEntitiesRequestType{
				Entities: []types.ManagedObjectReference{f.Ref("SessionManager"),
					vim.RootFolder()}, UserName: name, PrivId: []string{"System.Read", "Global.Settings"}}))
		for _, e := range got {
			if e.PrivAvailability[0].IsGranted != want[0] || e.PrivAvailability[1].IsGranted != want[1] {
				t.Errorf("%s: %+v", name, got)
			}
		}
		if len(got) != 2 {
			t.Errorf("%s: %+v", name, got)
		}
	}
	fetch := func(name string) vimtest.Answer {
		return f.As(f.Ann, authority, "FetchUserPrivilegeOnEntities",
			&types.FetchUserPrivilegeOnEntitiesRequestType{Entities: []types.ManagedObjectReference{vim.RootFolder()},
				UserName: name})
	}
	if got := vimtest.Get[[]types.UserPrivilegeResult](fetch("ann")); len(got) != 1 ||
		!slices.Equal(got[0].Privileges, []string{"System.Anonymous", "System.Read", "System.View"}) {
		t.Errorf("%+v", got)
	}
	vimtest.Invalid("userName", fetch(""))
	vimtest.Invalid("userName", f.As(f.Ann, authority, "HasUserPrivilegeOnEntities",
		&types.HasUserPrivilegeOnEntitiesRequestType{UserName: `\`}))
}

func TestRolesAndPrivilegesAreDescribedInTheCallersLanguage(t *testing.T) {
	f := newFixture(t)
	vimtest.OK(f.As(f.Ann, "SessionManager", "SetLocale", &types.SetLocaleRequestType{Locale: "de_DE"}))
	label := func(token string) string { return f.shownRole(token, access.ReadOnly).Info.GetDescription().Label }
	if en, de := label(f.Admin), label(f.Ann); en != "Read-only" || de == en || strings.HasPrefix(de, "role.") {
		t.Errorf("%q, %q", en, de)
	}
	list := vimtest.Get[[]types.AuthorizationPrivilege](f.Prop(f.Ann, authority, "privilegeList"))
	d := vimtest.Get[types.AuthorizationDescription](f.Prop(f.Ann, authority, "description"))
	if len(d.Privilege) != len(list) || len(list) == 0 {
		t.Fatalf("%d privileges, %d described", len(list), len(d.Privilege))
	}
	for i, p := range list {
		if e := d.Privilege[i].GetElementDescription(); e.Key != p.PrivId || e.Label == "" ||
			strings.HasPrefix(e.Label, "privilege.") || e.Summary == "" {
			t.Errorf("%+v of %+v", e, p)
		}
		if !slices.ContainsFunc(d.PrivilegeGroup, func(g types.BaseElementDescription) bool {
			return g.GetElementDescription().Key == p.PrivGroupName &&
				!strings.HasPrefix(g.GetElementDescription().Label, "group.")
		}) {
			t.Errorf("group of %+v is not described", p)
		}
	}
}

func TestChangesOfAuthorityLeaveAnAuditLine(t *testing.T) {
	f := newFixture(t)
	id := f.AddRole("Operator")
	vimtest.OK(f.Grant(f.Admin, types.Permission{Principal: "ann", RoleId: id}))
	vimtest.Fails[types.NoPermission](f.Grant(f.Ann, types.Permission{Principal: "ann", RoleId: -1}))
	for _, want := range []string{
		`msg=audit operation=AuthorizationManager.AddAuthorizationRole outcome=success ` +
			`user=VSPHERE.LOCAL\Administrator`,
		"operation=AuthorizationManager.SetEntityPermissions outcome=success", "principal=ann",
		`operation=AuthorizationManager.SetEntityPermissions outcome=NoPermission user=VSPHERE.LOCAL\Ann`,
	} {
		if !strings.Contains(f.Logged(), want) {
			t.Errorf("no line with %s", want)
		}
	}
}
