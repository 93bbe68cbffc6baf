package authority

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/console"
	"github.com/vigate/vigate/internal/vim"
)

const permissionsPath = console.Root + "permissions"

var (
	permissionsRow = method(authorityType, "RetrieveAllPermissions")
	grantRow       = method(authorityType, "SetEntityPermissions")
	revokeRow      = method(authorityType, "RemoveEntityPermission")
)

func permissions() console.Section {
	return console.Section{
		Name: "permissions", Title: "console.permissions", Needs: permissionsRow, Templates: set(),
		Pages: map[string]console.Page{
			"GET permissions": listPermissions, "POST permissions/set": grant, "POST permissions/remove": revoke,
		},
	}
}

// permission is a permission with the name of its role.
type permission struct {
	types.Permission
	Role string
}

// permissionsBody is what the page shows.
type permissionsBody struct {
	outcome
	All                 []permission
	Roles               []role
	MaySet, MayRemove   bool
	Principal           string // of the form, after a refusal
	IsGroup, NoChildren bool
	RoleID              int32
}

func listPermissions(x *console.Request) error { return permissionsPage(x, nil) }

// permissionsPage shows the permissions after a change that returned err.
func permissionsPage(x *console.Request, err error) error {
	b := &permissionsBody{MaySet: x.May(grantRow), MayRemove: x.May(revokeRow)}
	if b.outcome, err = after(x, err); err != nil {
		return err
	}
	if b.Problem != "" {
		b.Principal, b.IsGroup = x.Form.Get("principal"), x.Form.Get("kind") == "group"
		id, _ := strconv.ParseInt(x.Form.Get("role"), 10, 32) // 0 chooses no role
		b.RoleID, b.NoChildren = int32(id), !x.Form.Has("propagate")
	}
	all, err := allRoles(x)
	if err != nil {
		return err
	}
	for _, r := range all {
		b.Roles = append(b.Roles, shown(r))
	}
	if b.All, err = named(x, all); err != nil {
		return err
	}
	return x.Page("permissions", x.Text("console.permissions"), b)
}

// named returns the permissions with the names of their roles, sorted by principal.
func named(x *console.Request, roles []types.AuthorizationRole) ([]permission, error) {
	list, err := allPermissions(x)
	if err != nil {
		return nil, err
	}
	names := map[int32]string{}
	for _, r := range roles {
		names[r.RoleId] = shown(r).Label
	}
	var all []permission
	for _, p := range list {
		all = append(all, permission{p, cmp.Or(names[p.RoleId], strconv.Itoa(int(p.RoleId)))})
	}
	slices.SortFunc(all, func(a, b permission) int { return cmp.Compare(a.Principal, b.Principal) })
	return all, nil
}

// permissionsOf returns the permissions that name a user or a group.
func permissionsOf(x *console.Request, who person) ([]permission, error) {
	roles, err := allRoles(x)
	if err != nil {
		return nil, err
	}
	all, err := named(x, roles)
	return slices.DeleteFunc(all, func(p permission) bool {
		return p.Group != who.Group || !strings.EqualFold(p.Principal, who.Name)
	}), err
}

// grant sets the permission of a user or group.
func grant(x *console.Request) error {
	id, err := strconv.ParseInt(x.Form.Get("role"), 10, 32)
	if err != nil {
		return x.Bad(err)
	}
	root := vim.RootFolder()
	c := change{row: grantRow, then: permissionsPath, page: permissionsPage}
	c.args = &types.SetEntityPermissionsRequestType{Entity: root, Permission: []types.Permission{{
		Entity: &root, Principal: strings.TrimSpace(x.Form.Get("principal")), Group: x.Form.Get("kind") == "group",
		RoleId: int32(id), Propagate: x.Form.Has("propagate"),
	}}}
	return c.make(x)
}

// revoke removes the permission of a user or group.
func revoke(x *console.Request) error {
	name, kind := x.Form.Get("principal"), x.Form.Get("kind")
	c := change{
		row: revokeRow,
		args: &types.RemoveEntityPermissionRequestType{
			Entity: vim.RootFolder(), User: name, IsGroup: kind == "group",
		},
		ask: &question{
			Text: x.Text("console.sure.remove", name), Yes: x.Text("console.remove"), To: permissionsPath + "/remove",
			Back: permissionsPath, Fields: map[string]string{"principal": name, "kind": kind},
		},
		then: permissionsPath, page: permissionsPage,
	}
	return c.make(x)
}
