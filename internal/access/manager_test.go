package access_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/store/storetest"
)

func errorsAs(err error, target any) bool { return errors.As(err, target) }

func TestSystemRolesAreVCentersAndCannotBeChanged(t *testing.T) {
	n := founded(t)
	want := []string{"-1 Admin", "-2 ReadOnly", "-3 View", "-4 Anonymous", "-5 NoAccess"}
	for i, r := range n.Roles() {
		if got := fmt.Sprint(r.ID, " ", r.Name); got != want[i] || !r.System {
			t.Errorf("role %q, want %q", got, want[i])
		}
		wantError(t, n.UpdateRole(t.Context(), access.Server(event.By("root")), r.ID, "X", nil), access.ErrSystemRole)
		wantError(t, n.RemoveRole(t.Context(), access.Server(event.By("root")), r.ID, false), access.ErrSystemRole)
	}
	if got := n.Roles()[0].Privileges; len(got) != len(n.PrivilegeList()) {
		t.Errorf("Admin has %d of %d privileges", len(got), len(n.PrivilegeList()))
	}
}

func TestRolesAreMadeChangedAndRemoved(t *testing.T) {
	n, ctx := founded(t), t.Context()
	id, err := n.AddRole(ctx, access.Server(event.By("root")), "Ops",
		[]access.Privilege{access.TerminateSession, access.SystemView, access.TerminateSession})
	must(t, err)
	if id != 1 {
		t.Errorf("first role has id %d", id)
	}
	got := n.Roles()[5]
	if want := append([]access.Privilege{access.TerminateSession}, ten...); got.Name != "Ops" || got.System ||
		!slices.Equal(got.Privileges, want) {
		t.Errorf("got %+v", got)
	}
	for name, want := range map[string]error{
		"ops": access.ErrRoleExists, "ADMIN": access.ErrRoleExists, "": access.ErrRoleName, " x": access.ErrRoleName,
		"a\nb": access.ErrRoleName, strings.Repeat("x", 101): access.ErrRoleName, "\xff": access.ErrRoleName,
	} {
		_, err := n.AddRole(ctx, access.Server(event.By("root")), name, nil)
		wantError(t, err, want)
	}
	_, err = n.AddRole(ctx, access.Server(event.By("root")), "Other", []access.Privilege{"No.Such"})
	wantError(t, err, access.ErrPrivilege)
	must(t, n.UpdateRole(ctx, access.Server(event.By("root")), id, "OPS", []access.Privilege{access.GlobalMessage}))
	wantError(t, n.UpdateRole(ctx, access.Server(event.By("root")), 77, "x", nil), access.ErrRole)
	n.give(t, id, "ann", "group:g")
	wantError(t, n.RemoveRole(ctx, access.Server(event.By("root")), id, true), access.ErrRoleInUse)
	must(t, n.RemoveRole(ctx, access.Server(event.By("root")), id, false))
	wantError(t, n.RemoveRole(ctx, access.Server(event.By("root")), id, false), access.ErrRole)
	if got := n.Permissions(); len(got) != 1 {
		t.Errorf("permissions of a removed role are left: %v", got)
	}
	again, err := n.AddRole(ctx, access.Server(event.By("root")), "Ops", nil)
	must(t, err)
	if again <= id {
		t.Errorf("id %d was used again", again)
	}
	must(t, n.RemoveRole(ctx, access.Server(event.By("root")), again, true))
}

