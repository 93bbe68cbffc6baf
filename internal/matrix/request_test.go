package matrix

import (
	"encoding/base64"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/admin"
	"github.com/vigate/vigate/internal/sessionmanager"
	"github.com/vigate/vigate/internal/vim"
)

// never lists the rows that never succeed in the worlds of these tests.
var never = map[string]string{
	"SessionManager.AcquireLocalTicket": "local tickets are for callers on the server's own machine",
	"SessionManager.LoginExtension":     "withdrawn from the API",
}

// further lists the rows that require more of the caller than the row's privilege. A caller without
// that is refused too.
var further = map[string]string{
	"AuthorizationManager.ResetEntityPermissions": "takes the roles of all, which the caller must have itself",
	"UserDirectory.RetrieveUserGroups":            "Authorization.ModifyPermissions or Host.Local.ManageUserGroups",
	"HostLocalAccountManager.UpdateUser":          "of another user than oneself: Host.Local.ManageUserGroups",
}

const publicKey = "-----BEGIN PUBLIC KEY-----\n" +
	"MCowBQYDK2VwAyEAXnxh84IrNDa5rYJz/Ay++2amqortcBwNGFPOufyfTPs=\n" +
	"-----END PUBLIC KEY-----\n"

// request returns a request of the row that succeeds if the caller may make it, or nil for a
// property. The users and objects in the request are made for it.
func (w *world) request(c *caller, r row) any {
	w.t.Helper()
	if make := requests[r.String()]; make != nil {
		return make(w, c)
	}
	return r.empty()
}

// victim returns a new user that a call may change or remove. The user has a permission without
// privileges.
func (w *world) victim() string {
	name := w.user(w.fresh("victim"))
	w.permit(name, access.NoAccess)
	return name
}

// session returns the key of another user's session.
func (w *world) session() string {
	return w.key(w.newUser(w.fresh("visitor"), access.ReadOnly))
}

func (w *world) registered() string {
	key := w.fresh("com.example.x")
	w.must("ExtensionManager", "RegisterExtension", &types.RegisterExtensionRequestType{Extension: extension(key)})
	w.permit(key, access.NoAccess)
	return key
}

// page returns the token of an incomplete retrieval. A caller without a session can't get one.
func (w *world) page(c *caller) string {
	got := w.do(c.token, w.ref("PropertyCollector"), "RetrievePropertiesEx", &types.RetrievePropertiesExRequestType{
		Options: types.RetrieveOptions{MaxObjects: 1},
		SpecSet: []types.PropertyFilterSpec{
			spec(w.ref("SessionManager"), "defaultLocale"), spec(w.ref("ServiceInstance"), "content"),
		},
	})
	result, _ := got.value.(types.RetrieveResult)
	return result.Token
}

func account(id, text string) *types.HostAccountSpec {
	return &types.HostAccountSpec{Id: id, Description: text}
}

