package admin

import (
	"context"
	"errors"
	"slices"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/directory"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/vim"
)

// userDirectory describes the managed object UserDirectory.
func (a *api) userDirectory() *vim.Object {
	return &vim.Object{
		Type: "UserDirectory", ID: "UserDirectory",
		Methods: []vim.Method{
			// The method requires Authorization.ModifyPermissions or Host.Local.ManageUserGroups.
			vim.NewMethod("RetrieveUserGroups", vim.View, a.retrieveUserGroups, vim.Faults("NotFound", "NoPermission")),
		},
		Properties: []vim.Property{
			vim.NewProperty("domainList", vim.View, a.domainList),
		},
	}
}

func (a *api) domainList(context.Context, *vim.Call) ([]string, error) {
	var all []string
	for _, s := range a.Directory {
		all = append(all, s.Domain())
	}
	return all, nil
}

// retrieveUserGroups searches one domain. If the request names none, it searches the default
// domain. An empty search text matches all entries, even if an exact match is requested. Only
// callers that may set permissions or manage users may search.
func (a *api) retrieveUserGroups(
	ctx context.Context, c *vim.Call, r *types.RetrieveUserGroupsRequestType,
) ([]types.BaseUserSearchResult, error) {
	if !a.Has(c, access.ModifyPermissions) && !a.Has(c, access.HostManageUserGroups) {
		return nil, vim.NoPermission(c.Object, nil, access.ModifyPermissions)
	}
	source := a.Directory.Source(r.Domain)
	if source == nil {
		return nil, vim.NewFault(&types.NotFound{}, errors.New("no such domain"))
	}
	member, err := a.memberships(ctx, source.Domain(), r)
	if err != nil {
		return nil, err
	}
	found, err := source.Search(ctx, r.SearchStr, r.ExactMatch && r.SearchStr != "")
	if err != nil {
		return nil, err
	}
	if err := a.Work(ctx, c, len(found)); err != nil {
		return nil, err
	}
	var all []types.BaseUserSearchResult
	for _, e := range found {
		if wanted := e.Group && r.FindGroups || !e.Group && r.FindUsers; wanted && member(e) {
			all = append(all, &types.UserSearchResult{Principal: e.Name.User, FullName: e.FullName, Group: e.Group})
		}
	}
	return all, nil
}

// memberships returns a function that checks the request's conditions on memberships: the entry
// must belong to a group, or it must be a group to which a user belongs.
func (a *api) memberships(
	ctx context.Context, domain string, r *types.RetrieveUserGroupsRequestType,
) (func(directory.Entry) bool, error) {
	var groups []string // of the user
	group := ""
	if r.BelongsToGroup != "" {
		name, err := principal.Parse(r.BelongsToGroup, domain)
		if err != nil || !a.Directory.Has(ctx, name, true) {
			return nil, vim.NewFault(&types.NotFound{}, errors.New("no such group"))
		}
		group = name.String()
	}
	if r.BelongsToUser != "" {
		name, err := principal.Parse(r.BelongsToUser, domain)
		if err != nil {
			return nil, vim.NewFault(&types.NotFound{}, err)
		}
		u, ok := a.Directory.Find(ctx, name, false)
		if !ok {
			return nil, vim.NewFault(&types.NotFound{}, errors.New("no such user"))
		}
		groups = u.Groups
	}
	return func(e directory.Entry) bool {
		return (group == "" || slices.ContainsFunc(e.Groups, func(g string) bool { return sameName(g, group) })) &&
			(r.BelongsToUser == "" || e.Group &&
				slices.ContainsFunc(groups, func(g string) bool { return sameName(g, e.Name.String()) }))
	}, nil
}
