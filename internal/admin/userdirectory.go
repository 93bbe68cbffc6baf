package admin

import (
	"context"
	"errors"
	"os/user"
	"slices"
	"strings"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/account"
	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/vim"
)

// Entry is a user or a group of an identity source.
type Entry struct {
	Name     principal.Name
	FullName string
	Group    bool
	// Groups are the groups of which the entry is a direct member, in the form of
	// principal.Name.String.
	Groups []string
}

// Source is an identity source. Each source has one domain.
type Source interface {
	// Domain returns the source's domain in upper case.
	Domain() string
	// Search returns the entries whose name or full name contains the text. If exact is set, it
	// returns the entries whose name is the text. It ignores case. An empty text is contained in
	// all names, but it is nobody's exact name. A source that can't be listed finds exact names
	// only.
	Search(ctx context.Context, text string, exact bool) ([]Entry, error)
}

// Directory is the list of identity sources. The source of the default domain is the first.
// Extensions are in no source, so that an administrator does not give them permissions by accident.
type Directory []Source

// LocalUsers returns the source of the server's own users. It has no groups.
func LocalUsers(t *account.Table) Source { return localUsers{t} }

type localUsers struct{ *account.Table }

func (l localUsers) Search(_ context.Context, text string, exact bool) ([]Entry, error) {
	var found []Entry
	if exact {
		if text == "" {
			return nil, nil
		}
		for _, a := range l.Table.Search(text, true) {
			found = append(found, Entry{Name: a.Name, FullName: a.FullName})
		}
		return found, nil
	}
	text = principal.Fold(text)
	for _, a := range l.Table.Search("", false) {
		if strings.Contains(principal.Fold(a.Name.User), text) || strings.Contains(principal.Fold(a.FullName), text) {
			found = append(found, Entry{Name: a.Name, FullName: a.FullName})
		}
	}
	return found, nil
}

// SystemUsers returns the source of the operating system's accounts. It finds exact names only, so
// that clients can't list the accounts of the machine. If lookup is nil, os/user.Lookup is used.
func SystemUsers(lookup func(string) (*user.User, error)) Source {
	if lookup == nil {
		lookup = user.Lookup
	}
	return systemUsers(lookup)
}

type systemUsers func(string) (*user.User, error)

func (systemUsers) Domain() string { return login.LocalDomain }

func (s systemUsers) Search(_ context.Context, text string, exact bool) ([]Entry, error) {
	if !exact || text == "" {
		return nil, nil
	}
	u, err := s(text)
	if err != nil {
		if _, unknown := errors.AsType[user.UnknownUserError](err); unknown {
			err = nil
		}
		return nil, err
	}
	return []Entry{{Name: principal.Name{Domain: login.LocalDomain, User: u.Username}, FullName: u.Name}}, nil
}

// source returns the source of the domain, or nil. An empty domain is the default domain.
func (d Directory) source(domain string) Source {
	for _, s := range d {
		if domain == "" || strings.EqualFold(s.Domain(), domain) {
			return s
		}
	}
	return nil
}

// lookup returns the entry with the exact name, and whether it exists. The error is that of the
// source.
func (d Directory) lookup(ctx context.Context, name principal.Name, group bool) (Entry, bool, error) {
	s := d.source(name.Domain)
	if s == nil || name.Domain == "" {
		return Entry{}, false, nil
	}
	found, err := s.Search(ctx, name.User, true)
	if err != nil {
		return Entry{}, false, err
	}
	i := slices.IndexFunc(found, func(e Entry) bool { return e.Group == group && e.Name.Equal(name) })
	if i < 0 {
		return Entry{}, false, nil
	}
	return found[i], true, nil
}

// find is lookup for callers that treat an unreachable source as "no such entry".
func (d Directory) find(ctx context.Context, name principal.Name, group bool) (Entry, bool) {
	e, ok, _ := d.lookup(ctx, name, group)
	return e, ok
}

// Has reports whether the user or group exists. If its source is unreachable, it reports false.
func (d Directory) Has(ctx context.Context, name principal.Name, group bool) bool {
	_, ok := d.find(ctx, name, group)
	return ok
}

// groups returns the groups of a user that its source reports without a login.
func (d Directory) groups(ctx context.Context, name principal.Name) []string {
	e, _ := d.find(ctx, name, false)
	return e.Groups
}

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
	source := a.Directory.source(r.Domain)
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
) (func(Entry) bool, error) {
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
		u, ok := a.Directory.find(ctx, name, false)
		if !ok {
			return nil, vim.NewFault(&types.NotFound{}, errors.New("no such user"))
		}
		groups = u.Groups
	}
	return func(e Entry) bool {
		return (group == "" || slices.ContainsFunc(e.Groups, func(g string) bool { return sameName(g, group) })) &&
			(r.BelongsToUser == "" || e.Group &&
				slices.ContainsFunc(groups, func(g string) bool { return sameName(g, e.Name.String()) }))
	}, nil
}
