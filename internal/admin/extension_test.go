package admin_test

import (
	"crypto/x509"
	"encoding/pem"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/admin"
	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/vim"
	"github.com/vigate/vigate/internal/vim/vimtest"
)

const extensions = "ExtensionManager"

func (f *fixture) find(key string) *types.Extension {
	f.t.Helper()
	a := f.As(f.Ann, extensions, "FindExtension", &types.FindExtensionRequestType{ExtensionKey: key})
	if a.Fault == nil && a.Value == nil {
		return nil
	}
	return vimtest.Get[*types.Extension](a)
}

func TestAnExtensionIsStoredAsItWasRegistered(t *testing.T) {
	f := newFixture(t)
	if x := f.find("com.acme"); x != nil {
		t.Errorf("found %+v", x)
	}
	vimtest.OK(f.Register(vimtest.Extension("com.acme")))
	x := f.find("COM.acme")
	if x == nil || x.Key != "com.acme" || x.Version != "1.2" ||
		x.Description.GetDescription().Label != "An extension" ||
		len(x.Server) != 1 || x.Server[0].Description.GetDescription().Label != "S" ||
		!x.LastHeartbeatTime.Equal(f.Now()) {
		t.Fatalf("found %+v", x)
	}
	f.Pass(time.Minute)
	changed := vimtest.Extension("com.acme")
	changed.Version = "2"
	vimtest.OK(f.On(extensions, "UpdateExtension", &types.UpdateExtensionRequestType{Extension: changed}))
	list := vimtest.Get[[]types.Extension](f.Prop(f.Ann, extensions, "extensionList"))
	if len(list) != 1 || list[0].Version != "2" || !list[0].LastHeartbeatTime.Equal(f.Now()) {
		t.Errorf("list %+v", list)
	}
	vimtest.OK(f.On(extensions, "UnregisterExtension", &types.UnregisterExtensionRequestType{ExtensionKey: "com.acme"}))
	if x := f.find("com.acme"); x != nil {
		t.Errorf("found %+v", x)
	}
}

func TestInvalidExtensionsAreRefused(t *testing.T) {
	f := newFixture(t)
	vimtest.OK(f.Register(vimtest.Extension("com.acme")))
	for property, edit := range map[string]func(*types.Extension){
		"extension.key":         func(x *types.Extension) { x.Key = "" },
		"extension.description": func(x *types.Extension) { x.Description = nil },
		"extension.subjectName": func(x *types.Extension) { x.SubjectName = "no name" },
		"extension.privilegeList": func(x *types.Extension) {
			x.PrivilegeList = append(x.PrivilegeList, x.PrivilegeList...)
		},
		"extension": func(x *types.Extension) { x.Company = strings.Repeat("x", 300<<10) },
	} {
		x := vimtest.Extension("com.other")
		edit(&x)
		vimtest.Invalid(property, f.Register(x))
		x.Key = "com.acme"
		if property != "extension.key" {
			vimtest.Invalid(property, f.On(extensions, "UpdateExtension",
				&types.UpdateExtensionRequestType{Extension: x}))
		}
	}
	vimtest.Invalid("extension.key", f.Register(vimtest.Extension("COM.ACME")))
	vimtest.Fails[types.NotFound](f.On(extensions, "UpdateExtension",
		&types.UpdateExtensionRequestType{Extension: vimtest.Extension("no")}))
	vimtest.Fails[types.NotFound](f.On(extensions, "UnregisterExtension",
		&types.UnregisterExtensionRequestType{ExtensionKey: "no"}))
}

func TestAnExtensionLogsInWithTheCertificateThatWasSetUntilItIsUnregistered(t *testing.T) {
	f := newFixture(t)
	vimtest.OK(f.Register(vimtest.Extension("com.acme")))
	set := func(key, pem string) vimtest.Answer {
		return f.On(extensions, "SetExtensionCertificate",
			&types.SetExtensionCertificateRequestType{ExtensionKey: key, CertificatePem: pem})
	}
	own, other := f.Certificate("com.acme"), f.Certificate("other")
	vimtest.Fails[types.NoClientCertificate](set("com.acme", ""))
	vimtest.Invalid("certificatePem", set("com.acme", "nonsense"))
	vimtest.Fails[types.NotFound](set("no", pemOf("CERTIFICATE", own.Raw)))
	vimtest.OK(set("com.acme", pemOf("CERTIFICATE", other.Raw)))
	f.Peer.Certificates = []*x509.Certificate{own}
	login := func() (vim.Result, *vim.Fault) {
		return f.Send("", f.Ref("SessionManager"), "LoginExtensionByCertificate",
			&types.LoginExtensionByCertificateRequestType{ExtensionKey: "com.acme"})
	}
	if _, fault := login(); fault == nil || fault.Kind() != "InvalidLogin" {
		t.Errorf("another's certificate: %v", fault)
	}
	vimtest.OK(set("com.acme", "")) // the certificate of the connection
	r, fault := login()
	if fault != nil {
		t.Fatal(fault)
	}
	s := r.Value.(types.UserSession)
	if s.UserName != "com.acme" || !s.ExtensionSession {
		t.Errorf("session %+v", s)
	}
	vimtest.OK(f.On(extensions, "UnregisterExtension", &types.UnregisterExtensionRequestType{ExtensionKey: "com.acme"}))
	if f.Alive(r.Token.Reveal()) || !f.Alive(f.Admin) {
		t.Error("the wrong session is alive")
	}
}

