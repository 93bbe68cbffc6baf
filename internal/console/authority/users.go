package authority

import (
	"cmp"
	"net/url"
	"slices"
	"strings"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/admin"
	"github.com/vigate/vigate/internal/console"
	"github.com/vigate/vigate/internal/vim"
)

const (
	usersPath = console.Root + "users"
	userPath  = usersPath + "/user"
	// maxShown is how many users a page shows. The filter finds the others.
	maxShown = 200
)

var addUserRow = method(accountsType, "CreateUser")

func users() console.Section {
	return console.Section{
		Name: "users", Title: "console.users", Needs: addUserRow, Templates: set(),
		Pages: map[string]console.Page{
			"GET users": listUsers, "GET users/user": showUser,
			"POST users/add": addUser, "POST users/change": changeUser,
		},
	}
}

// person is a user or a group.
type person struct {
	Name, FullName   string // Name has the domain
	Group            bool
	Disabled, Locked bool
}

// Path returns the path of the user's page.
func (p person) Path() string { return pathOf(p.Name) }

// States returns the keys of the texts that say why the user can't log in.
func (p person) States() []string {
	var keys []string
	if p.Disabled {
		keys = append(keys, "console.user.disabled")
	}
	if p.Locked {
		keys = append(keys, "console.user.locked")
	}
	return keys
}

func pathOf(name string) string { return userPath + "?" + url.Values{"name": {name}}.Encode() }

// usersBody is what the list shows.
type usersBody struct {
	outcome
	Search, Domain string
	Domains        []string
	All            []person
	More           int
	New, FullName  string // of the form for a new user, after a refusal
}

func listUsers(x *console.Request) error { return usersPage(x, nil) }

// usersPage shows the list after a change that returned err.
func usersPage(x *console.Request, err error) error {
	if err := x.Check(addUserRow); err != nil {
		return err
	}
	b := &usersBody{Search: x.Form.Get("q"), Domain: x.Form.Get("domain")}
	if b.outcome, err = after(x, err); err != nil {
		return err
	}
	if b.Problem != "" {
		b.New, b.FullName = x.Form.Get("name"), x.Form.Get("fullname")
	}
	if b.Domains, err = console.Get[[]string](x, directoryType, "domainList"); err != nil {
		return err
	}
	if !slices.Contains(b.Domains, b.Domain) && len(b.Domains) > 0 {
		b.Domain = b.Domains[0]
	}
	if b.All, err = search(x, b.Domain, b.Search, false); err != nil {
		return err
	}
	if b.More = len(b.All) - maxShown; b.More > 0 {
		b.All = b.All[:maxShown]
	}
	if err := addStates(x, b.All); err != nil {
		return err
	}
	return x.Page("users", x.Text("console.users"), b)
}