func TestPermissionsAreSetReplacedListedAndRemoved(t *testing.T) {
	n, ctx := founded(t), t.Context()
	n.give(t, access.ReadOnly, "ann", "group:ann")
	n.give(t, access.View, "ANN")
	on := n.Permissions()
	want := []string{"root -1 false", "ANN -3 false", "ann -2 true"}
	for i, p := range on {
		if got := fmt.Sprintln(p.Principal.User, p.Role, p.Group); got != want[i]+"\n" {
			t.Errorf("permission %d is %s, want %s", i, got, want[i])
		}
	}
	of, err := n.PermissionsOf(access.View)
	must(t, err)
	if len(of) != 1 || of[0].Principal.User != "ANN" || !of[0].Propagate {
		t.Errorf("of View: %v", of)
	}
	_, err = n.PermissionsOf(99)
	wantError(t, err, access.ErrRole)

	set := func(entity, name string, role int32) error {
		return n.SetPermissions(ctx, access.Server(event.By("root")), entity, []access.Permission{
			{Principal: user("fine"), Role: access.View}, {Principal: user(name), Role: role}})
	}
	wantError(t, set("group-v1", "x", access.View), access.ErrEntity)
	wantError(t, set(access.Root, "x", 99), access.ErrRole)
	wantError(t, set(access.Root, "nobody", access.View), access.ErrPrincipal)
	wantError(t, set(access.Root, "", access.View), access.ErrPrincipal)
	wantError(t, set(access.Root, strings.Repeat("x", 500), access.View), access.ErrPrincipal)
	wantError(t, set(access.Root, "x\xff", access.View), access.ErrPrincipal)
	wantError(t, set(access.Root, "FINE", access.View), access.ErrDuplicate)
	if len(n.Permissions()) != 3 {
		t.Errorf("a refused change did something: %v", n.Permissions())
	}
	wantError(t, n.RemovePermission(ctx, access.Server(event.By("root")), "group-v1", user("ann"), true),
		access.ErrEntity)
	wantError(t, n.RemovePermission(ctx, access.Server(event.By("root")), access.Root, user("zoe"), false),
		access.ErrPermission)
	must(t, n.RemovePermission(ctx, access.Server(event.By("root")), access.Root, user("Ann"), true))
	must(t, n.ResetPermissions(ctx, access.Server(event.By("root")), access.Root, []access.Permission{
		{Principal: user("root"), Role: access.Admin}, {Principal: user("bob"), Role: access.ReadOnly}}))
	must(t, n.MergePermissions(ctx, access.Server(event.By("root")), access.ReadOnly, access.View))
	wantError(t, n.MergePermissions(ctx, access.Server(event.By("root")), access.ReadOnly, 99), access.ErrRole)
	if got := fmt.Sprint(n.Permissions()); got != `[{VSPHERE.LOCAL\root false -1 false} {VSPHERE.LOCAL\bob false -3 `+
		`false}]` {
		t.Errorf("in the end: %s", got)
	}
}

