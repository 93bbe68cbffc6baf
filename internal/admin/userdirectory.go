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

// Entry is a user or a group as an identity source knows it.
type Entry struct {
	Name     principal.Name
	FullName string
	Group    bool
	// Groups are those that it directly belongs to, as principal.Name.String
	// spells them.
	Groups []string
}

// Source is the directory of one identity source. Each owns one domain.
type Source interface {
	// Domain is the source's, in upper case.
	Domain() string
	// Search returns the entries whose name or full name contains the text or,
	// with exact, whose name is the text, without regard to case. An empty text
	// is in all names, and nobody's. A source that can't be listed finds exact
	// names only.
	Search(ctx context.Context, text string, exact bool) ([]Entry, error)
}

// Directory is the sources, that of the default domain first. Extensions are in
// none: they are not people to give permissions to by accident.
type Directory []Source

// LocalUsers are the server's own users. There are no groups of them.
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

// SystemUsers are the accounts of the operating system. They are found by their
// exact name only: a list of a machine's accounts is nobody's business. lookup
// nil: os/user.Lookup.
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

// source is that of the domain, or nil. Empty: the default domain's.
func (d Directory) source(domain string) Source {
	for _, s := range d {
		if domain == "" || strings.EqualFold(s.Domain(), domain) {
			return s
		}
	}
	return nil
}

// lookup returns the entry of exactly that name, if there is one and its source
// can be asked.
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

// find is lookup for those to whom a source that can't be asked knows nobody.
func (d Directory) find(ctx context.Context, name principal.Name, group bool) (Entry, bool) {
	e, ok, _ := d.lookup(ctx, name, group)
	return e, ok
}

func (d Directory) Has(ctx context.Context, name principal.Name, group bool) bool {
	_, ok := d.find(ctx, name, group)
	return ok
}

// groups are those of a user, as far as its directory tells without a login.
func (d Directory) groups(ctx context.Context, name principal.Name) []string {
	e, _ := d.find(ctx, name, false)
	return e.Groups
}

// userDirectory answers who there is.
func (a *api) userDirectory() *vim.Object {
	return &vim.Object{
		Type: "UserDirectory", ID: "UserDirectory",
		Methods: []vim.Method{
			// Authorization.ModifyPermissions or Host.Local.ManageUserGroups.
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

// retrieveUserGroups searches one domain, the default one where none is named.
// A blank search matches all, also where an exact match is asked for. The list of
// users is for callers that give permissions to them or manage them.
func (a *api) retrieveUserGroups(ctx context.Context, c *vim.Call, r *types.RetrieveUserGroupsRequestType) ([]types.BaseUserSearchResult, error) {
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

// memberships is what the request asks of entries beside their names: to belong
// to a group, or to be a group that a user belongs to.
func (a *api) memberships(ctx context.Context, domain string, r *types.RetrieveUserGroupsRequestType) (func(Entry) bool, error) {
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
			(r.BelongsToUser == "" || e.Group && slices.ContainsFunc(groups, func(g string) bool { return sameName(g, e.Name.String()) }))
	}, nil
}
