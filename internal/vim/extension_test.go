package vim

import (
	"crypto/x509"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vmware/govmomi/vim25/types"
)

const extensions = "ExtensionManager"

// anExtension says as much of itself as one does.
func anExtension(key string) types.Extension {
	return types.Extension{
		Description: &types.Description{Label: "An extension", Summary: "It extends"},
		Key:         key, Version: "1.2", Company: "ACME", SubjectName: "CN=" + key + ",O=ACME",
		Server:        []types.ExtensionServerInfo{{Url: "https://x.test", Description: &types.Description{Label: "S"}, AdminEmail: []string{"a@x.test"}}},
		PrivilegeList: []types.ExtensionPrivilegeInfo{{PrivID: "Acme.Do", PrivGroupName: "Acme"}},
		ResourceList: []types.ExtensionResourceInfo{{Locale: "de", Module: "auth", Data: []types.KeyValue{
			{Key: "privilege.Acme.Do.label", Value: "Tun"}, {Key: "privilege.System.View.label", Value: "Falsch"}}}},
	}
}

func (f *fixture) register(x types.Extension) answer {
	f.t.Helper()
	return f.on(extensions, "RegisterExtension", &types.RegisterExtensionRequestType{Extension: x})
}

func (f *fixture) find(key string) *types.Extension {
	f.t.Helper()
	a := f.as(f.ann, extensions, "FindExtension", &types.FindExtensionRequestType{ExtensionKey: key})
	if a.fault == nil && a.value == nil {
		return nil
	}
	return get[*types.Extension](f, a)
}

func TestAnExtensionIsKeptAsItRegistered(t *testing.T) {
	f := newFixture(t)
	if x := f.find("com.acme"); x != nil {
		t.Errorf("found %+v", x)
	}
	ok(f, f.register(anExtension("com.acme")))
	x := f.find("COM.acme")
	if x == nil || x.Key != "com.acme" || x.Version != "1.2" || x.Description.GetDescription().Label != "An extension" ||
		len(x.Server) != 1 || x.Server[0].Description.GetDescription().Label != "S" || !x.LastHeartbeatTime.Equal(f.clock.now()) {
		t.Fatalf("found %+v", x)
	}
	f.clock.pass(time.Minute)
	changed := anExtension("com.acme")
	changed.Version = "2"
	ok(f, f.on(extensions, "UpdateExtension", &types.UpdateExtensionRequestType{Extension: changed}))
	list := get[[]types.Extension](f, f.prop(f.ann, extensions, "extensionList"))
	if len(list) != 1 || list[0].Version != "2" || !list[0].LastHeartbeatTime.Equal(f.clock.now()) {
		t.Errorf("list %+v", list)
	}
	ok(f, f.on(extensions, "UnregisterExtension", &types.UnregisterExtensionRequestType{ExtensionKey: "com.acme"}))
	if x := f.find("com.acme"); x != nil {
		t.Errorf("found %+v", x)
	}
}

func TestAnExtensionThatCannotBeIsRefused(t *testing.T) {
	f := newFixture(t)
	ok(f, f.register(anExtension("com.acme")))
	for property, edit := range map[string]func(*types.Extension){
		"extension.key":           func(x *types.Extension) { x.Key = "" },
		"extension.description":   func(x *types.Extension) { x.Description = nil },
		"extension.subjectName":   func(x *types.Extension) { x.SubjectName = "no name" },
		"extension.privilegeList": func(x *types.Extension) { x.PrivilegeList = append(x.PrivilegeList, x.PrivilegeList...) },
		"extension":               func(x *types.Extension) { x.Company = strings.Repeat("x", 300<<10) },
	} {
		x := anExtension("com.other")
		edit(&x)
		invalid(f, property, f.register(x))
		x.Key = "com.acme"
		if property != "extension.key" {
			invalid(f, property, f.on(extensions, "UpdateExtension", &types.UpdateExtensionRequestType{Extension: x}))
		}
	}
	invalid(f, "extension.key", f.register(anExtension("COM.ACME")))
	fails[types.NotFound](f, f.on(extensions, "UpdateExtension", &types.UpdateExtensionRequestType{Extension: anExtension("no")}))
	fails[types.NotFound](f, f.on(extensions, "UnregisterExtension", &types.UnregisterExtensionRequestType{ExtensionKey: "no"}))
}

func TestAnExtensionLogsInWithTheCertificateThatWasSetUntilItIsUnregistered(t *testing.T) {
	f := newFixture(t)
	ok(f, f.register(anExtension("com.acme")))
	set := func(key, pem string) answer {
		return f.on(extensions, "SetExtensionCertificate", &types.SetExtensionCertificateRequestType{ExtensionKey: key, CertificatePem: pem})
	}
	own, other := certificate(t, "com.acme"), certificate(t, "other")
	fails[types.NoClientCertificate](f, set("com.acme", ""))
	invalid(f, "certificatePem", set("com.acme", "nonsense"))
	fails[types.NotFound](f, set("no", pemOf("CERTIFICATE", own.Raw)))
	ok(f, set("com.acme", pemOf("CERTIFICATE", other.Raw)))
	f.peer.Certificates = []*x509.Certificate{own}
	login := func() (Result, *Fault) {
		return f.do("", f.ref("SessionManager"), "LoginExtensionByCertificate", &types.LoginExtensionByCertificateRequestType{ExtensionKey: "com.acme"})
	}
	if _, fault := login(); fault == nil || fault.Kind() != "InvalidLogin" {
		t.Errorf("another's certificate: %v", fault)
	}
	ok(f, set("com.acme", "")) // that of the connection
	r, fault := login()
	if fault != nil {
		t.Fatal(fault)
	}
	s := r.Value.(types.UserSession)
	if s.UserName != "com.acme" || !s.ExtensionSession {
		t.Errorf("session %+v", s)
	}
	ok(f, f.on(extensions, "UnregisterExtension", &types.UnregisterExtensionRequestType{ExtensionKey: "com.acme"}))
	if f.alive(r.Token.Reveal()) || !f.alive(f.admin) {
		t.Error("the wrong session is alive")
	}
}

