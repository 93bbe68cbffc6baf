package admin_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/admin"
	"github.com/vigate/vigate/internal/directory"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/vim"
	"github.com/vigate/vigate/internal/vim/vimtest"
)

func roots(n int) []types.ManagedObjectReference {
	all := make([]types.ManagedObjectReference, n)
	for i := range all {
		all[i] = vim.RootFolder()
	}
	return all
}

// The product of two lists in a small request may be too large for the memory.
func TestEntitiesTimesPrivilegesAreBounded(t *testing.T) {
	f := newFixture(t)
	key := f.Key(f.Ann)
	administrator, err := principal.Parse(vimtest.AdminName, "")
	f.Must(err)
	all := len(f.Access.Privileges(access.Subject{Principal: administrator}).IDs())
	for name, ask := range map[string]func(entities, privileges int) vimtest.Answer{
		"HasPrivilegeOnEntities": func(n, m int) vimtest.Answer {
			return f.As(f.Ann, authority, "HasPrivilegeOnEntities",
				&types.HasPrivilegeOnEntitiesRequestType{Entity: roots(n), SessionId: key, PrivId: make([]string, m)})
		},
		"HasUserPrivilegeOnEntities": func(n, m int) vimtest.Answer {
			return f.As(f.Ann, authority, "HasUserPrivilegeOnEntities",
				&types.HasUserPrivilegeOnEntitiesRequestType{Entities: roots(n), UserName: "ann",
					PrivId: make([]string, m)})
		},
	} {
		for _, c := range [][2]int{{1000, 100}, {admin.MaxPairs, 1}, {1, admin.MaxPairs}, {3 * admin.MaxPairs, 0}} {
			got := vimtest.Get[[]types.EntityPrivilege](ask(c[0], c[1]))
			if len(got) != c[0] || len(got[0].PrivAvailability) != c[1] {
				t.Fatalf("%s: %d entities", name, len(got))
			}
			if last := got[len(got)-1].PrivAvailability; c[1] > 0 && &last[0] != &got[0].PrivAvailability[0] {
				t.Errorf("%s: the entities don't share one list", name)
			}
		}
		property := map[string]string{"HasPrivilegeOnEntities": "entity",
			"HasUserPrivilegeOnEntities": "entities"}[name]
		for _, c := range [][2]int{{1001, 100}, {admin.MaxPairs + 1, 1}, {1, admin.MaxPairs + 1}, {400_000, 400_000}} {
			vimtest.Invalid(property, ask(c[0], c[1]))
		}
	}
	fetch := func(n int) vimtest.Answer {
		return f.As(f.Ann, authority, "FetchUserPrivilegeOnEntities",
			&types.FetchUserPrivilegeOnEntitiesRequestType{Entities: roots(n), UserName: "administrator"})
	}
	vimtest.Get[[]types.UserPrivilegeResult](fetch(admin.MaxPairs / all))
	vimtest.Invalid("entities", fetch(admin.MaxPairs/all+1))
}

// counted is an identity source that counts its searches.
type counted struct{ asked *int }

func (counted) Domain() string { return "CORP" }

func (c counted) Search(context.Context, string, bool) ([]directory.Entry, error) {
	*c.asked++
	return nil, nil
}

func TestTooManyPermissionsAreRefusedBeforeAnyLookup(t *testing.T) {
	asked := 0
	f := newFixture(t, func(d *vimtest.Parts) {
		d.Directory = append(d.Directory, counted{&asked})
	})
	set := make([]types.Permission, access.MaxPermissions+1)
	for i := range set {
		set[i] = types.Permission{Principal: fmt.Sprintf(`CORP\user%d`, i), RoleId: access.ReadOnly}
	}
	vimtest.Fails[types.LimitExceeded](f.Grant(f.Admin, set...))
	if asked != 0 {
		t.Errorf("%d names were looked up", asked)
	}
}
