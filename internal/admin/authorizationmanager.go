package admin

import (
	"context"
	"strconv"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/locale"
	"github.com/vigate/vigate/internal/vim"
)

// authorizationManager describes the managed object AuthorizationManager. The required privileges
// are those that the API defines for the method or for its entity, which is always the root folder.
func (a *api) authorizationManager() *vim.Object {
	return &vim.Object{
		Type: "AuthorizationManager", ID: "AuthorizationManager",
		Methods: []vim.Method{
			vim.NewMethod("AddAuthorizationRole", access.ModifyRoles, a.addAuthorizationRole, vim.Audited,
				vim.ChangesAuthority(ruleNewRole), vim.Faults("AlreadyExists", "InvalidName", "InvalidArgument")),
			vim.NewMethod("FetchUserPrivilegeOnEntities", vim.View, a.fetchUserPrivilegeOnEntities,
				vim.Faults("ManagedObjectNotFound", "InvalidArgument")),
			vim.NewMethod("HasPrivilegeOnEntities", access.SystemRead, a.hasPrivilegeOnEntities,
				vim.Faults("ManagedObjectNotFound", "InvalidArgument")),
			vim.NewMethod("HasPrivilegeOnEntity", access.SystemRead, a.hasPrivilegeOnEntity,
				vim.Faults("ManagedObjectNotFound", "InvalidArgument")),
			vim.NewMethod("HasUserPrivilegeOnEntities", vim.View, a.hasUserPrivilegeOnEntities,
				vim.Faults("ManagedObjectNotFound", "InvalidArgument")),
			vim.NewVoid("MergePermissions", access.ReassignRolePermissions, a.mergePermissions, vim.Audited,
				vim.ChangesAuthority(rulePermissions),
				vim.Faults("AuthMinimumAdminPermission", "NotFound", "InvalidArgument", "NoPermission")),
			vim.NewVoid("RemoveAuthorizationRole", access.ModifyRoles, a.removeAuthorizationRole, vim.Audited,
				vim.ChangesAuthority(rulePermissions),
				vim.Faults("NotFound", "InvalidArgument", "RemoveFailed", "NoPermission")),
			vim.NewVoid("RemoveEntityPermission", access.ModifyPermissions, a.removeEntityPermission, vim.Audited,
				vim.ChangesAuthority(rulePermissions),
				vim.Faults("ManagedObjectNotFound", "AuthMinimumAdminPermission", "NotFound", "NoPermission")),
			vim.NewVoid("ResetEntityPermissions", access.ModifyPermissions, a.resetEntityPermissions, vim.Audited,
				vim.ChangesAuthority(rulePermissions), vim.Faults("ManagedObjectNotFound",
					"AuthMinimumAdminPermission", "NotFound", "UserNotFound", "InvalidArgument", "NoPermission")),
			vim.NewMethod("RetrieveAllPermissions", vim.View, a.retrieveAllPermissions),
			vim.NewMethod("RetrieveEntityPermissions", access.SystemRead, a.retrieveEntityPermissions,
				vim.Faults("ManagedObjectNotFound")),
			vim.NewMethod("RetrieveRolePermissions", vim.View, a.retrieveRolePermissions, vim.Faults("NotFound")),
			vim.NewVoid("SetEntityPermissions", access.ModifyPermissions, a.setEntityPermissions, vim.Audited,
				vim.ChangesAuthority(rulePermissions), vim.Faults("ManagedObjectNotFound",
					"AuthMinimumAdminPermission", "NotFound", "UserNotFound", "InvalidArgument", "NoPermission")),
			vim.NewVoid("UpdateAuthorizationRole", access.ModifyRoles, a.updateAuthorizationRole, vim.Audited,
				vim.ChangesAuthority(ruleRoles), vim.Faults("NotFound", "InvalidArgument", "InvalidName",
					"AlreadyExists", "NoPermission")),
		},
		Properties: []vim.Property{
			vim.NewProperty("description", vim.View, a.authorizationDescription, vim.Watched(a.authorityChanged)),
			vim.NewProperty("privilegeList", vim.View, a.privilegeList, vim.Watched(a.authorityChanged)),
			vim.NewProperty("roleList", vim.View, a.roleList, vim.Watched(a.authorityChanged)),
		},
		Errors: authorityErrors,
	}
}

// authorityErrors maps the errors of roles and permissions to faults.
var authorityErrors = []vim.Mapping{
	lacking, lastAdministrator, tooMany,
	vim.Map(access.ErrRoleExists, vim.Plain[types.AlreadyExists]),
	vim.Map(access.ErrRoleName, vim.Plain[types.InvalidName]),
	vim.Map(access.ErrRoleInUse, vim.Plain[types.RemoveFailed]),
	vim.Map(access.ErrSystemRole, vim.Argument("roleId", "is of a role of the system, which can't be changed")),
	vim.Map(access.ErrRole, vim.Plain[types.NotFound]),
	vim.Map(access.ErrPrivilege, vim.Argument("privIds", "has a privilege that is not known")),
	vim.Map(access.ErrPrincipal, vim.Plain[types.UserNotFound]),
	vim.Map(access.ErrDuplicate, vim.Argument("permission.principal", "is named twice")),
	vim.Map(access.ErrPermission, vim.Plain[types.NotFound]),
	vim.Map(access.ErrEntity, vim.Argument("entity", "is not an entity that can have permissions")),
}

