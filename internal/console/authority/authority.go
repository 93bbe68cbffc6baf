// Package authority has the sections of the console for users, roles and permissions. They make the calls of
// UserDirectory, HostLocalAccountManager and AuthorizationManager, which decide who may do what.
//
// An action that removes something or ends sessions asks first. If a call is refused, the page shows the fault and
// does nothing else. No page contains a password that was typed.
package authority

import (
	"embed"
	"slices"
	"strings"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/console"
	"github.com/vigate/vigate/internal/console/page"
)

//go:embed templates
var templates embed.FS

const (
	accountsType  = "HostLocalAccountManager"
	authorityType = "AuthorizationManager"
	directoryType = "UserDirectory"
)

// set returns the templates of all three sections.
func set() *page.Set { return page.Parse(templates, "templates/*.html") }

// method names a method.
func method(typ, name string) console.Row { return console.Row{Type: typ, Name: name, Method: true} }

// Sections returns the sections.
func Sections() []console.Section {
	return []console.Section{users(), roles(), permissions()}
}

// outcome is what a page says about the latest change. Templates use it.
type outcome struct {
	Problem string // why it was refused
	Saved   bool
}

// after returns the outcome for a page that is shown after err, or the error if the page can't show it.
func after(x *console.Request, err error) (outcome, error) {
	if err == nil {
		return outcome{Saved: x.Form.Has("saved")}, nil
	}
	text, err := x.Problem(err)
	return outcome{Problem: text}, err
}

// question is what a page asks before a change that can't be taken back.
type question struct {
	Text, Yes string
	To, Back  string            // the paths of the form, and of the page before it
	Fields    map[string]string // of the form
}

// change is a change that a form asks for.
type change struct {
	row  console.Row
	args any
	ask  *question // before the change; nil: nothing
	then string    // path of the page after it
	// page shows the page of the form again, with the reason for which the call was refused.
	page func(*console.Request, error) error
}

// make makes the change and leads to the page after it, or answers with the page that says why not, or that asks. Who
// may not make the change is not asked.
func (c *change) make(x *console.Request) error {
	if err := x.Check(c.row); err != nil {
		return err
	}
	if c.ask != nil && !x.Form.Has("yes") {
		return x.Page("sure", c.ask.Yes, c.ask)
	}
	if _, err := x.Do(c.row.Type, c.row.Name, c.args); err != nil {
		return c.page(x, err)
	}
	return x.Redirect(saved(c.then))
}

// saved returns the path of a page that says that a change was made.
func saved(path string) string {
	if strings.Contains(path, "?") {
		return path + "&saved=1"
	}
	return path + "?saved=1"
}

// allRoles returns the roles, sorted by id.
func allRoles(x *console.Request) ([]types.AuthorizationRole, error) {
	all, err := console.Get[[]types.AuthorizationRole](x, authorityType, "roleList")
	all = slices.Clone(all)
	slices.SortFunc(all, func(a, b types.AuthorizationRole) int { return int(a.RoleId) - int(b.RoleId) })
	return all, err
}

// allPermissions returns the permissions.
func allPermissions(x *console.Request) ([]types.Permission, error) {
	v, err := x.Do(authorityType, "RetrieveAllPermissions", &types.RetrieveAllPermissionsRequestType{})
	all, _ := v.([]types.Permission)
	return slices.Clone(all), err
}