// search finds users and groups of a domain, sorted by name.
func search(x *console.Request, domain, text string, exact bool) ([]person, error) {
	v, err := x.Do(directoryType, "RetrieveUserGroups", &types.RetrieveUserGroupsRequestType{
		Domain: domain, SearchStr: text, ExactMatch: exact, FindUsers: true, FindGroups: true,
	})
	if err != nil {
		return nil, err
	}
	found, _ := v.([]types.BaseUserSearchResult)
	var all []person
	for _, f := range found {
		r := f.GetUserSearchResult()
		name := r.Principal
		if domain != "" {
			name = domain + `\` + name
		}
		all = append(all, person{Name: name, FullName: r.FullName, Group: r.Group})
	}
	slices.SortFunc(all, func(a, b person) int { return cmp.Compare(a.Name, b.Name) })
	return all, nil
}

// addStates sets which of the users can't log in, and why.
func addStates(x *console.Request, all []person) error {
	r := &admin.RetrieveUserStatesRequestType{}
	for _, p := range all {
		r.UserName = append(r.UserName, p.Name)
	}
	v, err := x.Do(accountsType, "RetrieveUserStates", r)
	states, _ := v.([]admin.VigateUserState)
	for i, s := range states {
		if i < len(all) && !all[i].Group {
			all[i].Disabled, all[i].Locked = s.Disabled, s.Locked
		}
	}
	return err
}

// addUser makes a user of the server.
func addUser(x *console.Request) error {
	c := change{row: addUserRow, args: &types.CreateUserRequestType{User: spec(x)}, then: usersPath, page: usersPage}
	return c.make(x)
}

// userBody is what the page of one user or group shows.
type userBody struct {
	outcome
	person
	Local       bool // a user of the server itself, which can be changed
	Permissions []permission
	Privileges  []string
}

func showUser(x *console.Request) error { return userPage(x, nil) }

// userPage shows a user after a change that returned err.
func userPage(x *console.Request, err error) error {
	if err := x.Check(addUserRow); err != nil {
		return err
	}
	b := &userBody{}
	if b.outcome, err = after(x, err); err != nil {
		return err
	}
	domains, err := console.Get[[]string](x, directoryType, "domainList")
	if err != nil {
		return err
	}
	domain, user, ok := strings.Cut(x.Form.Get("name"), `\`)
	if !ok && len(domains) > 0 {
		domain, user = domains[0], domain
	}
	found, err := search(x, domain, user, true)
	switch {
	case err != nil:
		return err
	case user == "" || len(found) == 0:
		return vim.NewFault(&types.UserNotFound{Principal: user}, nil)
	}
	if err := addStates(x, found[:1]); err != nil {
		return err
	}
	b.person = found[0]
	b.Local = !b.Group && len(domains) > 0 && strings.EqualFold(domain, domains[0])
	if b.Permissions, err = permissionsOf(x, b.person); err != nil {
		return err
	}
	if !b.Group {
		b.Privileges, err = privilegesOf(x, b.Name)
		if err != nil {
			return err
		}
	}
	return x.Page("user", b.Name, b)
}

// privilegesOf returns what a user may do on the root folder.
func privilegesOf(x *console.Request, name string) ([]string, error) {
	v, err := x.Do(authorityType, "FetchUserPrivilegeOnEntities", &types.FetchUserPrivilegeOnEntitiesRequestType{
		Entities: []types.ManagedObjectReference{vim.RootFolder()}, UserName: name,
	})
	all, _ := v.([]types.UserPrivilegeResult)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	return slices.Sorted(slices.Values(all[0].Privileges)), nil
}

// spec returns the user that a form describes.
func spec(x *console.Request) *types.HostAccountSpec {
	return &types.HostAccountSpec{
		Id: strings.TrimSpace(x.Form.Get("name")), Password: x.Form.Get("password"),
		Description: x.Form.Get("fullname"),
	}
}

// changeUser does what a button of the user's page says.
func changeUser(x *console.Request) error {
	name, do := x.Form.Get("name"), x.Form.Get("do")
	c := change{then: pathOf(name), page: userPage}
	sure := func(key string) *question {
		return &question{
			Text: x.Text("console.sure."+key, name), Yes: x.Text("console." + do), To: usersPath + "/change",
			Back: pathOf(name), Fields: map[string]string{"name": name, "do": do},
		}
	}
	call := ""
	switch do {
	case "update":
		call, c.args = "UpdateUser", &types.UpdateUserRequestType{User: spec(x)}
	case "unlock":
		call, c.args = "UnlockUser", &admin.UnlockUserRequestType{UserName: name}
	case "enable":
		call, c.args = "EnableUser", &admin.EnableUserRequestType{UserName: name}
	case "disable":
		call, c.args, c.ask = "DisableUser", &admin.DisableUserRequestType{UserName: name}, sure("disable")
	case "remove":
		call, c.args, c.ask = "RemoveUser", &types.RemoveUserRequestType{UserName: name}, sure("user")
		c.then = usersPath
	default:
		return x.Bad(errButton)
	}
	c.row = method(accountsType, call)
	return c.make(x)
}
