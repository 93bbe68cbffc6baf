package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/cli/command"
)

func (a *app) role() *cobra.Command {
	return command.Group("role", "Manage roles, which are sets of privileges",
		a.roleList(), a.roleCreate(), a.roleUpdate(), a.roleRemove(), a.privileges())
}

// roles returns all roles, sorted by id.
func (j *job) roles(ctx context.Context) ([]types.AuthorizationRole, error) {
	ref, err := j.authorization(ctx)
	if err != nil {
		return nil, err
	}
	list, err := property[[]types.AuthorizationRole](ctx, j, ref, "roleList")
	slices.SortStableFunc(list, func(a, b types.AuthorizationRole) int { return cmp.Compare(a.RoleId, b.RoleId) })
	return list, err
}

// findRole returns the role with the given name or id.
func (j *job) findRole(ctx context.Context, name string) (types.AuthorizationRole, error) {
	list, err := j.roles(ctx)
	if err != nil {
		return types.AuthorizationRole{}, err
	}
	matches := []func(types.AuthorizationRole) bool{
		func(r types.AuthorizationRole) bool { return r.Name == name },
		func(r types.AuthorizationRole) bool { return strings.EqualFold(r.Name, name) },
		func(r types.AuthorizationRole) bool { return strconv.Itoa(int(r.RoleId)) == name },
	}
	for _, match := range matches {
		if i := slices.IndexFunc(list, match); i >= 0 {
			return list[i], nil
		}
	}
	return types.AuthorizationRole{}, command.NotFound("there is no role %q; 'vigate role ls' lists the roles", name)
}

func roleNames(ctx context.Context, j *job) ([]string, error) {
	list, err := j.roles(ctx)
	var names []string
	for _, r := range list {
		names = append(names, r.Name)
	}
	return names, err
}

func (a *app) roleList() *cobra.Command {
	cmd := a.command("ls [ROLE]", "List all roles, or the privileges of one role", cobra.MaximumNArgs(1),
		func(ctx context.Context, j *job) error {
			if len(j.Args) == 1 {
				role, err := j.findRole(ctx, j.Args[0])
				if err != nil {
					return err
				}
				return j.Out.Texts(role.Privilege)
			}
			list, err := j.roles(ctx)
			if err != nil {
				return err
			}
			return j.Out.Show(list, func() *command.Table {
				t := &command.Table{Header: []string{"ID", "NAME", "SYSTEM", "PRIVILEGES", "SUMMARY"}}
				for _, r := range list {
					summary := ""
					if r.Info != nil {
						summary = r.Info.GetDescription().Summary
					}
					t.Add(fmt.Sprint(r.RoleId), r.Name, command.YesNo(r.System), fmt.Sprint(len(r.Privilege)), summary)
				}
				return t
			})
		})
	cmd.Aliases = []string{"list"}
	cmd.ValidArgsFunction = a.complete(false, roleNames)
	return cmd
}

func (a *app) roleCreate() *cobra.Command {
	cmd := a.command("create NAME [PRIVILEGE…]", "Create a role and print its id", cobra.MinimumNArgs(1),
		func(ctx context.Context, j *job) error {
			ref, err := j.authorization(ctx)
			if err != nil {
				return err
			}
			id, err := invoke[int32](ctx, j, ref, "AddAuthorizationRole",
				&types.AddAuthorizationRole{Name: j.Args[0], PrivIds: j.Args[1:]})
			if err != nil {
				return err
			}
			return j.Out.Show(id, func() *command.Table { return &command.Table{Rows: [][]string{{fmt.Sprint(id)}}} })
		})
	cmd.ValidArgsFunction = a.complete(true, privilegeIDs)
	return cmd
}

func (a *app) roleUpdate() *cobra.Command {
	var name string
	var add, remove, set []string
	cmd := a.command("update ROLE [flags]", "Change a role's name and privileges", cobra.ExactArgs(1),
		func(ctx context.Context, j *job) error {
			if name == "" && len(add)+len(remove)+len(set) == 0 {
				return command.Usage("there is nothing to change; use --rename, --add, --remove or --set")
			}
			if len(set) > 0 && len(add)+len(remove) > 0 {
				return command.Usage("--set can't be used with --add or --remove")
			}
			role, err := j.findRole(ctx, j.Args[0])
			if err != nil {
				return err
			}
			privileges := role.Privilege
			if len(set) > 0 {
				privileges = set
			}
			privileges = slices.DeleteFunc(slices.Concat(privileges, add), func(p string) bool {
				return slices.Contains(remove, p)
			})
			slices.Sort(privileges)
			ref, err := j.authorization(ctx)
			if err != nil {
				return err
			}
			return j.Invoke(ctx, ref, "UpdateAuthorizationRole", &types.UpdateAuthorizationRole{
				RoleId: role.RoleId, NewName: cmp.Or(name, role.Name), PrivIds: slices.Compact(privileges)}, nil)
		})
	cmd.Flags().StringVar(&name, "rename", "", "new name of the role")
	cmd.Flags().StringSliceVar(&add, "add", nil, "privileges to add, separated by commas")
	cmd.Flags().StringSliceVar(&remove, "remove", nil, "privileges to remove, separated by commas")
	cmd.Flags().StringSliceVar(&set, "set", nil, "privileges that replace the current ones, separated by commas")
	cmd.ValidArgsFunction = a.complete(false, roleNames)
	return cmd
}

func (a *app) roleRemove() *cobra.Command {
	var force bool
	cmd := a.command("rm ROLE", "Remove a role that no permission uses", cobra.ExactArgs(1),
		func(ctx context.Context, j *job) error {
			role, err := j.findRole(ctx, j.Args[0])
			if err != nil {
				return err
			}
			ref, err := j.authorization(ctx)
			if err != nil {
				return err
			}
			return j.Invoke(ctx, ref, "RemoveAuthorizationRole",
				&types.RemoveAuthorizationRole{RoleId: role.RoleId, FailIfUsed: !force}, nil)
		})
	cmd.Flags().BoolVar(&force, "force", false, "also remove the permissions that use the role")
	cmd.ValidArgsFunction = a.complete(false, roleNames)
	return cmd
}

func (a *app) privileges() *cobra.Command {
	return a.command("privileges [flags]", "List all privileges", cobra.NoArgs,
		func(ctx context.Context, j *job) error {
			list, err := j.privilegeList(ctx)
			if err != nil {
				return err
			}
			return j.Out.Show(list, func() *command.Table {
				t := &command.Table{}
				for _, p := range list {
					t.Add(p.PrivId)
				}
				return t
			})
		})
}

func (j *job) privilegeList(ctx context.Context) ([]types.AuthorizationPrivilege, error) {
	ref, err := j.authorization(ctx)
	if err != nil {
		return nil, err
	}
	return property[[]types.AuthorizationPrivilege](ctx, j, ref, "privilegeList")
}

func privilegeIDs(ctx context.Context, j *job) ([]string, error) {
	list, err := j.privilegeList(ctx)
	var ids []string
	for _, p := range list {
		ids = append(ids, p.PrivId)
	}
	return ids, err
}
