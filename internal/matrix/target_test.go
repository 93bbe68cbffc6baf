package matrix

import (
	"slices"
	"strings"
	"testing"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/admin"
	"github.com/vigate/vigate/internal/vim"
)

// target is the user or object of a call, which is removed during the call. All targets have the
// same name.
type target struct {
	make, remove func(w *world)
	// calls change the target or grant it something.
	calls map[string]func(w *world) any
	// trace reports whether anything of the target exists.
	trace func(w *world) bool
}

const targetName = "com.example.target"

func (w *world) targetRole() int32 {
	w.t.Helper()
	for _, r := range w.must("AuthorizationManager", "roleList", nil).([]types.AuthorizationRole) {
		if r.Name == targetName {
			return r.RoleId
		}
	}
	return 0
}

func (w *world) permissions() []types.Permission {
	w.t.Helper()
	all := w.must("AuthorizationManager", "RetrieveAllPermissions", &types.RetrieveAllPermissionsRequestType{})
	return all.([]types.Permission)
}

// permitted reports whether a permission names the target.
func (w *world) permitted() bool {
	w.t.Helper()
	return slices.ContainsFunc(w.permissions(), func(p types.Permission) bool {
		return strings.Contains(p.Principal, targetName)
	})
}

// giving returns the calls that grant the target a permission.
func giving() map[string]func(w *world) any {
	one := types.Permission{Principal: targetName, RoleId: access.ReadOnly}
	return map[string]func(w *world) any{
		"AuthorizationManager.SetEntityPermissions": func(*world) any {
			return &types.SetEntityPermissionsRequestType{Entity: vim.RootFolder(), Permission: []types.Permission{one}}
		},
		"AuthorizationManager.ResetEntityPermissions": func(w *world) any {
			return &types.ResetEntityPermissionsRequestType{
				Entity: vim.RootFolder(), Permission: append(w.permissions(), one),
			}
		},
	}
}

func targetUser() target {
	t := target{
		make: func(w *world) { w.user(targetName) },
		remove: func(w *world) {
			w.must("HostLocalAccountManager", "RemoveUser", &types.RemoveUserRequestType{UserName: targetName})
		},
		trace: func(w *world) bool {
			found := w.must("UserDirectory", "RetrieveUserGroups", &types.RetrieveUserGroupsRequestType{
				FindUsers: true, SearchStr: targetName,
			})
			return w.permitted() || len(found.([]types.BaseUserSearchResult)) > 0
		},
		calls: giving(),
	}
	t.calls["HostLocalAccountManager.UpdateUser"] = func(*world) any {
		return &types.UpdateUserRequestType{User: &types.HostAccountSpec{
			Id: targetName, Password: "another password", Description: "Another",
		}}
	}
	t.calls["HostLocalAccountManager.DisableUser"] = func(*world) any {
		return &admin.DisableUserRequestType{UserName: targetName}
	}
	return t
}

func targetExtension() target {
	t := target{
		make: func(w *world) {
			w.must("ExtensionManager", "RegisterExtension", &types.RegisterExtensionRequestType{
				Extension: extension(targetName),
			})
		},
		remove: func(w *world) {
			w.must("ExtensionManager", "UnregisterExtension",
				&types.UnregisterExtensionRequestType{ExtensionKey: targetName})
		},
		trace: func(w *world) bool {
			found := w.must("ExtensionManager", "FindExtension",
				&types.FindExtensionRequestType{ExtensionKey: targetName})
			return w.permitted() || found != nil
		},
		calls: giving(),
	}
	t.calls["ExtensionManager.UpdateExtension"] = func(*world) any {
		x := extension(targetName)
		x.Version = "2"
		return &types.UpdateExtensionRequestType{Extension: x}
	}
	t.calls["ExtensionManager.SetExtensionCertificate"] = func(w *world) any {
		return &types.SetExtensionCertificateRequestType{ExtensionKey: targetName, CertificatePem: w.pem("new")}
	}
	t.calls["ExtensionManager.SetPublicKey"] = func(*world) any {
		return &types.SetPublicKeyRequestType{ExtensionKey: targetName, PublicKey: publicKey}
	}
	return t
}

func targetRole() target {
	given := func(w *world, role int32) bool {
		return slices.ContainsFunc(w.permissions(), func(p types.Permission) bool { return p.RoleId == role })
	}
	const first = 1 // id of the first role that is made
	return target{
		make: func(w *world) {
			w.must("AuthorizationManager", "AddAuthorizationRole",
				&types.AddAuthorizationRoleRequestType{Name: targetName})
		},
		remove: func(w *world) {
			w.must("AuthorizationManager", "RemoveAuthorizationRole", &types.RemoveAuthorizationRoleRequestType{
				RoleId: w.targetRole(),
			})
		},
		trace: func(w *world) bool { return w.targetRole() != 0 || given(w, first) },
		calls: map[string]func(w *world) any{
			"AuthorizationManager.UpdateAuthorizationRole": func(w *world) any {
				return &types.UpdateAuthorizationRoleRequestType{
					RoleId: w.targetRole(), NewName: targetName, PrivIds: access.Names(access.GlobalLogEvent),
				}
			},
			"AuthorizationManager.SetEntityPermissions": func(w *world) any {
				return &types.SetEntityPermissionsRequestType{Entity: vim.RootFolder(), Permission: []types.Permission{
					{Principal: "nobody", RoleId: w.targetRole()},
				}}
			},
			"AuthorizationManager.MergePermissions": func(w *world) any {
				return &types.MergePermissionsRequestType{SrcRoleId: access.ReadOnly, DstRoleId: w.targetRole()}
			},
		},
	}
}

// TestWhatIsRemovedInTheMidstOfACallAboutItStaysRemoved removes a user, an extension or a role on
// another server. This happens at the moment when a commit that changes it, or grants it something,
// arrives at the store.
func TestWhatIsRemovedInTheMidstOfACallAboutItStaysRemoved(t *testing.T) {
	for what, about := range map[string]target{
		"a user": targetUser(), "an extension": targetExtension(), "a role": targetRole(),
	} {
		for name, request := range about.calls {
			w := newWorld(t)
			other := w.beside()
			about.make(w)
			if !about.trace(w) {
				t.Fatalf("there is no trace of %s", what)
			}
			r, args := w.named(name), request(w)
			fired := false
			w.store.count(1, func() {
				fired = true
				other.Sync()
				about.remove(other)
			})
			got := w.do(w.admin, r.object.Ref(), r.name, args)
			if !fired || got.fault == nil || got.fault.Kind() == "SystemError" || got.fault.Kind() == "Unavailable" {
				t.Errorf("%s, with %s removed during the call (%v): got %s", name, what, fired, got)
			}
			if w.Sync(); about.trace(w) {
				t.Errorf("%s, with %s removed during the call: it exists again, or a part of it remains", name, what)
			}
		}
	}
}
