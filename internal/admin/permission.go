package admin

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/session"
	"github.com/vigate/vigate/internal/vim"
)

func (a *api) retrieveAllPermissions(
	context.Context, *vim.Call, *types.RetrieveAllPermissionsRequestType,
) ([]types.Permission, error) {
	return vim.Permissions(a.Access.Permissions()), nil
}

// retrieveEntityPermissions returns the permissions on the root folder. There are no inherited
// ones, because the root folder has no parent.
func (a *api) retrieveEntityPermissions(
	_ context.Context, _ *vim.Call, r *types.RetrieveEntityPermissionsRequestType,
) ([]types.Permission, error) {
	if err := vim.CheckEntity(r.Entity); err != nil {
		return nil, err
	}
	return vim.Permissions(a.Access.Permissions()), nil
}

func (a *api) retrieveRolePermissions(
	_ context.Context, _ *vim.Call, r *types.RetrieveRolePermissionsRequestType,
) ([]types.Permission, error) {
	all, err := a.Access.PermissionsOf(r.RoleId)
	if err != nil {
		return nil, err
	}
	return vim.Permissions(all), nil
}

func (a *api) setEntityPermissions(ctx context.Context, c *vim.Call, r *types.SetEntityPermissionsRequestType) error {
	set, err := a.wantedPermissions(ctx, c, r.Entity, r.Permission)
	if err != nil {
		return err
	}
	return a.permissionFault(ctx, a.Access.SetPermissions(ctx, a.grantor(ctx, c), r.Entity.Value, set), set)
}

func (a *api) resetEntityPermissions(
	ctx context.Context, c *vim.Call, r *types.ResetEntityPermissionsRequestType,
) error {
	set, err := a.wantedPermissions(ctx, c, r.Entity, r.Permission)
	if err != nil {
		return err
	}
	return a.permissionFault(ctx, a.Access.ResetPermissions(ctx, a.grantor(ctx, c), r.Entity.Value, set), set)
}

// wantedPermissions converts and checks the permissions that a caller sets.
func (a *api) wantedPermissions(
	ctx context.Context, c *vim.Call, on types.ManagedObjectReference, all []types.Permission,
) ([]access.Permission, error) {
	if err := vim.CheckEntity(on); err != nil {
		return nil, err
	}
	if len(all) > access.MaxPermissions {
		// This check comes before the lookups in a directory.
		return nil, access.ErrTooMany
	}
	set := make([]access.Permission, len(all))
	for i, p := range all {
		c.Note("principal", p.Principal)
		c.Note("roleId", strconv.Itoa(int(p.RoleId)))
		if p.Entity != nil && *p.Entity != vim.RootFolder() {
			return nil, vim.InvalidArgument("permission.entity",
				errors.New("not the entity on which the permissions are set"))
		}
		if !grantable(p.RoleId) {
			return nil, vim.BadArgument("permission.roleId", "is of a role that can't be granted", nil)
		}
		name, err := a.principal(ctx, p.Principal, p.Group)
		if errors.Is(err, principal.ErrInvalid) {
			return nil, vim.NewFault(&types.UserNotFound{Principal: p.Principal}, err)
		} else if err != nil {
			return nil, vim.InvalidArgument("permission.principal", err)
		}
		set[i] = access.Permission{Principal: name, Group: p.Group, Role: p.RoleId, Propagate: p.Propagate}
	}
	return set, nil
}

// grantable reports whether a role can be granted. The API reserves two of its roles.
func grantable(role int32) bool { return role != access.View && role != access.Anonymous }

// permissionFault adds the name of the principal to an error that says that it does not exist. If
// the principal's source is unreachable, the fault says that the name could not be resolved.
func (a *api) permissionFault(ctx context.Context, err error, set []access.Permission) error {
	if !errors.Is(err, access.ErrPrincipal) {
		return err
	}
	for _, p := range set {
		_, known, unreached := a.Directory.Lookup(ctx, p.Principal, p.Group)
		if !known && !a.isExtension(p.Principal, p.Group) {
			return vim.NewFault(&types.UserNotFound{Principal: p.Principal.String(), Unresolved: unreached != nil},
				errors.Join(err, unreached))
		}
	}
	return err
}

