package vim

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/access"
)

const authority = "AuthorizationManager"

func (f *fixture) addRole(name string, privileges ...string) int32 {
	f.t.Helper()
	return get[int32](f, f.on(authority, "AddAuthorizationRole", &types.AddAuthorizationRoleRequestType{Name: name, PrivIds: privileges}))
}

func (f *fixture) set(token string, all ...types.Permission) answer {
	f.t.Helper()
	return f.as(token, authority, "SetEntityPermissions", &types.SetEntityPermissionsRequestType{Entity: RootFolder(), Permission: all})
}

func (f *fixture) reset(token string, all ...types.Permission) answer {
	f.t.Helper()
	return f.as(token, authority, "ResetEntityPermissions", &types.ResetEntityPermissionsRequestType{Entity: RootFolder(), Permission: all})
}

func (f *fixture) unset(token, name string, group bool) answer {
	f.t.Helper()
	return f.as(token, authority, "RemoveEntityPermission", &types.RemoveEntityPermissionRequestType{Entity: RootFolder(), User: name, IsGroup: group})
}

// role is a role as roleList shows it to the token.
func (f *fixture) shownRole(token string, id int32) *types.AuthorizationRole {
	f.t.Helper()
	for _, r := range get[[]types.AuthorizationRole](f, f.prop(token, authority, "roleList")) {
		if r.RoleId == id {
			return &r
		}
	}
	return nil
}

func TestRolesAreAddedChangedAndRemoved(t *testing.T) {
	f := newFixture(t)
	id := f.addRole("Operator", "Sessions.TerminateSession")
	r := f.shownRole(f.ann, id)
	if r == nil || r.Name != "Operator" || r.System || !slices.Equal(r.Privilege, []string{"Sessions.TerminateSession", "System.Anonymous", "System.Read", "System.View"}) {
		t.Fatalf("role: %+v", r)
	}
	ok(f, f.on(authority, "UpdateAuthorizationRole", &types.UpdateAuthorizationRoleRequestType{RoleId: id, NewName: "Watcher", PrivIds: []string{"Sessions.ValidateSession"}}))
	if r = f.shownRole(f.ann, id); r.Name != "Watcher" || !slices.Contains(r.Privilege, "Sessions.ValidateSession") || slices.Contains(r.Privilege, "Sessions.TerminateSession") {
		t.Errorf("role: %+v", r)
	}
	ok(f, f.on(authority, "RemoveAuthorizationRole", &types.RemoveAuthorizationRoleRequestType{RoleId: id, FailIfUsed: true}))
	if r = f.shownRole(f.ann, id); r != nil {
		t.Errorf("still there: %+v", r)
	}
}

func TestARoleThatCannotBeIsRefused(t *testing.T) {
	f := newFixture(t)
	id := f.addRole("Operator")
	add := func(name string, privileges ...string) answer {
		return f.on(authority, "AddAuthorizationRole", &types.AddAuthorizationRoleRequestType{Name: name, PrivIds: privileges})
	}
	update := func(id int32, name string, privileges ...string) answer {
		return f.on(authority, "UpdateAuthorizationRole", &types.UpdateAuthorizationRoleRequestType{RoleId: id, NewName: name, PrivIds: privileges})
	}
	remove := func(id int32, failIfUsed bool) answer {
		return f.on(authority, "RemoveAuthorizationRole", &types.RemoveAuthorizationRoleRequestType{RoleId: id, FailIfUsed: failIfUsed})
	}
	for _, name := range []string{"operator", "admin"} {
		if got := fails[types.AlreadyExists](f, add(name)); got.Name != name {
			t.Errorf("name %q", got.Name)
		}
	}
	if got := fails[types.InvalidName](f, add(" ")); got.Name != " " {
		t.Errorf("name %q", got.Name)
	}
	invalid(f, "privIds", add("Other", "No.Such"))
	fails[types.NotFound](f, update(99, "X"))
	fails[types.AlreadyExists](f, update(id, "ADMIN"))
	fails[types.InvalidName](f, update(id, ""))
	invalid(f, "privIds", update(id, "Operator", "No.Such"))
	invalid(f, "roleId", update(-1, "X"))
	fails[types.NotFound](f, remove(99, false))
	invalid(f, "roleId", remove(-1, false))
	ok(f, f.set(f.admin, types.Permission{Principal: "ann", RoleId: id}))
	fails[types.RemoveFailed](f, remove(id, true))
	ok(f, remove(id, false))
	if got := get[[]types.Permission](f, f.on(authority, "RetrieveAllPermissions", &types.RetrieveAllPermissionsRequestType{})); len(got) != 1 {
		t.Errorf("permissions: %+v", got)
	}
}

