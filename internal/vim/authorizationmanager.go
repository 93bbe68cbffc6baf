package vim

import (
	"context"
	"errors"
	"slices"
	"strconv"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/locale"
)

// authorizationManager is roles, permissions and questions about them. The
// privileges are those that the API asks for on the method or on the entity that
// it is given, which is the root folder.
func (a *API) authorizationManager() *Object {
	return &Object{
		Type: "AuthorizationManager", ID: "AuthorizationManager",
		Methods: []Method{
			NewMethod("AddAuthorizationRole", access.ModifyRoles, a.addAuthorizationRole, Audited, Faults("AlreadyExists", "InvalidName", "InvalidArgument")),
			NewMethod("FetchUserPrivilegeOnEntities", View, a.fetchUserPrivilegeOnEntities, Faults("ManagedObjectNotFound", "InvalidArgument")),
			NewMethod("HasPrivilegeOnEntities", access.SystemRead, a.hasPrivilegeOnEntities, Faults("ManagedObjectNotFound", "InvalidArgument")),
			NewMethod("HasPrivilegeOnEntity", access.SystemRead, a.hasPrivilegeOnEntity, Faults("ManagedObjectNotFound", "InvalidArgument")),
			NewMethod("HasUserPrivilegeOnEntities", View, a.hasUserPrivilegeOnEntities, Faults("ManagedObjectNotFound", "InvalidArgument")),
			NewVoid("MergePermissions", access.ReassignRolePermissions, a.mergePermissions, Audited, Faults("AuthMinimumAdminPermission", "NotFound", "InvalidArgument", "NoPermission")),
			NewVoid("RemoveAuthorizationRole", access.ModifyRoles, a.removeAuthorizationRole, Audited, Faults("NotFound", "InvalidArgument", "RemoveFailed", "NoPermission")),
			NewVoid("RemoveEntityPermission", access.ModifyPermissions, a.removeEntityPermission, Audited, Faults("ManagedObjectNotFound", "AuthMinimumAdminPermission", "NotFound", "NoPermission")),
			NewVoid("ResetEntityPermissions", access.ModifyPermissions, a.resetEntityPermissions, Audited, Faults("ManagedObjectNotFound", "AuthMinimumAdminPermission", "NotFound", "UserNotFound", "InvalidArgument", "NoPermission")),
			NewMethod("RetrieveAllPermissions", View, a.retrieveAllPermissions),
			NewMethod("RetrieveEntityPermissions", access.SystemRead, a.retrieveEntityPermissions, Faults("ManagedObjectNotFound")),
			NewMethod("RetrieveRolePermissions", View, a.retrieveRolePermissions, Faults("NotFound")),
			NewVoid("SetEntityPermissions", access.ModifyPermissions, a.setEntityPermissions, Audited, Faults("ManagedObjectNotFound", "AuthMinimumAdminPermission", "NotFound", "UserNotFound", "InvalidArgument", "NoPermission")),
			NewVoid("UpdateAuthorizationRole", access.ModifyRoles, a.updateAuthorizationRole, Audited, Faults("NotFound", "InvalidArgument", "InvalidName", "AlreadyExists", "NoPermission")),
		},
		Properties: []Property{
			NewProperty("description", View, a.authorizationDescription, Watched(a.authorityChanged)),
			NewProperty("privilegeList", View, a.privilegeList, Watched(a.authorityChanged)),
			NewProperty("roleList", View, a.roleList, Watched(a.authorityChanged)),
		},
	}
}

func (a *API) authorityChanged(*Call) <-chan struct{} { return a.Access.Changed() }

func (a *API) roleList(_ context.Context, c *Call) ([]types.AuthorizationRole, error) {
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

func (a *API) privilegeList(context.Context, *Call) ([]types.AuthorizationPrivilege, error) {
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
func (a *API) authorizationDescription(_ context.Context, c *Call) (types.AuthorizationDescription, error) {
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
	e := Element(id, label, find(key+".summary", label))
	return &e
}

func (a *API) addAuthorizationRole(ctx context.Context, c *Call, r *types.AddAuthorizationRoleRequestType) (int32, error) {
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
func (a *API) updateAuthorizationRole(ctx context.Context, c *Call, r *types.UpdateAuthorizationRoleRequestType) error {
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
func (a *API) removeAuthorizationRole(ctx context.Context, c *Call, r *types.RemoveAuthorizationRoleRequestType) error {
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
func (a *API) role(id int32) (access.Role, bool) {
	roles := a.Access.Roles()
	i := slices.IndexFunc(roles, func(r access.Role) bool { return r.ID == id })
	if i < 0 {
		return access.Role{}, false
	}
	return roles[i], true
}

// known leaves the ids that are privileges.
func (a *API) known(ids []string) []string {
	all := a.Access.PrivilegeList()
	return slices.DeleteFunc(ids, func(id string) bool {
		return !slices.ContainsFunc(all, func(p access.Privilege) bool { return p.ID == id })
	})
}

// mayGrant holds the caller to having every one of the privileges itself: nobody
// gives, or takes from others, what it doesn't have.
func (a *API) mayGrant(c *Call, privileges []string) error {
	var lacks []string
	for _, id := range privileges {
		if !a.sessionHas(c.Session, id) {
			lacks = append(lacks, id)
		}
	}
	if len(lacks) == 0 {
		return nil
	}
	f := missing(RootFolder(), lacks[0])
	f.MissingPrivileges[0].PrivilegeIds = lacks
	return NewFault(&f, errors.New("grants more than the caller has"))
}