func TestPublicKeysAreSetAndTheServersIsReturned(t *testing.T) {
	f := newFixture(t)
	vimtest.OK(f.Register(vimtest.Extension("com.acme")))
	set := func(key, text string) vimtest.Answer {
		return f.On(extensions, "SetPublicKey", &types.SetPublicKeyRequestType{ExtensionKey: key, PublicKey: text})
	}
	good := pemOf("PUBLIC KEY", f.Certificate("x").RawSubjectPublicKeyInfo)
	vimtest.OK(set("com.acme", good))
	if e, _ := f.Extensions.Find("com.acme"); e.PublicKey != good {
		t.Errorf("kept %q", e.PublicKey)
	}
	vimtest.Invalid("publicKey", set("com.acme", "nonsense"))
	vimtest.Fails[types.NotFound](set("no", good))
	if got := vimtest.Get[string](f.As(f.Ann, extensions, "GetPublicKey",
		&types.GetPublicKeyRequestType{})); got != vimtest.PublicKey {
		t.Errorf("server's key %q", got)
	}
}

func TestExtensionsManageAndAllocateNothing(t *testing.T) {
	f := newFixture(t)
	if got := vimtest.Get[[]types.ManagedObjectReference](
		f.As(f.Ann, extensions, "QueryManagedBy", &types.QueryManagedByRequestType{ExtensionKey: "x"})); got == nil ||
		len(got) > 0 {
		t.Errorf("%#v", got)
	}
	if got := vimtest.Get[[]types.ExtensionManagerIpAllocationUsage](
		f.As(f.Ann, extensions, "QueryExtensionIpAllocationUsage",
			&types.QueryExtensionIpAllocationUsageRequestType{})); got == nil || len(got) > 0 {
		t.Errorf("%#v", got)
	}
}

func TestPrivilegesThatAnExtensionDeclaresCanBeGranted(t *testing.T) {
	f := newFixture(t)
	vimtest.OK(f.Register(vimtest.Extension("com.acme")))
	role := f.AddRole("Doer", "Acme.Do")
	vimtest.OK(f.Grant(f.Admin, types.Permission{Principal: "ann", RoleId: role}))
	if got := vimtest.Get[[]bool](f.As(f.Ann, authority, "HasPrivilegeOnEntity",
		&types.HasPrivilegeOnEntityRequestType{Entity: vim.RootFolder(), SessionId: f.Key(f.Ann),
			PrivId: []string{"Acme.Do"}})); !slices.Equal(got, []bool{true}) {
		t.Errorf("has %v", got)
	}
	vimtest.OK(f.As(f.Ann, "SessionManager", "SetLocale", &types.SetLocaleRequestType{Locale: "de"}))
	d := vimtest.Get[types.AuthorizationDescription](f.Prop(f.Ann, authority, "description"))
	labels := map[string]string{}
	for _, e := range append(d.Privilege, d.PrivilegeGroup...) {
		labels[e.GetElementDescription().Key] = e.GetElementDescription().Label
	}
	if labels["Acme.Do"] != "Tun" || labels["Acme"] != "Acme" || labels["System.View"] == "Falsch" {
		t.Errorf("labels %v", labels)
	}
}