func TestEveryChangePostsAnEventInItsCommit(t *testing.T) {
	n, ctx := founded(t), t.Context()
	id, err := n.AddRole(ctx, access.Server(event.By(`VSPHERE.LOCAL\root`)), "Ops", nil)
	must(t, err)
	must(t, n.UpdateRole(ctx, access.Server(event.By("root")), id, "Ops2", nil))
	n.give(t, id, "ann")
	n.give(t, id, "ann") // changes nothing, so it posts no event
	must(t, n.RemoveRole(ctx, access.Server(event.By("root")), id, false))
	n.give(t, access.View, "ann", "bob")
	must(t, n.RemovePermission(ctx, access.Server(event.By("root")), access.Root, user("ann"), false))
	got := n.log(t)
	want := []string{
		`vigate.permission.set VSPHERE.LOCAL\root`,
		`vigate.role.added Ops`, `vigate.role.updated Ops2`,
		`vigate.permission.set VSPHERE.LOCAL\ann`,
		`vigate.permission.removed VSPHERE.LOCAL\ann`, `vigate.role.removed Ops2`,
		`vigate.permission.set VSPHERE.LOCAL\ann`, `vigate.permission.set VSPHERE.LOCAL\bob`,
		`vigate.permission.removed VSPHERE.LOCAL\ann`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestAChangeOfManyPermissionsNamesThemAllInFewEvents(t *testing.T) {
	n := founded(t)
	var names []string
	for i := range 500 {
		names = append(names, fmt.Sprintf("user%03d", i))
	}
	before := len(n.log(t))
	n.give(t, access.ReadOnly, names...)
	events := n.log(t)[before:]
	if len(events) > 40 {
		t.Errorf("%d events", len(events))
	}
	text := strings.Join(events, ", ")
	for _, name := range names {
		if !strings.Contains(text, name) {
			t.Errorf("no event names %s", name)
		}
	}
}

// log returns the events in the store, each as "id subject".
func (n *node) log(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, r := range storetest.Appended(t, n.store, store.Event) {
		e := decodeEvent(t, r)
		if e.Type != "EventEx" || e.Created.IsZero() {
			t.Errorf("event %+v", e)
		}
		all = append(all, e.ID+" "+e.Subject)
	}
	return all
}

func TestTheLastAdministratorCannotBeRemoved(t *testing.T) {
	n, ctx := founded(t, "two"), t.Context()
	id, err := n.AddRole(ctx, access.Server(event.By("root")), "Everything", all(n))
	must(t, err)
	n.give(t, access.Admin, "group:ops", "off") // a group, and a user that can't log in
	n.give(t, id, "two")                        // has all privileges, but not the role Admin
	for name, try := range map[string]func() error{
		"remove": func() error {
			return n.RemovePermission(ctx, access.Server(event.By("root")), access.Root, user("Root"), false)
		},
		"set": func() error {
			return n.SetPermissions(ctx, access.Server(event.By("root")), access.Root,
				[]access.Permission{{Principal: user("root"), Role: id}})
		},
		"reset to nothing": func() error {
			return n.ResetPermissions(ctx, access.Server(event.By("root")), access.Root, nil)
		},
		"reset to the disabled": func() error {
			return n.ResetPermissions(ctx, access.Server(event.By("root")), access.Root,
				[]access.Permission{{Principal: user("off"), Role: access.Admin}})
		},
		"merge": func() error {
			return n.MergePermissions(ctx, access.Server(event.By("root")), access.Admin, access.View)
		},
		"retire": func() error { _, err := n.Retire(ctx, event.By("root"), user("ROOT"), true); return err },
	} {
		if err := try(); !errors.Is(err, access.ErrLastAdministrator) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if !n.Has(access.Subject{Principal: user("root")}, access.ModifyRoles) {
		t.Fatal("the administrator is gone")
	}
	n.give(t, access.Admin, "two")
	must(t, n.RemovePermission(ctx, access.Server(event.By("root")), access.Root, user("root"), false))
	wantError(t, n.RemovePermission(ctx, access.Server(event.By("two")), access.Root, user("two"), false),
		access.ErrLastAdministrator)
}

func TestOfTheTwoLastAdministratorsOneStaysWhoeverRemovesThem(t *testing.T) {
	for range 200 {
		s := newStore(t)
		a, b := newNode(t, s, "root", "two"), newNode(t, s, "root", "two")
		a.found(t, "root")
		a.give(t, access.Admin, "two")
		var lost atomic.Int32
		var race sync.WaitGroup
		for n, name := range map[*node]string{a: "root", b: "two"} {
			race.Go(func() {
				err := n.RemovePermission(t.Context(), access.Server(event.By("x")), access.Root, user(name), false)
				switch {
				case errors.Is(err, access.ErrLastAdministrator):
					lost.Add(1)
				case err != nil:
					t.Error(err)
				}
			})
		}
		race.Wait()
		if lost.Load() != 1 {
			t.Fatalf("%d removals were refused", lost.Load())
		}
		must(t, a.mirror.Sync(t.Context()))
		if got := a.Permissions(); len(got) != 1 || got[0].Role != access.Admin {
			t.Fatalf("left: %v", got)
		}
	}
}

func TestManyChangesAtOnceAllHappen(t *testing.T) {
	s := newStore(t)
	a, b := newNode(t, s, "root"), newNode(t, s, "root")
	a.found(t, "root")
	var all sync.WaitGroup
	for i := range 20 {
		n := []*node{a, b}[i%2]
		all.Go(func() {
			if _, err := n.AddRole(t.Context(), access.Server(event.By("x")), fmt.Sprint("role ", i), nil); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	must(t, a.mirror.Sync(t.Context()))
	ids := map[int32]bool{}
	for _, r := range a.Roles()[5:] {
		ids[r.ID] = true
	}
	if len(ids) != 20 {
		t.Errorf("%d roles", len(ids))
	}
}

func TestRetiringAUserTakesItsPermissionAlong(t *testing.T) {
	n, ctx := founded(t), t.Context()
	n.give(t, access.ReadOnly, "ann")
	changes, err := n.Retire(ctx, event.By("root"), user("Ann"), false)
	must(t, err)
	_, err = n.mirror.Commit(ctx, changes...)
	must(t, err)
	if len(n.Permissions()) != 2 {
		t.Error("disabling a user took its permission")
	}
	stale := changes
	changes, err = n.Retire(ctx, event.By("root"), user("Ann"), true)
	must(t, err)
	_, err = n.mirror.Commit(ctx, changes...)
	must(t, err)
	if len(n.Permissions()) != 1 {
		t.Error("a removed user's permission is left")
	}
	_, err = n.mirror.Commit(ctx, stale...)
	wantError(t, err, store.ErrConflict)
}

func TestTheFirstAdministratorIsSetUpOnce(t *testing.T) {
	s := newStore(t)
	n := newNode(t, s, "root", "two")
	wantError(t, n.SetPermissions(t.Context(), access.Server(event.By("x")), access.Root,
		[]access.Permission{{Principal: user("x"), Role: access.View}}), access.ErrNotFounded)
	if n.Founded() {
		t.Error("founded too early")
	}
	one, err := n.Found(t.Context(), event.Actor{}, user("root"))
	must(t, err)
	two, err := n.Found(t.Context(), event.Actor{}, user("two"))
	must(t, err)
	_, err = n.mirror.Commit(t.Context(), one...)
	must(t, err)
	_, err = n.mirror.Commit(t.Context(), two...)
	wantError(t, err, store.ErrConflict)
	again, err := n.Found(t.Context(), event.Actor{}, user("two"))
	must(t, err)
	if again != nil {
		t.Error("a second first administrator")
	}
	if !n.Founded() || !n.Has(access.Subject{Principal: user("root")}, access.ModifyRoles) {
		t.Error("the first administrator is none")
	}
}

func TestBoundsOfRolesAndPermissionsHold(t *testing.T) {
	n := founded(t)
	many := make([]access.Permission, 4001)
	for i := range many {
		many[i] = access.Permission{Principal: principal.Name{Domain: "D", User: fmt.Sprint("u", i)}, Role: access.View}
	}
	wantError(t, n.SetPermissions(t.Context(), access.Server(event.By("x")), access.Root, many), access.ErrTooMany)
	wantError(t, n.SetPermissions(t.Context(), access.Server(event.By("x")), access.Root, many[:4000]),
		access.ErrTooMany)
	for i := range 4 {
		must(t, n.SetPermissions(t.Context(), access.Server(event.By("x")), access.Root, many[i*999:(i+1)*999]))
	}
	if got := len(n.Permissions()); got != 3997 {
		t.Errorf("%d permissions", got)
	}
}

func FuzzADocumentFromTheStore(f *testing.F) {
	f.Add([]byte(`{"v":1,"nextRole":4,"roles":[{"id":3,"name":"R","privileges":["System.View"]}],` +
		`"permissions":[{"domain":"D","user":"u","role":3}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		table := access.NewTable(nil, discard)
		table.View().Put(store.Record{Kind: store.Permission, ID: access.Root, Value: b, Revision: 1})
		if table.Damaged() != nil && len(table.Permissions()) > 0 {
			t.Error("a damaged record has permissions")
		}
		for _, p := range table.Permissions() {
			who := access.Subject{Principal: p.Principal}
			if !p.Group && table.HasRole(who) != (p.Role != access.NoAccess) {
				t.Errorf("%v: HasRole = %v", p, table.HasRole(who))
			}
		}
		table.Roles()
	})
}

func decodeEvent(t *testing.T, r store.Record) event.Event {
	t.Helper()
	var e event.Event
	must(t, unmarshal(r.Value, &e))
	return e
}

func TestPrivilegesAreNamedAsTheAPINamesThem(t *testing.T) {
	n := founded(t)
	seen := map[access.Privilege]bool{}
	for _, p := range n.PrivilegeList() {
		if p.Group+"."+p.Name() != string(p.ID) || p.Name() == "" || p.LabelKey() != "privilege."+string(p.ID) ||
			seen[p.ID] {
			t.Errorf("%+v is %q", p, p.Name())
		}
		seen[p.ID] = true
	}
	if own := (access.PrivilegeInfo{ID: "com.example.Fly", Group: "Example"}); own.Name() != string(own.ID) {
		t.Errorf("a name without its group is %q", own.Name())
	}
	if len(seen) != 482 {
		t.Errorf("%d privileges", len(seen))
	}
}