func (a *api) removeEntityPermission(
	ctx context.Context, c *vim.Call, r *types.RemoveEntityPermissionRequestType,
) error {
	c.Note("principal", r.User)
	if err := vim.CheckEntity(r.Entity); err != nil {
		return err
	}
	p, ok := a.permissionOf(r.User, r.IsGroup)
	if !ok {
		return access.ErrPermission
	}
	return a.Access.RemovePermission(ctx, a.grantor(ctx, c), r.Entity.Value, p.Principal, p.Group)
}

// permissionOf finds the permission of a principal. A permission that is shown under exactly this
// name takes precedence.
func (a *api) permissionOf(spelling string, group bool) (access.Permission, bool) {
	all := a.Access.Permissions()
	for _, p := range all {
		if p.Group == group && sameName(p.Principal.String(), spelling) {
			return p, true
		}
	}
	name, err := principal.Parse(spelling, a.DefaultDomain())
	if err != nil {
		return access.Permission{}, false
	}
	for _, p := range all {
		if p.Group == group && p.Principal.Equal(name) {
			return p, true
		}
	}
	return access.Permission{}, false
}

func (a *api) mergePermissions(ctx context.Context, c *vim.Call, r *types.MergePermissionsRequestType) error {
	c.Note("from", strconv.Itoa(int(r.SrcRoleId)))
	c.Note("to", strconv.Itoa(int(r.DstRoleId)))
	if !grantable(r.DstRoleId) {
		return vim.BadArgument("dstRoleId", "is of a role that can't be granted", nil)
	}
	return a.Access.MergePermissions(ctx, a.grantor(ctx, c), r.SrcRoleId, r.DstRoleId)
}

// bySession returns the session with the key from a request.
func (a *api) bySession(ctx context.Context, key string) (*session.Live, error) {
	l, err := a.Sessions.Lookup(ctx, key)
	if errors.Is(err, session.ErrNoSession) {
		return nil, vim.InvalidArgument("sessionId", err)
	}
	return l, err
}

// maxPairs is the maximum number of pairs of an entity and a privilege in one response.
const maxPairs = 100_000

// bounded checks that a request for each privilege on each entity has at most maxPairs pairs. The
// request contains two lists, but the response contains their product. property is the name of the
// list of entities.
func (a *api) bounded(ctx context.Context, c *vim.Call, property string, entities, privileges int) error {
	// The check divides because the product could overflow.
	if privileges > 0 && entities > maxPairs/privileges {
		return vim.InvalidArgument(property, fmt.Errorf("%d entities and %d privileges are more than %d pairs",
			entities, privileges, maxPairs))
	}
	return a.Work(ctx, c, entities+privileges)
}

func (a *api) hasPrivilegeOnEntity(
	ctx context.Context, _ *vim.Call, r *types.HasPrivilegeOnEntityRequestType,
) ([]bool, error) {
	if err := vim.CheckEntity(r.Entity); err != nil {
		return nil, err
	}
	l, err := a.bySession(ctx, r.SessionId)
	if err != nil {
		return nil, err
	}
	has := make([]bool, len(r.PrivId))
	for i, id := range r.PrivId {
		has[i] = a.SessionHas(l, access.Privilege(id))
	}
	return has, nil
}

func (a *api) hasPrivilegeOnEntities(
	ctx context.Context, c *vim.Call, r *types.HasPrivilegeOnEntitiesRequestType,
) ([]types.EntityPrivilege, error) {
	if err := a.bounded(ctx, c, "entity", len(r.Entity), len(r.PrivId)); err != nil {
		return nil, err
	}
	for _, e := range r.Entity {
		if err := vim.CheckEntity(e); err != nil {
			return nil, err
		}
	}
	l, err := a.bySession(ctx, r.SessionId)
	if err != nil {
		return nil, err
	}
	return entityPrivileges(r.Entity, r.PrivId,
		func(id string) bool { return a.SessionHas(l, access.Privilege(id)) }), nil
}