func TestOnlyItsHoldersGiveOrTakeAPrivilegeThatNoExtensionDeclaresAnyMore(t *testing.T) {
	f := newFixture(t)
	vimtest.OK(f.Register(vimtest.Extension("com.acme")))
	role := f.AddRole("Doer", "Acme.Do")
	vimtest.OK(f.Create("holder", "password of holder", ""))
	clerk := f.User("clerk", "Authorization.ModifyPermissions", "Authorization.ModifyRoles",
		"Authorization.ReassignRolePermissions", "Host.Local.ManageUserGroups")
	vimtest.OK(f.Grant(f.Admin, types.Permission{Principal: "holder", RoleId: role, Propagate: true}))
	vimtest.OK(f.On(extensions, "UnregisterExtension", &types.UnregisterExtensionRequestType{ExtensionKey: "com.acme"}))
	for name, a := range map[string]vimtest.Answer{
		"gives it itself": f.Grant(clerk, types.Permission{Principal: "clerk", RoleId: role}),
		"merges it": f.As(clerk, authority, "MergePermissions",
			&types.MergePermissionsRequestType{SrcRoleId: access.ReadOnly, DstRoleId: role}),
		"takes it": f.Revoke(clerk, "holder", false),
		"removes the role": f.As(clerk, authority, "RemoveAuthorizationRole",
			&types.RemoveAuthorizationRoleRequestType{RoleId: role}),
		"sets its password": f.As(clerk, accounts, "UpdateUser",
			&types.UpdateUserRequestType{User: &types.HostAccountSpec{Id: "holder", Password: "another password"}}),
		"removes its holder":  f.As(clerk, accounts, "RemoveUser", &types.RemoveUserRequestType{UserName: "holder"}),
		"disables its holder": f.As(clerk, accounts, "DisableUser", &admin.DisableUserRequestType{UserName: "holder"}),
	} {
		if got := a.Fault; got == nil || got.Kind() != "NoPermission" {
			t.Errorf("%s: %v", name, got)
		}
	}
	vimtest.OK(f.Grant(f.Admin, types.Permission{Principal: "clerk", RoleId: role}))
}

func TestAPermissionOfAnExtensionDoesNotApplyToAUser(t *testing.T) {
	f := newFixture(t)
	vimtest.OK(f.Register(vimtest.Extension("com.acme")))
	vimtest.OK(f.Grant(f.Admin, types.Permission{Principal: "com.acme", RoleId: -2}))
	all := vimtest.Get[[]types.Permission](
		f.On(authority, "RetrieveAllPermissions", &types.RetrieveAllPermissionsRequestType{}))
	if got := all[len(all)-1].Principal; got != "com.acme" {
		t.Errorf("principal %q", got)
	}
	if got := vimtest.Get[[]types.UserPrivilegeResult](
		f.On(authority, "FetchUserPrivilegeOnEntities", &types.FetchUserPrivilegeOnEntitiesRequestType{
			Entities: []types.ManagedObjectReference{vim.RootFolder()}, UserName: "com.acme"})); !slices.Contains(
		got[0].Privileges, "Sessions.ImpersonateUser") {
		t.Errorf("privileges %v", got)
	}
	vimtest.OK(f.Revoke(f.Admin, "com.acme", false))
	for _, p := range vimtest.Get[[]types.Permission](
		f.On(authority, "RetrieveAllPermissions", &types.RetrieveAllPermissionsRequestType{})) {
		if p.Principal == "com.acme" {
			t.Errorf("still there: %+v", p)
		}
	}
}

// A name belongs either to a user or to an extension: nobody can create one of them if the other
// exists, in any spelling. An older version allowed both. Then the user takes precedence, and the
// permission that is shown under the name without a domain can be removed by that name.
func TestUsersTakePrecedenceOverExtensionsOfTheSameName(t *testing.T) {
	f := newFixture(t)
	vimtest.OK(f.Create("kate", "password of kate", ""))
	vimtest.OK(f.Register(vimtest.Extension("com.acme")))
	for _, taken := range []string{"kate", "KATE", "Kate"} {
		vimtest.Invalid("extension.key", f.Register(vimtest.Extension(taken)))
	}
	for _, taken := range []string{"com.acme", "Com.Acme", "com.ɑcme"} {
		vimtest.Fails[types.AlreadyExists](f.Create(taken, "password of acme", ""))
	}
	raw := func(value string) {
		t.Helper()
		_, err := f.Mirror.Commit(t.Context(), store.Put(store.Extension, "ext:kate", []byte(value), time.Time{}))
		f.Must(err)
	}
	raw(`{"v":1,"key":"kate","data":{"_typeName":"Extension","key":"kate","version":"1"},` +
		`"registered":"2025-01-01T00:00:00Z","updated":"2025-01-01T00:00:00Z"}`)
	for range 5 {
		vimtest.OK(f.Grant(f.Admin, types.Permission{Principal: "kate", RoleId: -2}))
	}
	if p := f.Access.Permissions(); len(p) == 0 || p[len(p)-1].Principal.String() != `VSPHERE.LOCAL\kate` {
		t.Errorf("permissions %v", p)
	}
	fetch := &types.FetchUserPrivilegeOnEntitiesRequestType{
		Entities: []types.ManagedObjectReference{vim.RootFolder()}, UserName: "kate"}
	if got := vimtest.Get[[]types.UserPrivilegeResult](
		f.On(authority, "FetchUserPrivilegeOnEntities", fetch)); slices.Contains(
		got[0].Privileges, "Sessions.ImpersonateUser") {
		t.Errorf("the user has the privileges of an extension: %v", got)
	}
	vimtest.OK(f.On(extensions, "UnregisterExtension", &types.UnregisterExtensionRequestType{ExtensionKey: "kate"}))
	f.Login("kate", "password of kate")
}

func pemOf(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}