// Errors that every change of authority can return.
var (
	lacking = vim.MapType(func(refused *access.GrantError, err error) *vim.Fault {
		return vim.NoPermission(vim.RootFolder(), err, refused.Lacks...)
	})
	lastAdministrator = vim.Map(access.ErrLastAdministrator, vim.Plain[types.AuthMinimumAdminPermission])
	tooMany           = vim.Map(access.ErrTooMany, vim.Plain[types.LimitExceeded])
)

func (a *api) authorityChanged(*vim.Call) <-chan struct{} { return a.AuthorityChanged() }

func (a *api) roleList(ctx context.Context, c *vim.Call) ([]types.AuthorizationRole, error) {
	in := a.MessageLocale(c)
	var all []types.AuthorizationRole
	for _, r := range a.Access.Roles() {
		const each = 8 // privileges per unit of work
		if err := a.Work(ctx, c, 1+len(r.Privileges)/each); err != nil {
			return nil, err
		}
		info := &types.Description{Label: r.Name, Summary: r.Name}
		if r.System {
			info.Label = locale.Text(in, "role."+r.Name+".label")
			info.Summary = locale.Text(in, "role."+r.Name+".summary")
		}
		all = append(all, types.AuthorizationRole{
			RoleId: r.ID, System: r.System, Name: r.Name, Info: info, Privilege: access.Names(r.Privileges...),
		})
	}
	return all, nil
}

func (a *api) privilegeList(context.Context, *vim.Call) ([]types.AuthorizationPrivilege, error) {
	var all []types.AuthorizationPrivilege
	for _, p := range a.Access.PrivilegeList() {
		all = append(all, types.AuthorizationPrivilege{
			PrivId: string(p.ID), OnParent: p.OnParent, Name: p.Name(), PrivGroupName: p.Group,
		})
	}
	return all, nil
}

// authorizationDescription returns the labels of privileges and groups in the caller's language. An
// extension may provide labels for the privileges that it declares.
func (a *api) authorizationDescription(ctx context.Context, c *vim.Call) (types.AuthorizationDescription, error) {
	in := a.MessageLocale(c)
	d := types.AuthorizationDescription{
		Privilege: []types.BaseElementDescription{}, PrivilegeGroup: []types.BaseElementDescription{},
	}
	resources, err := a.resources(ctx, c, "auth", in)
	if err != nil {
		return d, err
	}
	described := map[string]bool{}
	for _, p := range a.Access.PrivilegeList() {
		const each = 2 // units of work
		if err := a.Work(ctx, c, each); err != nil {
			return d, err
		}
		d.Privilege = append(d.Privilege, describe(in, resources, string(p.ID), p.LabelKey(), p.Name()))
		if !described[p.Group] {
			described[p.Group] = true
			d.PrivilegeGroup = append(d.PrivilegeGroup, describe(in, resources, p.Group, "group."+p.Group, p.Group))
		}
	}
	return d, nil
}

// describe returns the label and the summary for a key. They come from the message catalogue or
// from an extension's resources. If neither has them, the name is used.
func describe(in string, resources map[string]string, id, key, name string) *types.ElementDescription {
	find := func(key, otherwise string) string {
		if s := locale.Text(in, key); s != key {
			return s
		}
		if s := resources[key]; s != "" {
			return s
		}
		return otherwise
	}
	label := find(key+".label", name)
	return &types.ElementDescription{
		Description: types.Description{Label: label, Summary: find(key+".summary", label)}, Key: id,
	}
}

func (a *api) addAuthorizationRole(
	ctx context.Context, c *vim.Call, r *types.AddAuthorizationRoleRequestType,
) (int32, error) {
	c.Note("role", r.Name)
	id, err := a.Access.AddRole(ctx, a.grantor(ctx, c), r.Name, access.Privileges(r.PrivIds))
	if err != nil {
		return 0, vim.About(err, r.Name)
	}
	c.Note("roleId", strconv.Itoa(int(id)))
	return id, nil
}

func (a *api) updateAuthorizationRole(
	ctx context.Context, c *vim.Call, r *types.UpdateAuthorizationRoleRequestType,
) error {
	c.Note("role", r.NewName)
	c.Note("roleId", strconv.Itoa(int(r.RoleId)))
	return vim.About(a.Access.UpdateRole(ctx, a.grantor(ctx, c), r.RoleId, r.NewName, access.Privileges(r.PrivIds)),
		r.NewName)
}

// removeAuthorizationRole removes a role and, unless failIfUsed is set, its permissions.
func (a *api) removeAuthorizationRole(
	ctx context.Context, c *vim.Call, r *types.RemoveAuthorizationRoleRequestType,
) error {
	c.Note("roleId", strconv.Itoa(int(r.RoleId)))
	return a.Access.RemoveRole(ctx, a.grantor(ctx, c), r.RoleId, r.FailIfUsed)
}
