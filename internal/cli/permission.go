package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/cli/command"
)

func (a *app) permission() *cobra.Command {
	return command.Group("permission", "Manage permissions, which grant roles to users and groups",
		a.permissionList(), a.permissionSet(), a.permissionRemove(), a.permissionCheck())
}

func (a *app) permissionList() *cobra.Command {
	cmd := a.command("ls [flags]", "List permissions", cobra.NoArgs, func(ctx context.Context, j *job) error {
		ref, err := j.authorization(ctx)
		if err != nil {
			return err
		}
		list, err := invoke[[]types.Permission](ctx, j, ref, "RetrieveAllPermissions", nil)
		if err != nil {
			return err
		}
		slices.SortStableFunc(list, func(a, b types.Permission) int { return cmp.Compare(a.Principal, b.Principal) })
		names := map[int32]string{}
		if !j.Out.JSON {
			roles, err := j.roles(ctx)
			if err != nil {
				return err
			}
			for _, r := range roles {
				names[r.RoleId] = r.Name
			}
		}
		return j.Out.Show(list, func() *command.Table { return permissionTable(list, names) })
	})
	cmd.Aliases = []string{"list"}
	return cmd
}

func permissionTable(list []types.Permission, roles map[int32]string) *command.Table {
	t := &command.Table{Header: []string{"PRINCIPAL", "KIND", "ROLE", "ENTITY", "PROPAGATE"}}
	for _, p := range list {
		kind, entity := "user", ""
		if p.Group {
			kind = "group"
		}
		if p.Entity != nil {
			entity = p.Entity.Value
		}
		t.Add(p.Principal, kind, cmp.Or(roles[p.RoleId], fmt.Sprint(p.RoleId)), entity, command.YesNo(p.Propagate))
	}
	return t
}

func (a *app) permissionSet() *cobra.Command {
	var group, propagate bool
	cmd := a.command("set PRINCIPAL ROLE", "Grant a role to a user or a group, replacing the one it has",
		cobra.ExactArgs(2),
		func(ctx context.Context, j *job) error {
			role, err := j.findRole(ctx, j.Args[1])
			if err != nil {
				return err
			}
			ref, err := j.authorization(ctx)
			if err != nil {
				return err
			}
			root, err := j.rootFolder(ctx)
			if err != nil {
				return err
			}
			p := types.Permission{Entity: &root, Principal: j.Args[0], Group: group, RoleId: role.RoleId,
				Propagate: propagate}
			return j.Invoke(ctx, ref, "SetEntityPermissions",
				&types.SetEntityPermissions{Entity: root, Permission: []types.Permission{p}}, nil)
		})
	cmd.Flags().BoolVar(&group, "group", false, "the principal is a group")
	cmd.Flags().BoolVar(&propagate, "propagate", true, "the permission also applies to the objects below the root "+
		"folder")
	names, roles := a.complete(false, principals), a.complete(true, roleNames)
	cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, toComplete string) ([]cobra.Completion,
		cobra.ShellCompDirective) {
		switch len(args) {
		case 0:
			return names(cmd, args, toComplete)
		case 1:
			return roles(cmd, args, toComplete)
		}
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return cmd
}

func (a *app) permissionRemove() *cobra.Command {
	var group bool
	cmd := a.command("rm PRINCIPAL", "Remove the permission of a user or a group", cobra.ExactArgs(1),
		func(ctx context.Context, j *job) error {
			ref, err := j.authorization(ctx)
			if err != nil {
				return err
			}
			root, err := j.rootFolder(ctx)
			if err != nil {
				return err
			}
			return j.Invoke(ctx, ref, "RemoveEntityPermission",
				&types.RemoveEntityPermission{Entity: root, User: j.Args[0], IsGroup: group}, nil)
		})
	cmd.Flags().BoolVar(&group, "group", false, "the principal is a group")
	cmd.ValidArgsFunction = a.complete(false, principals)
	return cmd
}

func (a *app) permissionCheck() *cobra.Command {
	var user string
	var status bool
	cmd := a.command("check [PRIVILEGE…]", "Check whether you, or a user, have privileges, or list all privileges of "+
		"a user", cobra.ArbitraryArgs,
		func(ctx context.Context, j *job) error {
			granted, err := j.check(ctx, user)
			if err != nil {
				return err
			}
			err = j.Out.Show(granted, func() *command.Table {
				t := &command.Table{Header: []string{"PRIVILEGE", "GRANTED"}}
				for _, p := range granted {
					t.Add(p.PrivId, command.YesNo(p.IsGranted))
				}
				return t
			})
			if err == nil && status && slices.ContainsFunc(granted, func(p types.PrivilegeAvailability) bool {
				return !p.IsGranted
			}) {
				err = command.WithExitCode(errors.New("not all of these privileges are granted"),
					command.ExitNoPermission)
			}
			return err
		})
	cmd.Flags().StringVar(&user, "user", "", "user to check (default: your session)")
	cmd.Flags().BoolVar(&status, "exit-status", false, "exit with 4 if a privilege is not granted (default: exit "+
		"with 0)")
	cmd.ValidArgsFunction = a.complete(true, privilegeIDs)
	return cmd
}

// check tells which of the privileges in the arguments the user has on the root folder. If the
// arguments name none, it returns all privileges that the user has.
func (j *job) check(ctx context.Context, user string) ([]types.PrivilegeAvailability, error) {
	ref, err := j.authorization(ctx)
	if err != nil {
		return nil, err
	}
	root, err := j.rootFolder(ctx)
	if err != nil {
		return nil, err
	}
	var own *types.UserSession
	if user == "" {
		if own, err = j.Own(ctx); err != nil {
			return nil, err
		}
	}
	entities := []types.ManagedObjectReference{root}
	switch {
	case len(j.Args) == 0:
		if own != nil {
			user = own.UserName
		}
		list, err := invoke[[]types.UserPrivilegeResult](ctx, j, ref, "FetchUserPrivilegeOnEntities",
			&types.FetchUserPrivilegeOnEntities{Entities: entities, UserName: user})
		var granted []types.PrivilegeAvailability
		for _, r := range list {
			for _, id := range r.Privileges {
				granted = append(granted, types.PrivilegeAvailability{PrivId: id, IsGranted: true})
			}
		}
		return granted, err
	case own != nil:
		// The session is checked and not its user, because the session of an extension may have
		// more privileges than its permissions grant.
		has, err := invoke[[]bool](ctx, j, ref, "HasPrivilegeOnEntity",
			&types.HasPrivilegeOnEntity{Entity: root, SessionId: own.Key, PrivId: j.Args})
		if err == nil && len(has) != len(j.Args) {
			err = fmt.Errorf("asked for %d privileges, but the server returned %d", len(j.Args), len(has))
		}
		if err != nil {
			return nil, err
		}
		granted := make([]types.PrivilegeAvailability, len(has))
		for i := range has {
			granted[i] = types.PrivilegeAvailability{PrivId: j.Args[i], IsGranted: has[i]}
		}
		return granted, nil
	}
	list, err := invoke[[]types.EntityPrivilege](ctx, j, ref, "HasUserPrivilegeOnEntities",
		&types.HasUserPrivilegeOnEntities{Entities: entities, UserName: user, PrivId: j.Args})
	if err == nil && len(list) != 1 {
		err = fmt.Errorf("asked for one object, but the server returned %d", len(list))
	}
	if err != nil {
		return nil, err
	}
	return list[0].PrivAvailability, nil
}
