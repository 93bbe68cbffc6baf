package cli

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/cli/command"
)

func (a *app) user() *cobra.Command {
	return command.Group("user", "Manage the server's own users",
		a.userList(), a.userAdd(), a.userPassword(),
		a.userChange("rm", "RemoveUser", "Remove users and end their sessions"),
		a.userChange("disable", "DisableUser", "Disable users and end their sessions"),
		a.userChange("enable", "EnableUser", "Enable disabled users"),
		a.userChange("unlock", "UnlockUser", "Unlock users that are locked after too many failed logins"),
	)
}

func (a *app) userList() *cobra.Command {
	var domain string
	var groups bool
	cmd := a.command("ls [SEARCH]", "List all users, or the users whose names contain SEARCH", cobra.MaximumNArgs(1),
		func(ctx context.Context, j *job) error {
			req := &types.RetrieveUserGroups{Domain: domain, FindUsers: !groups, FindGroups: groups}
			if len(j.Args) == 1 {
				req.SearchStr = j.Args[0]
			}
			list, err := j.search(ctx, req)
			if err != nil {
				return err
			}
			all, err := j.withStates(ctx, domain, list)
			if err != nil {
				return err
			}
			return j.Out.Show(all, func() *command.Table {
				t := &command.Table{Header: []string{"PRINCIPAL", "STATE", "FULL NAME"}}
				for _, u := range all {
					t.Add(u.Principal, u.state(), u.FullName)
				}
				return t
			})
		})
	cmd.Long = cmd.Short + `.

STATE is that of the user at the node that answers: 'disabled', 'locked' after
too many failed logins, or 'ok'. It is '-' for groups, without the privilege
Host.Local.ManageUserGroups, and with servers that do not report it.`
	cmd.Aliases = []string{"list"}
	cmd.Flags().StringVar(&domain, "domain", "", "search only this domain")
	cmd.Flags().BoolVar(&groups, "groups", false, "list groups instead of users")
	return cmd
}

// shownUser is a user or group as JSON: that of the API, with its state, if the server reports it.
type shownUser struct {
	TypeName string `json:"_typeName"`
	types.UserSearchResult
	Disabled *bool `json:"disabled,omitempty"`
	Locked   *bool `json:"locked,omitempty"`
}

func (u *shownUser) state() string {
	var all []string
	if u.Disabled == nil || u.Locked == nil {
		return "-"
	}
	if *u.Disabled {
		all = append(all, "disabled")
	}
	if *u.Locked {
		all = append(all, "locked")
	}
	return cmp.Or(strings.Join(all, ", "), "ok")
}

// statesRequest is the request of RetrieveUserStates, which only vigate has.
type statesRequest struct {
	UserName []string `json:"userName"`
}

// userState has the members of the API type VigateUserState.
type userState struct {
	Disabled bool `json:"disabled"`
	Locked   bool `json:"locked"`
}

// maxStates is the number of users whose states are asked for with one call.
const maxStates = 500

