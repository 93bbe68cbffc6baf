package admin

import (
	"context"
	"errors"
	"slices"
	"strconv"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/locale"
	"github.com/vigate/vigate/internal/vim"
)

// authorizationManager is roles, permissions and questions about them. The
// privileges are those that the API asks for on the method or on the entity that
// it is given, which is the root folder.
func (a *api) authorizationManager() *vim.Object {
	return &vim.Object{
		Type: "AuthorizationManager", ID: "AuthorizationManager",
		Methods: []vim.Method{
			vim.NewMethod("AddAuthorizationRole", access.ModifyRoles, a.addAuthorizationRole, vim.Audited, vim.Faults("AlreadyExists", "InvalidName", "InvalidArgument")),
			vim.NewMethod("FetchUserPrivilegeOnEntities", vim.View, a.fetchUserPrivilegeOnEntities, vim.Faults("ManagedObjectNotFound", "InvalidArgument")),
			vim.NewMethod("HasPrivilegeOnEntities", access.SystemRead, a.hasPrivilegeOnEntities, vim.Faults("ManagedObjectNotFound", "InvalidArgument")),
			vim.NewMethod("HasPrivilegeOnEntity", access.SystemRead, a.hasPrivilegeOnEntity, vim.Faults("ManagedObjectNotFound", "InvalidArgument")),
			vim.NewMethod("HasUserPrivilegeOnEntities", vim.View, a.hasUserPrivilegeOnEntities, vim.Faults("ManagedObjectNotFound", "InvalidArgument")),
			vim.NewVoid("MergePermissions", access.ReassignRolePermissions, a.mergePermissions, vim.Audited, vim.Faults("AuthMinimumAdminPermission", "NotFound", "InvalidArgument", "NoPermission")),
			vim.NewVoid("RemoveAuthorizationRole", access.ModifyRoles, a.removeAuthorizationRole, vim.Audited, vim.Faults("NotFound", "InvalidArgument", "RemoveFailed", "NoPermission")),
			vim.NewVoid("RemoveEntityPermission", access.ModifyPermissions, a.removeEntityPermission, vim.Audited, vim.Faults("ManagedObjectNotFound", "AuthMinimumAdminPermission", "NotFound", "NoPermission")),
			vim.NewVoid("ResetEntityPermissions", access.ModifyPermissions, a.resetEntityPermissions, vim.Audited, vim.Faults("ManagedObjectNotFound", "AuthMinimumAdminPermission", "NotFound", "UserNotFound", "InvalidArgument", "NoPermission")),
			vim.NewMethod("RetrieveAllPermissions", vim.View, a.retrieveAllPermissions),
			vim.NewMethod("RetrieveEntityPermissions", access.SystemRead, a.retrieveEntityPermissions, vim.Faults("ManagedObjectNotFound")),
			vim.NewMethod("RetrieveRolePermissions", vim.View, a.retrieveRolePermissions, vim.Faults("NotFound")),
			vim.NewVoid("SetEntityPermissions", access.ModifyPermissions, a.setEntityPermissions, vim.Audited, vim.Faults("ManagedObjectNotFound", "AuthMinimumAdminPermission", "NotFound", "UserNotFound", "InvalidArgument", "NoPermission")),
			vim.NewVoid("UpdateAuthorizationRole", access.ModifyRoles, a.updateAuthorizationRole, vim.Audited, vim.Faults("NotFound", "InvalidArgument", "InvalidName", "AlreadyExists", "NoPermission")),
		},
		Properties: []vim.Property{
			vim.NewProperty("description", vim.View, a.authorizationDescription, vim.Watched(a.authorityChanged)),
			vim.NewProperty("privilegeList", vim.View, a.privilegeList, vim.Watched(a.authorityChanged)),
			vim.NewProperty("roleList", vim.View, a.roleList, vim.Watched(a.authorityChanged)),
		},
	}
}

func (a *api) authorityChanged(*vim.Call) <-chan struct{} { return a.AuthorityChanged() }

func (a *api) roleList(_ context.Context, c *vim.Call) ([]types.AuthorizationRole, error) {
	in := a.MessageLocale(c)
	var all []types.AuthorizationRole
	for _, r := range a.Access.Roles() {
		info := &types.Description{Label: r.Name, Summary: r.Name}
		if r.System {
			info.Label = locale.Text(in, "role."+r.Name+".label")
			info.Summary = locale.Text(in, "role."+r.Name+".summary")
		}
		all = append(all, types.AuthorizationRole{RoleId: r.ID, System: r.System, Name: r.Name, Info: info, Privilege: r.Privileges})
	}
	return all, nil
}

