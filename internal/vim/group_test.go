package vim

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/session"
)

// corp is another identity source: Carl, who is of the staff, and Dora, who is
// not. It is also the way in of both, without a password.
type corp struct{ down bool }

func corpName(user string) principal.Name { return principal.Name{Domain: "CORP", User: user} }

func (corp) Domain() string { return "CORP" }

func (c corp) Search(_ context.Context, text string, exact bool) ([]Entry, error) {
	if c.down {
		return nil, errors.New("the directory can't be reached")
	}
	var found []Entry
	for _, e := range []Entry{
		{Name: corpName("Carl"), Groups: []string{`CORP\Staff`}}, {Name: corpName("Dora")}, {Name: corpName("Staff"), Group: true},
	} {
		user, text := strings.ToLower(e.Name.User), strings.ToLower(text)
		if user == text || !exact && strings.Contains(user, text) {
			found = append(found, e)
		}
	}
	return found, nil
}

func (corp) Name() string { return "corp" }

func (c corp) Authenticate(ctx context.Context, a login.Attempt) (session.Grant, error) {
	p, ok := a.Credential.(login.Password)
	name, err := principal.Parse(p.User, "CORP")
	if !ok || err != nil || name.Domain != "CORP" {
		return session.Grant{}, login.ErrNotMine
	}
	e, _ := Directory{c}.find(ctx, name, false)
	return session.Grant{Identity: session.Identity{Name: e.Name, Groups: e.Groups}}, nil
}

func withCorp(d *Domain) {
	d.Directory = append(d.Directory, corp{})
	d.Gate.Methods = slices.Insert(d.Gate.Methods, 0, login.Method(corp{}))
}

func TestAGroupsPermissionIsItsMembers(t *testing.T) {
	f := newFixture(t, withCorp)
	role := f.addRole("Staff", "Global.Settings")
	ok(f, f.set(f.admin, types.Permission{Principal: `corp\staff`, Group: true, RoleId: role}, types.Permission{Principal: `CORP\dora`, RoleId: access.ReadOnly}))
	carl, dora := f.login(`CORP\carl`, ""), f.login("dora@corp", "")
	if got := get[[]int32](f, f.prop(carl, "Folder", "effectiveRole")); !slices.Equal(got, []int32{role}) {
		t.Errorf("roles of Carl: %v", got)
	}
	ok(f, f.setOption(carl))
	fails[types.NoPermission](f, f.setOption(dora))
	for name, want := range map[string]bool{`CORP\Carl`: true, `CORP\Dora`: false} {
		got := get[[]types.EntityPrivilege](f, f.as(dora, authority, "HasUserPrivilegeOnEntities", &types.HasUserPrivilegeOnEntitiesRequestType{
			Entities: []types.ManagedObjectReference{RootFolder()}, UserName: name, PrivId: []string{"Global.Settings"}}))
		if got[0].PrivAvailability[0].IsGranted != want {
			t.Errorf("%s: %+v", name, got)
		}
	}
	// A permission of the user's own stands before those of its groups.
	ok(f, f.set(f.admin, types.Permission{Principal: `CORP\Carl`, RoleId: access.ReadOnly}))
	fails[types.NoPermission](f, f.setOption(carl))
	ok(f, f.unset(f.admin, `CORP\Carl`, false))
	fails[types.NotFound](f, f.unset(f.admin, `CORP\Staff`, false)) // a user of that name
	ok(f, f.unset(f.admin, `CORP\Staff`, true))
	fails[types.NoPermission](f, f.setOption(carl))
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
		for _, e := range get[[]types.BaseUserSearchResult](f, f.search(r)) {
			names = append(names, e.GetUserSearchResult().Principal)
		}
		if got := strings.Join(names, ","); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestADirectoryThatCannotBeReachedIsNotAnEmptyOne(t *testing.T) {
	f := newFixture(t, func(d *Domain) { d.Directory = append(d.Directory, corp{down: true}) })
	if a := f.search(types.RetrieveUserGroupsRequestType{Domain: "CORP"}); a.fault == nil || a.fault.Kind() != "SystemError" {
		t.Errorf("%+v", a)
	}
	if got := fails[types.UserNotFound](f, f.set(f.admin, types.Permission{Principal: `CORP\Carl`, RoleId: -1})); !got.Unresolved {
		t.Errorf("%+v", got)
	}
}