func TestPublicKeysAreSetAndTheServersIsTold(t *testing.T) {
	f := newFixture(t)
	ok(f, f.register(anExtension("com.acme")))
	set := func(key, text string) answer {
		return f.on(extensions, "SetPublicKey", &types.SetPublicKeyRequestType{ExtensionKey: key, PublicKey: text})
	}
	good := pemOf("PUBLIC KEY", certificate(t, "x").RawSubjectPublicKeyInfo)
	ok(f, set("com.acme", good))
	if e, _ := f.Extensions.Find("com.acme"); e.PublicKey != good {
		t.Errorf("kept %q", e.PublicKey)
	}
	invalid(f, "publicKey", set("com.acme", "nonsense"))
	fails[types.NotFound](f, set("no", good))
	if got := get[string](f, f.as(f.ann, extensions, "GetPublicKey", &types.GetPublicKeyRequestType{})); got != "server's key" {
		t.Errorf("server's key %q", got)
	}
}

func TestExtensionsManageAndAllocateNothing(t *testing.T) {
	f := newFixture(t)
	if got := get[[]types.ManagedObjectReference](f, f.as(f.ann, extensions, "QueryManagedBy", &types.QueryManagedByRequestType{ExtensionKey: "x"})); got == nil || len(got) > 0 {
		t.Errorf("%#v", got)
	}
	if got := get[[]types.ExtensionManagerIpAllocationUsage](f, f.as(f.ann, extensions, "QueryExtensionIpAllocationUsage", &types.QueryExtensionIpAllocationUsageRequestType{})); got == nil || len(got) > 0 {
		t.Errorf("%#v", got)
	}
}

func TestPrivilegesThatAnExtensionDeclaresCanBeGranted(t *testing.T) {
	f := newFixture(t)
	ok(f, f.register(anExtension("com.acme")))
	role := f.addRole("Doer", "Acme.Do")
	ok(f, f.set(f.admin, types.Permission{Principal: "ann", RoleId: role}))
	if got := get[[]bool](f, f.as(f.ann, authority, "HasPrivilegeOnEntity", &types.HasPrivilegeOnEntityRequestType{Entity: RootFolder(), SessionId: f.key(f.ann), PrivId: []string{"Acme.Do"}})); !slices.Equal(got, []bool{true}) {
		t.Errorf("has %v", got)
	}
	ok(f, f.as(f.ann, "SessionManager", "SetLocale", &types.SetLocaleRequestType{Locale: "de"}))
	d := get[types.AuthorizationDescription](f, f.prop(f.ann, authority, "description"))
	labels := map[string]string{}
	for _, e := range append(d.Privilege, d.PrivilegeGroup...) {
		labels[e.GetElementDescription().Key] = e.GetElementDescription().Label
	}
	if labels["Acme.Do"] != "Tun" || labels["Acme"] != "Acme" || labels["System.View"] == "Falsch" {
		t.Errorf("labels %v", labels)
	}
}

func TestAPermissionOfAnExtensionIsNotAUsers(t *testing.T) {
	f := newFixture(t)
	ok(f, f.register(anExtension("com.acme")))
	ok(f, f.set(f.admin, types.Permission{Principal: "com.acme", RoleId: -2}))
	all := get[[]types.Permission](f, f.on(authority, "RetrieveAllPermissions", &types.RetrieveAllPermissionsRequestType{}))
	if got := all[len(all)-1].Principal; got != "com.acme" {
		t.Errorf("principal %q", got)
	}
	if got := get[[]types.UserPrivilegeResult](f, f.on(authority, "FetchUserPrivilegeOnEntities", &types.FetchUserPrivilegeOnEntitiesRequestType{
		Entities: []types.ManagedObjectReference{RootFolder()}, UserName: "com.acme"})); !slices.Contains(got[0].Privileges, "Sessions.ImpersonateUser") {
		t.Errorf("privileges %v", got)
	}
	ok(f, f.create("com.acme", "password of acme", ""))
	invalid(f, "permission.principal", f.set(f.admin, types.Permission{Principal: "com.acme", RoleId: -1})) // which of them?
	ok(f, f.set(f.admin, types.Permission{Principal: `vsphere.local\com.acme`, RoleId: -1}))
	ok(f, f.unset(f.admin, "com.acme", false)) // the one that is shown so
	for _, p := range get[[]types.Permission](f, f.on(authority, "RetrieveAllPermissions", &types.RetrieveAllPermissionsRequestType{})) {
		if p.Principal == "com.acme" {
			t.Errorf("still there: %+v", p)
		}
	}
}
