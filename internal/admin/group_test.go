package admin_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/directory"
	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/session"
	"github.com/vigate/vigate/internal/vim"
	"github.com/vigate/vigate/internal/vim/vimtest"
)

// corp is another identity source. It has the users Carl, who is a member of the group Staff, and
// Dora, who is not. It is also a source of passwords that accepts both without one.
type corp struct{ down bool }

func corpName(user string) principal.Name { return principal.Name{Domain: "CORP", User: user} }

func (corp) Domain() string { return "CORP" }

func (c corp) Search(_ context.Context, text string, exact bool) ([]directory.Entry, error) {
	if c.down {
		return nil, errors.New("the directory can't be reached")
	}
	var found []directory.Entry
	for _, e := range []directory.Entry{
		{Name: corpName("Carl"), Groups: []string{`CORP\Staff`}}, {Name: corpName("Dora")},
		{Name: corpName("Staff"), Group: true},
	} {
		user, text := strings.ToLower(e.Name.User), strings.ToLower(text)
		if user == text || !exact && strings.Contains(user, text) {
			found = append(found, e)
		}
	}
	return found, nil
}

func (c corp) Verify(ctx context.Context, name principal.Name, _ login.Attempt) (session.Grant, error) {
	found, err := c.Search(ctx, name.User, true)
	if err != nil || len(found) != 1 || found[0].Group {
		return session.Grant{}, errors.Join(login.ErrRejected, err)
	}
	return session.Grant{
		Identity: session.Identity{Name: found[0].Name, Groups: found[0].Groups}, Scope: session.Scope{Domain: "CORP"},
	}, nil
}

func withCorp(d *vimtest.Parts) {
	d.Directory = append(d.Directory, corp{})
	d.Passwords = append(d.Passwords, corp{})
}

func TestAGroupsPermissionAppliesToItsMembers(t *testing.T) {
	f := newFixture(t, withCorp)
	role := f.AddRole("Staff", "Global.Settings")
	vimtest.OK(f.Grant(f.Admin, types.Permission{Principal: `corp\staff`, Group: true, RoleId: role},
		types.Permission{Principal: `CORP\dora`, RoleId: access.ReadOnly}))
	carl, dora := f.Login(`CORP\carl`, ""), f.Login("dora@corp", "")
	if got := vimtest.Get[[]int32](f.Prop(carl, "Folder", "effectiveRole")); !slices.Equal(got, []int32{role}) {
		t.Errorf("roles of Carl: %v", got)
	}
	vimtest.OK(f.SetOption(carl))
	vimtest.Fails[types.NoPermission](f.SetOption(dora))
	for name, want := range map[string]bool{`CORP\Carl`: true, `CORP\Dora`: false} {
		got := vimtest.Get[[]types.EntityPrivilege](
			f.As(dora, authority, "HasUserPrivilegeOnEntities", &types.HasUserPrivilegeOnEntitiesRequestType{
				Entities: []types.ManagedObjectReference{vim.RootFolder()}, UserName: name, PrivId: []string{
					"Global.Settings"}}))
		if got[0].PrivAvailability[0].IsGranted != want {
			t.Errorf("%s: %+v", name, got)
		}
	}
	// A permission of the user overrides those of its groups.
	vimtest.OK(f.Grant(f.Admin, types.Permission{Principal: `CORP\Carl`, RoleId: access.ReadOnly}))
	vimtest.Fails[types.NoPermission](f.SetOption(carl))
	vimtest.OK(f.Revoke(f.Admin, `CORP\Carl`, false))
	vimtest.Fails[types.NotFound](f.Revoke(f.Admin, `CORP\Staff`, false)) // names a user, not the group
	vimtest.OK(f.Revoke(f.Admin, `CORP\Staff`, true))
	vimtest.Fails[types.NoPermission](f.SetOption(carl))
}

func TestMembersAndGroupsAreFound(t *testing.T) {
	f := newFixture(t, withCorp)
	all := types.RetrieveUserGroupsRequestType{Domain: "corp", FindUsers: true, FindGroups: true}
	for want, edit := range map[string]func(*types.RetrieveUserGroupsRequestType){
		"Carl,Dora,Staff": func(*types.RetrieveUserGroupsRequestType) {},
		"Carl,Dora":       func(r *types.RetrieveUserGroupsRequestType) { r.FindGroups = false },
		"Carl":            func(r *types.RetrieveUserGroupsRequestType) { r.BelongsToGroup = "staff" },
		"Staff":           func(r *types.RetrieveUserGroupsRequestType) { r.BelongsToUser = `CORP\carl` },
		"":                func(r *types.RetrieveUserGroupsRequestType) { r.BelongsToUser = "dora" },
	} {
		r := all
		edit(&r)
		var names []string
		for _, e := range vimtest.Get[[]types.BaseUserSearchResult](f.search(r)) {
			names = append(names, e.GetUserSearchResult().Principal)
		}
		if got := strings.Join(names, ","); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestAnUnreachableDirectoryIsNotTreatedAsEmpty(t *testing.T) {
	f := newFixture(t, func(d *vimtest.Parts) { d.Directory = append(d.Directory, corp{down: true}) })
	if a := f.search(types.RetrieveUserGroupsRequestType{Domain: "CORP"}); a.Fault == nil ||
		a.Fault.Kind() != "SystemError" {
		t.Errorf("%+v", a)
	}
	if got := vimtest.Fails[types.UserNotFound](
		f.Grant(f.Admin, types.Permission{Principal: `CORP\Carl`, RoleId: -1})); !got.Unresolved {
		t.Errorf("%+v", got)
	}
}
