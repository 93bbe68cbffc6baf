package admin_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/account"
	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/extension"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/vim/vimtest"
)

// newFull returns an API with the maximum number of users, extensions, roles and permissions. The
// data and the declared privileges of extensions are at 95 per cent of their limits.
func newFull(t testing.TB) *vimtest.Fixture {
	f := vimtest.New(t)
	fillUsers(t, f)
	const privileges = 19 // per extension
	resources := func(key string) []types.ExtensionResourceInfo {
		r := types.ExtensionResourceInfo{Locale: "en", Module: "auth"}
		for i := range 100 {
			r.Data = append(r.Data, types.KeyValue{Key: fmt.Sprint("privilege.", key, ".p", i, ".label"),
				Value: strings.Repeat("x", 200)})
		}
		return []types.ExtensionResourceInfo{r}
	}
	for i := range extension.MaxExtensions {
		key := fmt.Sprintf("com.example.%03d", i)
		x := vimtest.Extension(key)
		x.ResourceList = resources(key)
		for p := range privileges {
			x.PrivilegeList = append(x.PrivilegeList,
				types.ExtensionPrivilegeInfo{PrivID: fmt.Sprint(key, ".p", p), PrivGroupName: key})
		}
		vimtest.OK(f.Register(x))
	}
	server := access.Server(event.By("test"))
	var roles []int32
	for i := range 500 {
		id, err := f.Access.AddRole(t.Context(), server, fmt.Sprint("role ", i),
			[]access.Privilege{access.GlobalSettings, access.Privilege(fmt.Sprintf("com.example.%03d.p0", i))})
		f.Must(err)
		roles = append(roles, id)
	}
	var all []access.Permission
	for i := range access.MaxPermissions - 2 {
		name := principal.Name{Domain: account.DefaultDomain, User: fmt.Sprintf("user-%05d", i)}
		all = append(all, access.Permission{Principal: name, Role: roles[i/30%len(roles)]})
	}
	for some := range slices.Chunk(all, 300) {
		f.Must(f.Access.SetPermissions(t.Context(), server, access.Root, some))
	}
	return f
}

// fillUsers creates users up to the limit, with Ann's password.
func fillUsers(t testing.TB, f *vimtest.Fixture) {
	ann := principal.Name{Domain: account.DefaultDomain, User: "Ann"}
	r, err := f.Mirror.Get(t.Context(), store.Account, ann.Key())
	f.Must(err)
	var changes []store.Change
	for i := range account.MaxUsers - 2 {
		name := principal.Name{Domain: account.DefaultDomain, User: fmt.Sprintf("user-%05d", i)}
		value := strings.Replace(string(r.Value), `"user":"Ann"`, `"user":"`+name.User+`"`, 1)
		changes = append(changes, store.Put(store.Account, name.Key(), []byte(value), time.Time{}))
	}
	_, err = f.Mirror.Commit(t.Context(), changes...)
	f.Must(err)
}

// BenchmarkListsAtTheirBounds measures the cost of each list at its maximum length.
func BenchmarkListsAtTheirBounds(b *testing.B) {
	f := newFull(b)
	bench := func(name string, list func() int) {
		b.Run(name, func(b *testing.B) {
			n := 0
			for b.Loop() {
				n = list()
				f.Last.Answered()
			}
			b.ReportMetric(float64(n), "elements")
		})
	}
	users := func(r types.RetrieveUserGroupsRequestType) func() int {
		return func() int {
			return len(vimtest.Get[[]types.BaseUserSearchResult](f.On("UserDirectory", "RetrieveUserGroups", &r)))
		}
	}
	bench("users", users(types.RetrieveUserGroupsRequestType{FindUsers: true}))
	bench("one user", users(types.RetrieveUserGroupsRequestType{FindUsers: true, SearchStr: "user-00777",
		ExactMatch: true}))
	bench("permissions", func() int {
		all := f.On("AuthorizationManager", "RetrieveAllPermissions", &types.RetrieveAllPermissionsRequestType{})
		return len(vimtest.Get[[]types.Permission](all))
	})
	bench("extensions", func() int {
		return len(vimtest.Get[[]types.Extension](f.Prop(f.Admin, "ExtensionManager", "extensionList")))
	})
	of := func(name string) vimtest.Answer { return f.Prop(f.Admin, "AuthorizationManager", name) }
	bench("roles", func() int { return len(vimtest.Get[[]types.AuthorizationRole](of("roleList"))) })
	bench("privileges", func() int { return len(vimtest.Get[[]types.AuthorizationPrivilege](of("privilegeList"))) })
	bench("description", func() int {
		return len(
			vimtest.Get[types.AuthorizationDescription](of("description")).Privilege)
	})
}

func TestAListInTheResultOfAMethodIsCounted(t *testing.T) {
	f := vimtest.New(t)
	fillUsers(t, f)
	found := f.On("UserDirectory", "RetrieveUserGroups", &types.RetrieveUserGroupsRequestType{FindUsers: true})
	if n, held := len(vimtest.Get[[]types.BaseUserSearchResult](found)), f.Last.Weight(); n != account.MaxUsers ||
		held < 64*account.MaxUsers {
		t.Errorf("%d users, %d bytes are counted", n, held)
	}
}
