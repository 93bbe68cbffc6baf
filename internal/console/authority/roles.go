package authority

import (
	"cmp"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/console"
	"github.com/vigate/vigate/internal/vim"
)

const (
	rolesPath = console.Root + "roles"
	rolePath  = rolesPath + "/role"
)

var (
	rolesRow      = console.Row{Type: authorityType, Name: "roleList"}
	addRoleRow    = method(authorityType, "AddAuthorizationRole")
	changeRoleRow = method(authorityType, "UpdateAuthorizationRole")
	removeRoleRow = method(authorityType, "RemoveAuthorizationRole")

	errButton = errors.New("the form has no button that the page has")
)

func roles() console.Section {
	return console.Section{
		Name: "roles", Title: "console.roles", Needs: rolesRow, Templates: set(),
		Pages: map[string]console.Page{
			"GET roles": listRoles, "GET roles/role": showRole,
			"POST roles/save": saveRole, "POST roles/remove": removeRole,
		},
	}
}

// role is a role of the list.
type role struct {
	types.AuthorizationRole
	Label, Summary string
}

// Path returns the path of the role's page.
func (r role) Path() string { return pathOfRole(r.RoleId) }

func pathOfRole(id int32) string { return rolePath + "?id=" + strconv.Itoa(int(id)) }

func shown(r types.AuthorizationRole) role {
	out := role{r, r.Name, ""}
	if r.Info != nil {
		out.Label, out.Summary = r.Info.GetDescription().Label, r.Info.GetDescription().Summary
	}
	return out
}

// rolesBody is what the list shows.
type rolesBody struct {
	outcome
	All    []role
	MayAdd bool
}

func listRoles(x *console.Request) error {
	all, err := allRoles(x)
	if err != nil {
		return err
	}
	b := rolesBody{MayAdd: x.May(addRoleRow), outcome: outcome{Saved: x.Form.Has("saved")}}
	for _, r := range all {
		b.All = append(b.All, shown(r))
	}
	return x.Page("roles", x.Text("console.roles"), b)
}

// group is a group of privileges.
type group struct {
	Label      string
	Privileges []privilege
}

type privilege struct {
	ID, Label, Summary string
	Has                bool
}

// roleBody is what the page of one role shows.
type roleBody struct {
	outcome
	ID                   int32
	New                  bool
	Name                 string
	Groups               []group
	MayChange, MayRemove bool
}

func showRole(x *console.Request) error { return rolePage(x, nil) }

// rolePage shows a role, or the form for a new one, after a change that returned err.
func rolePage(x *console.Request, err error) error {
	b := &roleBody{New: !x.Form.Has("id")}
	if b.outcome, err = after(x, err); err != nil {
		return err
	}
	has, system := x.Form["privilege"], false
	if b.New {
		if err := x.Check(addRoleRow); err != nil {
			return err
		}
	} else {
		r, err := findRole(x)
		if err != nil {
			return err
		}
		b.ID, b.Name, system = r.RoleId, r.Name, r.System
		if b.Problem == "" {
			has = r.Privilege
		}
	}
	if b.Problem != "" {
		b.Name = x.Form.Get("name")
	}
	b.MayChange = !system && x.May(changeRoleRow) || b.New
	b.MayRemove = !system && !b.New && x.May(removeRoleRow)
	if b.Groups, err = groups(x, has); err != nil {
		return err
	}
	title := b.Name
	if b.New {
		title = x.Text("console.role.add")
	}
	return x.Page("role", title, b)
}

// findRole returns the role with the id in the form.
func findRole(x *console.Request) (types.AuthorizationRole, error) {
	id, err := strconv.ParseInt(x.Form.Get("id"), 10, 32)
	if err != nil {
		return types.AuthorizationRole{}, x.Bad(err)
	}
	all, err := allRoles(x)
	if err != nil {
		return types.AuthorizationRole{}, err
	}
	for _, r := range all {
		if r.RoleId == int32(id) {
			return r, nil
		}
	}
	return types.AuthorizationRole{}, vim.NewFault(&types.NotFound{}, nil)
}

// groups returns all privileges, in groups, with the labels that the server has for them.
func groups(x *console.Request, has []string) ([]group, error) {
	list, err := console.Get[[]types.AuthorizationPrivilege](x, authorityType, "privilegeList")
	if err != nil {
		return nil, err
	}
	d, err := console.Get[types.AuthorizationDescription](x, authorityType, "description")
	if err != nil {
		return nil, err
	}
	texts := map[string]types.Description{}
	for _, e := range slices.Concat(d.Privilege, d.PrivilegeGroup) {
		texts[e.GetElementDescription().Key] = e.GetElementDescription().Description
	}
	var all []group
	at := map[string]int{}
	for _, p := range list {
		i, ok := at[p.PrivGroupName]
		if !ok {
			i = len(all)
			at[p.PrivGroupName] = i
			all = append(all, group{Label: cmp.Or(texts[p.PrivGroupName].Label, p.PrivGroupName)})
		}
		all[i].Privileges = append(all[i].Privileges, privilege{
			p.PrivId, cmp.Or(texts[p.PrivId].Label, p.Name), texts[p.PrivId].Summary, slices.Contains(has, p.PrivId),
		})
	}
	return all, nil
}

// saveRole adds or changes a role.
func saveRole(x *console.Request) error {
	name, privileges := strings.TrimSpace(x.Form.Get("name")), x.Form["privilege"]
	c := change{
		row: addRoleRow, args: &types.AddAuthorizationRoleRequestType{Name: name, PrivIds: privileges},
		then: rolesPath, page: rolePage,
	}
	if x.Form.Has("id") {
		r, err := findRole(x)
		if err != nil {
			return err
		}
		c.row, c.then = changeRoleRow, pathOfRole(r.RoleId)
		c.args = &types.UpdateAuthorizationRoleRequestType{RoleId: r.RoleId, NewName: name, PrivIds: privileges}
	}
	return c.make(x)
}

// removeRole removes a role that no permission uses.
func removeRole(x *console.Request) error {
	r, err := findRole(x)
	if err != nil {
		return err
	}
	c := change{
		row: removeRoleRow, args: &types.RemoveAuthorizationRoleRequestType{RoleId: r.RoleId, FailIfUsed: true},
		ask: &question{
			Text: x.Text("console.sure.remove", r.Name), Yes: x.Text("console.remove"), To: rolesPath + "/remove",
			Back: pathOfRole(r.RoleId), Fields: map[string]string{"id": strconv.Itoa(int(r.RoleId))},
		},
		then: rolesPath, page: rolePage,
	}
	return c.make(x)
}