// requests has a request for each row for which an empty request is not valid.
var requests = map[string]func(w *world, c *caller) any{
	"SessionManager.AcquireGenericServiceTicket": func(*world, *caller) any {
		return &types.AcquireGenericServiceTicketRequestType{
			Spec: &types.SessionManagerHttpServiceRequestSpec{Url: "/sdk"},
		}
	},
	"SessionManager.AcquireLocalTicket": func(*world, *caller) any {
		return &types.AcquireLocalTicketRequestType{UserName: "root"}
	},
	"SessionManager.CloneSession": func(w *world, _ *caller) any {
		ticket := w.must("SessionManager", "AcquireCloneTicket", &types.AcquireCloneTicketRequestType{}).(string)
		return &types.CloneSessionRequestType{CloneTicket: ticket}
	},
	"SessionManager.ImpersonateUser": func(w *world, _ *caller) any {
		name := w.fresh("target")
		w.newUser(name, access.ReadOnly)
		return &types.ImpersonateUserRequestType{UserName: name}
	},
	"SessionManager.Login": func(w *world, _ *caller) any {
		name := w.fresh("comer")
		w.permit(w.user(name), access.ReadOnly)
		return &types.LoginRequestType{UserName: name, Password: password(name)}
	},
	"SessionManager.LoginBySSPI": func(*world, *caller) any {
		return &types.LoginBySSPIRequestType{Base64Token: base64.StdEncoding.EncodeToString([]byte("reader"))}
	},
	"SessionManager.LoginExtension": func(*world, *caller) any {
		return &sessionmanager.LoginExtensionRequestType{ExtensionKey: extensionKey}
	},
	"SessionManager.LoginExtensionByCertificate": func(*world, *caller) any {
		return &types.LoginExtensionByCertificateRequestType{ExtensionKey: extensionKey}
	},
	"SessionManager.LoginExtensionBySubjectName": func(*world, *caller) any {
		return &types.LoginExtensionBySubjectNameRequestType{ExtensionKey: extensionKey}
	},
	"SessionManager.SessionIsActive": func(w *world, _ *caller) any {
		return &types.SessionIsActiveRequestType{SessionID: w.session(), UserName: "administrator"}
	},
	"SessionManager.SetLocale": func(*world, *caller) any { return &types.SetLocaleRequestType{Locale: "de"} },
	"SessionManager.TerminateSession": func(w *world, _ *caller) any {
		return &types.TerminateSessionRequestType{SessionId: []string{w.session(), w.session()}}
	},
	"SessionManager.UpdateServiceMessage": func(w *world, _ *caller) any {
		return &types.UpdateServiceMessageRequestType{Message: w.fresh("message")}
	},

	"SearchIndex.FindByDatastorePath": func(*world, *caller) any {
		return &types.FindByDatastorePathRequestType{Datacenter: vim.RootFolder(), Path: "[store] a"}
	},
	"SearchIndex.FindChild": func(*world, *caller) any {
		return &types.FindChildRequestType{Entity: vim.RootFolder(), Name: "a"}
	},

	"AuthorizationManager.AddAuthorizationRole": func(w *world, _ *caller) any {
		return &types.AddAuthorizationRoleRequestType{Name: w.fresh("role")}
	},
	"AuthorizationManager.FetchUserPrivilegeOnEntities": func(*world, *caller) any {
		return &types.FetchUserPrivilegeOnEntitiesRequestType{
			Entities: []reference{vim.RootFolder()}, UserName: "reader",
		}
	},
	"AuthorizationManager.HasPrivilegeOnEntities": func(w *world, _ *caller) any {
		return &types.HasPrivilegeOnEntitiesRequestType{
			Entity: []reference{vim.RootFolder()}, SessionId: w.session(), PrivId: implied,
		}
	},
	"AuthorizationManager.HasPrivilegeOnEntity": func(w *world, _ *caller) any {
		return &types.HasPrivilegeOnEntityRequestType{Entity: vim.RootFolder(), SessionId: w.session(), PrivId: implied}
	},
	"AuthorizationManager.HasUserPrivilegeOnEntities": func(*world, *caller) any {
		return &types.HasUserPrivilegeOnEntitiesRequestType{
			Entities: []reference{vim.RootFolder()}, UserName: "reader", PrivId: implied,
		}
	},
	"AuthorizationManager.MergePermissions": func(w *world, _ *caller) any {
		from, to := w.role(), w.role()
		w.permit(w.victim(), from)
		return &types.MergePermissionsRequestType{SrcRoleId: from, DstRoleId: to}
	},
	"AuthorizationManager.RemoveAuthorizationRole": func(w *world, _ *caller) any {
		return &types.RemoveAuthorizationRoleRequestType{RoleId: w.role()}
	},
	"AuthorizationManager.RemoveEntityPermission": func(w *world, _ *caller) any {
		name := w.victim()
		w.permit(name, access.ReadOnly)
		return &types.RemoveEntityPermissionRequestType{Entity: vim.RootFolder(), User: name}
	},
	"AuthorizationManager.ResetEntityPermissions": func(w *world, _ *caller) any {
		all := w.must("AuthorizationManager", "RetrieveAllPermissions", &types.RetrieveAllPermissionsRequestType{})
		one := types.Permission{Principal: w.user(w.fresh("victim")), RoleId: access.ReadOnly}
		return &types.ResetEntityPermissionsRequestType{
			Entity: vim.RootFolder(), Permission: append(all.([]types.Permission), one),
		}
	},
	"AuthorizationManager.RetrieveEntityPermissions": func(*world, *caller) any {
		return &types.RetrieveEntityPermissionsRequestType{Entity: vim.RootFolder()}
	},
	"AuthorizationManager.RetrieveRolePermissions": func(*world, *caller) any {
		return &types.RetrieveRolePermissionsRequestType{RoleId: access.Admin}
	},
	"AuthorizationManager.SetEntityPermissions": func(w *world, _ *caller) any {
		one := types.Permission{Principal: w.user(w.fresh("victim")), RoleId: access.ReadOnly}
		return &types.SetEntityPermissionsRequestType{Entity: vim.RootFolder(), Permission: []types.Permission{one}}
	},
	"AuthorizationManager.UpdateAuthorizationRole": func(w *world, _ *caller) any {
		return &types.UpdateAuthorizationRoleRequestType{RoleId: w.role(), NewName: w.fresh("role")}
	},

	"ExtensionManager.FindExtension": func(*world, *caller) any {
		return &types.FindExtensionRequestType{ExtensionKey: extensionKey}
	},
	"ExtensionManager.RegisterExtension": func(w *world, _ *caller) any {
		x := extension(w.fresh("com.example.x"))
		x.SubjectName = "" // a subject name would be a login method
		return &types.RegisterExtensionRequestType{Extension: x}
	},
	"ExtensionManager.SetExtensionCertificate": func(w *world, _ *caller) any {
		return &types.SetExtensionCertificateRequestType{ExtensionKey: w.registered(),
			CertificatePem: w.pem(w.fresh("new"))}
	},
	"ExtensionManager.SetPublicKey": func(w *world, _ *caller) any {
		return &types.SetPublicKeyRequestType{ExtensionKey: w.registered(), PublicKey: publicKey}
	},
	"ExtensionManager.UnregisterExtension": func(w *world, _ *caller) any {
		return &types.UnregisterExtensionRequestType{ExtensionKey: w.registered()}
	},
	"ExtensionManager.UpdateExtension": func(w *world, _ *caller) any {
		x := extension(w.registered())
		x.Version = "2"
		return &types.UpdateExtensionRequestType{Extension: x}
	},

	"UserDirectory.RetrieveUserGroups": func(*world, *caller) any {
		return &types.RetrieveUserGroupsRequestType{FindUsers: true}
	},
	"HostLocalAccountManager.CreateUser": func(w *world, _ *caller) any {
		name := w.fresh("new")
		return &types.CreateUserRequestType{User: &types.HostAccountSpec{Id: name, Password: password(name)}}
	},
	"HostLocalAccountManager.DisableUser": func(w *world, _ *caller) any {
		return &admin.DisableUserRequestType{UserName: w.victim()}
	},
	"HostLocalAccountManager.EnableUser": func(w *world, _ *caller) any {
		name := w.victim()
		w.must("HostLocalAccountManager", "DisableUser", &admin.DisableUserRequestType{UserName: name})
		return &admin.EnableUserRequestType{UserName: name}
	},
	"HostLocalAccountManager.RemoveUser": func(w *world, _ *caller) any {
		return &types.RemoveUserRequestType{UserName: w.victim()}
	},
	"HostLocalAccountManager.RetrieveUserStates": func(w *world, _ *caller) any {
		return &admin.RetrieveUserStatesRequestType{UserName: []string{w.locked()}}
	},
	"HostLocalAccountManager.UnlockUser": func(w *world, _ *caller) any {
		return &admin.UnlockUserRequestType{UserName: w.locked()}
	},
	"HostLocalAccountManager.UpdateUser": func(w *world, c *caller) any {
		if c.user != "" {
			return &types.UpdateUserRequestType{User: &types.HostAccountSpec{Id: c.user,
				Password: w.fresh("another password ")}}
		}
		return &types.UpdateUserRequestType{User: account(w.victim(), "Another name")}
	},
	"OptionManager.UpdateOptions": func(w *world, _ *caller) any {
		w.made++
		return &types.UpdateOptionsRequestType{ChangedValue: []types.BaseOptionValue{
			&types.OptionValue{Key: "config.vmacore.soap.sessionTimeout", Value: int32(60 + w.made%60)},
		}}
	},

	"EventManager.LogUserEvent": func(*world, *caller) any {
		return &types.LogUserEventRequestType{Entity: vim.RootFolder(), Msg: "It happened"}
	},
	"EventManager.PostEvent": func(*world, *caller) any {
		return &types.PostEventRequestType{EventToPost: &types.EventEx{EventTypeId: "com.example.it"}}
	},
	"EventHistoryCollector.ReadNextEvents": func(*world, *caller) any {
		return &types.ReadNextEventsRequestType{MaxCount: 10}
	},
	"EventHistoryCollector.ReadPreviousEvents": func(*world, *caller) any {
		return &types.ReadPreviousEventsRequestType{MaxCount: 10}
	},
	"EventHistoryCollector.SetCollectorPageSize": func(*world, *caller) any {
		return &types.SetCollectorPageSizeRequestType{MaxCount: 10}
	},

	"PropertyCollector.CancelRetrievePropertiesEx": func(w *world, c *caller) any {
		return &types.CancelRetrievePropertiesExRequestType{Token: w.page(c)}
	},
	"PropertyCollector.ContinueRetrievePropertiesEx": func(w *world, c *caller) any {
		return &types.ContinueRetrievePropertiesExRequestType{Token: w.page(c)}
	},
	"PropertyCollector.CreateFilter": func(*world, *caller) any {
		return &types.CreateFilterRequestType{Spec: spec(vim.RootFolder(), "name")}
	},
	"PropertyCollector.WaitForUpdatesEx": func(*world, *caller) any {
		return &types.WaitForUpdatesExRequestType{Options: &types.WaitOptions{MaxWaitSeconds: new(int32)}}
	},
	"ViewManager.CreateContainerView": func(*world, *caller) any {
		return &types.CreateContainerViewRequestType{Container: vim.RootFolder()}
	},
	"ListView.ResetListViewFromView": func(_ *world, c *caller) any {
		return &types.ResetListViewFromViewRequestType{View: c.objects["ContainerView"]}
	},
}

// locked returns a user who is locked after failed logins.
func (w *world) locked() string {
	name := w.victim()
	for range 5 {
		w.do("", w.ref("SessionManager"), "Login", &types.LoginRequestType{UserName: name, Password: "wrong"})
	}
	return name
}