// hasUserPrivilegeOnEntities accepts any object. An object that is not an entity is treated like
// the root folder.
func (a *api) hasUserPrivilegeOnEntities(
	ctx context.Context, c *vim.Call, r *types.HasUserPrivilegeOnEntitiesRequestType,
) ([]types.EntityPrivilege, error) {
	if err := a.bounded(ctx, c, "entities", len(r.Entities), len(r.PrivId)); err != nil {
		return nil, err
	}
	for _, e := range r.Entities {
		if fault := a.Exists(c, e); fault != nil {
			return nil, fault
		}
	}
	has, err := a.privilegesOf(ctx, r.UserName)
	if err != nil {
		return nil, err
	}
	return entityPrivileges(r.Entities, r.PrivId, func(id string) bool { return has.Has(access.Privilege(id)) }), nil
}

func (a *api) fetchUserPrivilegeOnEntities(
	ctx context.Context, c *vim.Call, r *types.FetchUserPrivilegeOnEntitiesRequestType,
) ([]types.UserPrivilegeResult, error) {
	for _, e := range r.Entities {
		if err := vim.CheckEntity(e); err != nil {
			return nil, err
		}
	}
	has, err := a.privilegesOf(ctx, r.UserName)
	if err != nil {
		return nil, err
	}
	ids := access.Names(has.IDs()...)
	if err := a.bounded(ctx, c, "entities", len(r.Entities), len(ids)); err != nil {
		return nil, err
	}
	all := make([]types.UserPrivilegeResult, len(r.Entities))
	for i, e := range r.Entities {
		all[i] = types.UserPrivilegeResult{Entity: e, Privileges: ids}
	}
	return all, nil
}

// entityPrivileges returns the result for each privilege on each entity. Permissions are set on one
// entity only, so all entities share the same list.
func entityPrivileges(
	entities []types.ManagedObjectReference, ids []string, has func(string) bool,
) []types.EntityPrivilege {
	granted := make([]types.PrivilegeAvailability, len(ids))
	for i, id := range ids {
		granted[i] = types.PrivilegeAvailability{PrivId: id, IsGranted: has(id)}
	}
	all := make([]types.EntityPrivilege, len(entities))
	for i, e := range entities {
		all[i] = types.EntityPrivilege{Entity: e, PrivAvailability: granted}
	}
	return all
}

// privilegesOf returns the privileges of a user independently of any session. An unknown name has
// none: the result must not reveal which users exist.
func (a *api) privilegesOf(ctx context.Context, spelling string) (access.Set, error) {
	name, err := a.principal(ctx, spelling, false)
	if err != nil {
		return access.Set{}, vim.InvalidArgument("userName", err)
	}
	return a.Access.Privileges(access.Subject{
		Principal: name, Groups: a.Directory.Groups(ctx, name), Extension: a.isExtension(name, false),
	}), nil
}

// principal parses a name from a client. If its source knows the name, it is returned in the
// source's spelling. A name without a domain is that of a user of the default domain, if there is
// such a user. Otherwise it is the key of an extension, if there is such an extension. A new
// extension can't have the name of a user, and a new user can't have the name of an extension, but
// older versions allowed it. The user takes precedence, so that nobody can take over a user's name
// by registering an extension.
func (a *api) principal(ctx context.Context, spelling string, group bool) (principal.Name, error) {
	name, err := principal.Parse(spelling, a.DefaultDomain())
	if err != nil {
		return principal.Name{}, err
	}
	entry, known := a.Directory.Find(ctx, name, group)
	if known {
		return entry.Name, nil
	}
	if group || strings.ContainsAny(spelling, `\@`) {
		return name, nil
	}
	if e, ok := a.extensionName(spelling); ok {
		return e, nil
	}
	return name, nil
}

// isExtension reports whether the name is that of a registered extension.
func (a *api) isExtension(name principal.Name, group bool) bool {
	if group || name.Domain != "" {
		return false
	}
	_, ok := a.extensionName(name.User)
	return ok
}

// sameName compares names as principals are compared.
func sameName(a, b string) bool { return principal.Fold(a) == principal.Fold(b) }