// withStates adds the states of the users that a search in the domain has found. It leaves them out if the server does
// not report them, or not to this session.
func (j *job) withStates(
	ctx context.Context, domain string, list []types.BaseUserSearchResult,
) ([]*shownUser, error) {
	all := make([]*shownUser, len(list)) // not nil, because JSON shows it
	var users []*shownUser
	for i, found := range list {
		all[i] = &shownUser{TypeName: "UserSearchResult", UserSearchResult: *found.GetUserSearchResult()}
		if !all[i].Group {
			users = append(users, all[i])
		}
	}
	content, err := j.ServiceContent(ctx)
	if err != nil || content.AccountManager == nil {
		return all, err
	}
	if domain == "" && len(users) > 0 {
		// The search was in the first domain, which need not be the one of names without a domain.
		domains, err := property[[]string](ctx, j, *content.UserDirectory, "domainList")
		if err != nil && !command.IsAbsent(err) {
			return nil, err
		}
		if len(domains) > 0 {
			domain = domains[0]
		}
	}
	for part := range slices.Chunk(users, maxStates) {
		req := &statesRequest{}
		for _, u := range part {
			name := u.Principal
			if domain != "" {
				name = domain + `\` + name
			}
			req.UserName = append(req.UserName, name)
		}
		states, err := invoke[[]userState](ctx, j, *content.AccountManager, "RetrieveUserStates", req)
		if command.IsAbsent(err) || command.IsFault[types.BaseNoPermission](err) {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		for i := range min(len(part), len(states)) {
			part[i].Disabled, part[i].Locked = &states[i].Disabled, &states[i].Locked
		}
	}
	return all, nil
}

func (j *job) search(ctx context.Context, req *types.RetrieveUserGroups) ([]types.BaseUserSearchResult, error) {
	ref, err := j.directory(ctx)
	if err != nil {
		return nil, err
	}
	list, err := invoke[[]types.BaseUserSearchResult](ctx, j, ref, "RetrieveUserGroups", req)
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(list, func(a, b types.BaseUserSearchResult) int {
		return cmp.Compare(a.GetUserSearchResult().Principal, b.GetUserSearchResult().Principal)
	})
	return list, nil
}

func principals(ctx context.Context, j *job) ([]string, error) {
	list, err := j.search(ctx, &types.RetrieveUserGroups{FindUsers: true})
	var names []string
	for _, u := range list {
		found := u.GetUserSearchResult()
		names = append(names, found.Principal+"\t"+command.Clean(found.FullName))
	}
	return names, err
}

// passwordFlag defines the flag for the file of a new password.
func passwordFlag(cmd *cobra.Command) *string {
	return cmd.Flags().String("new-password-file", "",
		"file that holds the new password, - for standard input (default: prompt)")
}

func (a *app) userAdd() *cobra.Command {
	var description string
	var path *string
	cmd := a.command("add NAME", "Add a user", cobra.ExactArgs(1), func(ctx context.Context, j *job) error {
		ref, err := j.accounts(ctx)
		if err != nil {
			return err
		}
		password, err := j.NewPassword(ctx, j.Args[0], *path)
		if err != nil {
			return err
		}
		account := &types.HostAccountSpec{Id: j.Args[0], Password: password, Description: description}
		return j.Invoke(ctx, ref, "CreateUser", &types.CreateUser{User: account}, nil)
	})
	cmd.Long = cmd.Short + `.

A new user has no privileges. Grant a role with 'vigate permission set'.`
	cmd.Flags().StringVar(&description, "full-name", "", "the user's full name")
	path = passwordFlag(cmd)
	return cmd
}

func (a *app) userPassword() *cobra.Command {
	var path *string
	cmd := a.command("passwd [NAME]", "Change a user's password or your own, and end the user's other sessions",
		cobra.MaximumNArgs(1),
		func(ctx context.Context, j *job) error {
			ref, err := j.accounts(ctx)
			if err != nil {
				return err
			}
			var name string
			if len(j.Args) == 1 {
				name = j.Args[0]
			} else {
				session, err := j.Own(ctx)
				if err != nil {
					return err
				}
				name = session.UserName
			}
			password, err := j.NewPassword(ctx, name, *path)
			if err != nil {
				return err
			}
			return j.Invoke(ctx, ref, "UpdateUser",
				&types.UpdateUser{User: &types.HostAccountSpec{Id: name, Password: password}}, nil)
		})
	path = passwordFlag(cmd)
	cmd.ValidArgsFunction = a.complete(false, principals)
	return cmd
}

// userRequest is the request type of the methods whose only argument is a user name.
type userRequest struct {
	UserName string `json:"userName"`
}

func (a *app) userChange(verb, method, short string) *cobra.Command {
	cmd := a.command(verb+" NAME…", short, cobra.MinimumNArgs(1), func(ctx context.Context, j *job) error {
		ref, err := j.accounts(ctx)
		if err != nil {
			return err
		}
		return j.Each(func(name string) error { return j.Invoke(ctx, ref, method, &userRequest{name}, nil) })
	})
	cmd.ValidArgsFunction = a.complete(true, principals)
	return cmd
}