func (a *api) privilegeList(context.Context, *vim.Call) ([]types.AuthorizationPrivilege, error) {
	var all []types.AuthorizationPrivilege
	for _, p := range a.Access.PrivilegeList() {
		all = append(all, types.AuthorizationPrivilege{
			PrivId: p.ID, OnParent: p.OnParent, Name: p.Name(), PrivGroupName: p.Group,
		})
	}
	return all, nil
}

// authorizationDescription is the privileges' and groups' names for people.
// Those that extensions declare are described by the extension, if it cares.
func (a *api) authorizationDescription(_ context.Context, c *vim.Call) (types.AuthorizationDescription, error) {
	in := a.MessageLocale(c)
	d := types.AuthorizationDescription{
		Privilege: []types.BaseElementDescription{}, PrivilegeGroup: []types.BaseElementDescription{},
	}
	resources := a.resources("auth", in)
	described := map[string]bool{}
	for _, p := range a.Access.PrivilegeList() {
		d.Privilege = append(d.Privilege, describe(in, resources, p.ID, p.LabelKey(), p.Name()))
		if !described[p.Group] {
			described[p.Group] = true
			d.PrivilegeGroup = append(d.PrivilegeGroup, describe(in, resources, p.Group, "group."+p.Group, p.Group))
		}
	}
	return d, nil
}

// describe finds the label and the summary under the key: in the catalogue, or
// in what extensions bring, or else the name stands for both.
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
	e := vim.Element(id, label, find(key+".summary", label))
	return &e
}

func (a *api) addAuthorizationRole(ctx context.Context, c *vim.Call, r *types.AddAuthorizationRoleRequestType) (int32, error) {
	c.Note("role", r.Name)
	s := c.Session.Session()
	id, err := a.Access.AddRole(ctx, s.Actor(), r.Name, r.PrivIds)
	if err != nil {
		return 0, named(err, r.Name)
	}
	c.Note("roleId", strconv.Itoa(int(id)))
	return id, nil
}

// updateAuthorizationRole: whoever has the role gets what is added to it, so the
// caller must have that itself.
func (a *api) updateAuthorizationRole(ctx context.Context, c *vim.Call, r *types.UpdateAuthorizationRoleRequestType) error {
	c.Note("role", r.NewName)
	c.Note("roleId", strconv.Itoa(int(r.RoleId)))
	role, ok := a.role(r.RoleId)
	if !ok {
		return access.ErrRole
	}
	if !role.System {
		added := slices.DeleteFunc(slices.Clone(r.PrivIds), func(id string) bool { return slices.Contains(role.Privileges, id) })
		if err := a.mayGrant(c, a.known(added)); err != nil {
			return err
		}
	}
	s := c.Session.Session()
	return named(a.Access.UpdateRole(ctx, s.Actor(), r.RoleId, r.NewName, r.PrivIds), r.NewName)
}

// removeAuthorizationRole may take permissions away with the role, see
// removeEntityPermission.
func (a *api) removeAuthorizationRole(ctx context.Context, c *vim.Call, r *types.RemoveAuthorizationRoleRequestType) error {
	c.Note("roleId", strconv.Itoa(int(r.RoleId)))
	used, err := a.Access.PermissionsOf(r.RoleId)
	if err != nil {
		return err
	}
	role, _ := a.role(r.RoleId)
	if !role.System && !r.FailIfUsed && len(used) > 0 {
		if err := a.mayGrant(c, role.Privileges); err != nil {
			return err
		}
	}
	s := c.Session.Session()
	return a.Access.RemoveRole(ctx, s.Actor(), r.RoleId, r.FailIfUsed)
}

// role is the role with the id.
func (a *api) role(id int32) (access.Role, bool) {
	roles := a.Access.Roles()
	i := slices.IndexFunc(roles, func(r access.Role) bool { return r.ID == id })
	if i < 0 {
		return access.Role{}, false
	}
	return roles[i], true
}

// known leaves the ids that are privileges.
func (a *api) known(ids []string) []string {
	all := a.Access.PrivilegeList()
	return slices.DeleteFunc(ids, func(id string) bool {
		return !slices.ContainsFunc(all, func(p access.Privilege) bool { return p.ID == id })
	})
}

// mayGrant holds the caller to having every one of the privileges itself: nobody
// gives, or takes from others, what it doesn't have.
func (a *api) mayGrant(c *vim.Call, privileges []string) error {
	var lacks []string
	for _, id := range privileges {
		if !a.sessionHas(c.Session, id) {
			lacks = append(lacks, id)
		}
	}
	if len(lacks) == 0 {
		return nil
	}
	return vim.NoPermission(vim.RootFolder(), errors.New("grants more than the caller has"), lacks...)
}