func TestAChangeOfAuthorityHoldsAtOnce(t *testing.T) {
	f := newFixture(t)
	may := func() bool { _, fault := f.read(f.ann, "SessionManager", "sessionList"); return fault == nil }
	id := f.addRole("Operator")
	ok(f, f.set(f.admin, types.Permission{Principal: "Ann@vsphere.local", RoleId: id}))
	if may() {
		t.Error("before the role has the privilege")
	}
	ok(f, f.on(authority, "UpdateAuthorizationRole", &types.UpdateAuthorizationRoleRequestType{RoleId: id, NewName: "Operator", PrivIds: []string{"Sessions.TerminateSession"}}))
	if !may() {
		t.Error("not after the role was given it")
	}
	ok(f, f.unset(f.admin, "ANN", false))
	if may() {
		t.Error("after the permission was removed")
	}
	fails[types.NotFound](f, f.unset(f.admin, "ann", false))
	ok(f, f.set(f.admin, types.Permission{Principal: annName, RoleId: id}))
	ok(f, f.on(authority, "MergePermissions", &types.MergePermissionsRequestType{SrcRoleId: id, DstRoleId: access.ReadOnly}))
	if may() {
		t.Error("after the role was merged into another")
	}
}

func TestPermissionsAreShownAsTheyWereSet(t *testing.T) {
	f := newFixture(t)
	ok(f, f.set(f.admin, types.Permission{Principal: "ann", RoleId: access.NoAccess, Propagate: true, Entity: new(RootFolder())}))
	want := []types.Permission{
		{Entity: new(RootFolder()), Principal: adminName, RoleId: -1, Propagate: true},
		{Entity: new(RootFolder()), Principal: annName, RoleId: access.NoAccess, Propagate: true},
	}
	same := func(got, want []types.Permission) {
		t.Helper()
		if !slices.EqualFunc(got, want, func(a, b types.Permission) bool {
			return a.Entity != nil && *a.Entity == RootFolder() && a.Principal == b.Principal && a.RoleId == b.RoleId && a.Group == b.Group && a.Propagate == b.Propagate
		}) {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
	same(get[[]types.Permission](f, f.on(authority, "RetrieveAllPermissions", &types.RetrieveAllPermissionsRequestType{})), want)
	same(get[[]types.Permission](f, f.on(authority, "RetrieveEntityPermissions", &types.RetrieveEntityPermissionsRequestType{Entity: RootFolder(), Inherited: true})), want)
	same(get[[]types.Permission](f, f.on(authority, "RetrieveRolePermissions", &types.RetrieveRolePermissionsRequestType{RoleId: access.NoAccess})), want[1:])
	fails[types.NotFound](f, f.on(authority, "RetrieveRolePermissions", &types.RetrieveRolePermissionsRequestType{RoleId: 77}))
	ok(f, f.reset(f.admin, types.Permission{Principal: adminName, RoleId: -1}))
	same(get[[]types.Permission](f, f.on(authority, "RetrieveAllPermissions", &types.RetrieveAllPermissionsRequestType{})),
		[]types.Permission{{Principal: adminName, RoleId: -1}})
}

func TestPermissionsThatCannotBeAreRefused(t *testing.T) {
	f := newFixture(t)
	other := types.ManagedObjectReference{Type: "Folder", Value: "group-d2"}
	both := func(name string, check func(answer), p ...types.Permission) {
		t.Helper()
		for _, a := range []answer{f.set(f.admin, p...), f.reset(f.admin, p...)} {
			check(a)
		}
	}
	unknown := func(who string) func(answer) {
		return func(a answer) {
			t.Helper()
			if got := fails[types.UserNotFound](f, a); got.Principal != who || got.Unresolved {
				t.Errorf("got %+v, want %s", got, who)
			}
		}
	}
	admin := types.Permission{Principal: adminName, RoleId: -1}
	both("user", unknown(`VSPHERE.LOCAL\nobody`), admin, types.Permission{Principal: "nobody", RoleId: -1})
	both("system account", unknown(`LOCALOS\nobody`), types.Permission{Principal: `localos\operator`, RoleId: -1}, types.Permission{Principal: "nobody@LOCALOS", RoleId: -1})
	both("no name", unknown(`a\b\c`), types.Permission{Principal: `a\b\c`, RoleId: -1})
	both("group", unknown(annName), types.Permission{Principal: annName, Group: true, RoleId: -1})
	both("role", func(a answer) { t.Helper(); fails[types.NotFound](f, a) }, types.Permission{Principal: "ann", RoleId: 99})
	for _, role := range []int32{access.View, access.Anonymous} {
		both("reserved role", func(a answer) { t.Helper(); invalid(f, "permission.roleId", a) }, types.Permission{Principal: "ann", RoleId: role})
	}
	both("twice", func(a answer) { t.Helper(); invalid(f, "permission.principal", a) }, types.Permission{Principal: "ann", RoleId: -1}, types.Permission{Principal: "ANN", RoleId: -2})
	both("entity", func(a answer) { t.Helper(); invalid(f, "permission.entity", a) }, types.Permission{Principal: "ann", RoleId: -1, Entity: &other})
	for name, args := range map[string]any{
		"SetEntityPermissions":      &types.SetEntityPermissionsRequestType{Entity: other},
		"ResetEntityPermissions":    &types.ResetEntityPermissionsRequestType{Entity: other},
		"RemoveEntityPermission":    &types.RemoveEntityPermissionRequestType{Entity: other, User: "ann"},
		"RetrieveEntityPermissions": &types.RetrieveEntityPermissionsRequestType{Entity: other},
		"HasPrivilegeOnEntity":      &types.HasPrivilegeOnEntityRequestType{Entity: other},
		"HasPrivilegeOnEntities":    &types.HasPrivilegeOnEntitiesRequestType{Entity: []types.ManagedObjectReference{RootFolder(), other}},
		"HasUserPrivilegeOnEntities": &types.HasUserPrivilegeOnEntitiesRequestType{
			Entities: []types.ManagedObjectReference{other}, UserName: "ann"},
		"FetchUserPrivilegeOnEntities": &types.FetchUserPrivilegeOnEntitiesRequestType{
			Entities: []types.ManagedObjectReference{other}, UserName: "ann"},
	} {
		if got := fails[types.ManagedObjectNotFound](f, f.on(authority, name, args)); got.Obj != other {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestTheLastAdministratorStays(t *testing.T) {
	f := newFixture(t)
	for name, a := range map[string]answer{
		"set":     f.set(f.admin, types.Permission{Principal: adminName, RoleId: access.ReadOnly}),
		"reset":   f.reset(f.admin),
		"remove":  f.unset(f.admin, adminName, false),
		"merge":   f.on(authority, "MergePermissions", &types.MergePermissionsRequestType{SrcRoleId: -1, DstRoleId: access.ReadOnly}),
		"disable": f.on("HostLocalAccountManager", "DisableUser", &DisableUserRequestType{UserName: adminName}),
		"delete":  f.on("HostLocalAccountManager", "RemoveUser", &types.RemoveUserRequestType{UserName: adminName}),
	} {
		if a.fault == nil || a.fault.Kind() != "AuthMinimumAdminPermission" {
			t.Errorf("%s: %v", name, a.fault)
		}
	}
	ok(f, f.set(f.admin, types.Permission{Principal: annName, RoleId: -1}))
	ok(f, f.unset(f.ann, adminName, false))
	fails[types.AuthMinimumAdminPermission](f, f.unset(f.ann, annName, false))
}

func TestNobodyGrantsOrTakesWhatItDoesNotHave(t *testing.T) {
	f := newFixture(t)
	strong := f.addRole("Strong", "Sessions.ImpersonateUser")
	clerk := f.user("clerk", "Authorization.ModifyPermissions", "Authorization.ModifyRoles", "Authorization.ReassignRolePermissions", "Host.Local.ManageUserGroups")
	lacks := func(a answer, privilege string) {
		t.Helper()
		got := fails[types.NoPermission](f, a)
		if len(got.MissingPrivileges) != 1 || got.MissingPrivileges[0].Entity != RootFolder() || !slices.Contains(got.MissingPrivileges[0].PrivilegeIds, privilege) {
			t.Errorf("missing: %+v", got)
		}
	}
	const want = "Sessions.ImpersonateUser"
	lacks(f.set(clerk, types.Permission{Principal: "clerk", RoleId: strong}), want)
	lacks(f.set(clerk, types.Permission{Principal: "clerk", RoleId: -1}), want)
	lacks(f.set(clerk, types.Permission{Principal: adminName, RoleId: access.NoAccess}), want)
	lacks(f.unset(clerk, adminName, false), want)
	lacks(f.reset(clerk, types.Permission{Principal: "clerk", RoleId: access.ReadOnly}), want)
	lacks(f.as(clerk, authority, "MergePermissions", &types.MergePermissionsRequestType{SrcRoleId: access.ReadOnly, DstRoleId: strong}), want)
	lacks(f.as(clerk, authority, "MergePermissions", &types.MergePermissionsRequestType{SrcRoleId: -1, DstRoleId: access.ReadOnly}), want)
	own := get[[]types.Permission](f, f.on(authority, "RetrieveAllPermissions", &types.RetrieveAllPermissionsRequestType{}))[2].RoleId
	lacks(f.as(clerk, authority, "UpdateAuthorizationRole", &types.UpdateAuthorizationRoleRequestType{RoleId: own, NewName: "Mine", PrivIds: []string{want}}), want)
	lacks(f.as(clerk, "HostLocalAccountManager", "UpdateUser", &types.UpdateUserRequestType{User: &types.HostAccountSpec{Id: adminName, Password: "another password"}}), want)
	ok(f, f.set(f.admin, types.Permission{Principal: "ann", RoleId: strong}))
	lacks(f.as(clerk, authority, "RemoveAuthorizationRole", &types.RemoveAuthorizationRoleRequestType{RoleId: strong}), want)
	// What it has it may give.
	ok(f, f.as(clerk, authority, "UpdateAuthorizationRole", &types.UpdateAuthorizationRoleRequestType{RoleId: strong, NewName: "Weaker", PrivIds: []string{"Authorization.ModifyRoles"}}))
	ok(f, f.set(clerk, types.Permission{Principal: "ann", RoleId: own}))
}

func TestPrivilegesOfASessionAreAskedByItsKey(t *testing.T) {
	f := newFixture(t)
	ids := []string{"System.Read", "Sessions.TerminateSession", "No.Such", "System.View"}
	one := func(key string) answer {
		return f.as(f.ann, authority, "HasPrivilegeOnEntity", &types.HasPrivilegeOnEntityRequestType{Entity: RootFolder(), SessionId: key, PrivId: ids})
	}
	if got := get[[]bool](f, one(f.key(f.ann))); !slices.Equal(got, []bool{true, false, false, true}) {
		t.Errorf("Ann: %v", got)
	}
	if got := get[[]bool](f, one(f.key(f.admin))); !slices.Equal(got, []bool{true, true, false, true}) {
		t.Errorf("administrator: %v", got)
	}
	many := get[[]types.EntityPrivilege](f, f.as(f.ann, authority, "HasPrivilegeOnEntities",
		&types.HasPrivilegeOnEntitiesRequestType{Entity: []types.ManagedObjectReference{RootFolder()}, SessionId: f.key(f.ann), PrivId: ids[:2]}))
	if len(many) != 1 || many[0].Entity != RootFolder() || !slices.Equal(many[0].PrivAvailability, []types.PrivilegeAvailability{{PrivId: ids[0], IsGranted: true}, {PrivId: ids[1]}}) {
		t.Errorf("%+v", many)
	}
	for _, key := range []string{"", f.ann, uuid.NewString()} { // a token is no key
		invalid(f, "sessionId", one(key))
		invalid(f, "sessionId", f.as(f.ann, authority, "HasPrivilegeOnEntities", &types.HasPrivilegeOnEntitiesRequestType{SessionId: key}))
	}
}

func TestPrivilegesOfAUserAreAskedByName(t *testing.T) {
	f := newFixture(t)
	for name, want := range map[string][]bool{"ann@VSPHERE.LOCAL": {true, false}, `vsphere.local\administrator`: {true, true}, "nobody": {false, false}} {
		got := get[[]types.EntityPrivilege](f, f.as(f.ann, authority, "HasUserPrivilegeOnEntities", &types.HasUserPrivilegeOnEntitiesRequestType{
			Entities: []types.ManagedObjectReference{f.ref("SessionManager"), RootFolder()}, UserName: name, PrivId: []string{"System.Read", "Global.Settings"}}))
		for _, e := range got {
			if e.PrivAvailability[0].IsGranted != want[0] || e.PrivAvailability[1].IsGranted != want[1] {
				t.Errorf("%s: %+v", name, got)
			}
		}
		if len(got) != 2 {
			t.Errorf("%s: %+v", name, got)
		}
	}
	fetch := func(name string) answer {
		return f.as(f.ann, authority, "FetchUserPrivilegeOnEntities", &types.FetchUserPrivilegeOnEntitiesRequestType{Entities: []types.ManagedObjectReference{RootFolder()}, UserName: name})
	}
	if got := get[[]types.UserPrivilegeResult](f, fetch("ann")); len(got) != 1 || !slices.Equal(got[0].Privileges, []string{"System.Anonymous", "System.Read", "System.View"}) {
		t.Errorf("%+v", got)
	}
	invalid(f, "userName", fetch(""))
	invalid(f, "userName", f.as(f.ann, authority, "HasUserPrivilegeOnEntities", &types.HasUserPrivilegeOnEntitiesRequestType{UserName: `\`}))
}

func TestRolesAndPrivilegesAreDescribedInTheCallersLanguage(t *testing.T) {
	f := newFixture(t)
	ok(f, f.as(f.ann, "SessionManager", "SetLocale", &types.SetLocaleRequestType{Locale: "de_DE"}))
	label := func(token string) string { return f.shownRole(token, access.ReadOnly).Info.GetDescription().Label }
	if en, de := label(f.admin), label(f.ann); en != "Read-only" || de == en || strings.HasPrefix(de, "role.") {
		t.Errorf("%q, %q", en, de)
	}
	list := get[[]types.AuthorizationPrivilege](f, f.prop(f.ann, authority, "privilegeList"))
	d := get[types.AuthorizationDescription](f, f.prop(f.ann, authority, "description"))
	if len(d.Privilege) != len(list) || len(list) == 0 {
		t.Fatalf("%d privileges, %d described", len(list), len(d.Privilege))
	}
	for i, p := range list {
		if e := d.Privilege[i].GetElementDescription(); e.Key != p.PrivId || e.Label == "" || strings.HasPrefix(e.Label, "privilege.") || e.Summary == "" {
			t.Errorf("%+v of %+v", e, p)
		}
		if !slices.ContainsFunc(d.PrivilegeGroup, func(g types.BaseElementDescription) bool {
			return g.GetElementDescription().Key == p.PrivGroupName && !strings.HasPrefix(g.GetElementDescription().Label, "group.")
		}) {
			t.Errorf("group of %+v is not described", p)
		}
	}
}

func TestChangesOfAuthorityLeaveAnAuditLine(t *testing.T) {
	f := newFixture(t)
	id := f.addRole("Operator")
	ok(f, f.set(f.admin, types.Permission{Principal: "ann", RoleId: id}))
	fails[types.NoPermission](f, f.set(f.ann, types.Permission{Principal: "ann", RoleId: -1}))
	for _, want := range []string{
		`msg=audit operation=AuthorizationManager.AddAuthorizationRole outcome=success user=VSPHERE.LOCAL\Administrator`,
		"operation=AuthorizationManager.SetEntityPermissions outcome=success", "principal=ann",
		`operation=AuthorizationManager.SetEntityPermissions outcome=NoPermission user=VSPHERE.LOCAL\Ann`,
	} {
		if !strings.Contains(f.log.String(), want) {
			t.Errorf("no line with %s", want)
		}
	}
}
