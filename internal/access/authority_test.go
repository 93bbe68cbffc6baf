package access_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/store"
)

var ten = []access.Privilege{"System.Anonymous", "System.Read", "System.View"}

func TestAUsersOwnPermissionOverridesThoseOfItsGroups(t *testing.T) {
	n := founded(t)
	sessions, err := n.AddRole(t.Context(), access.Server(event.By("root")), "Sessions",
		[]access.Privilege{access.TerminateSession})
	must(t, err)
	messages, err := n.AddRole(t.Context(), access.Server(event.By("root")), "Messages",
		[]access.Privilege{access.GlobalMessage})
	must(t, err)
	n.give(t, sessions, "group:ops")
	n.give(t, messages, "group:news")
	n.give(t, access.NoAccess, "group:out", "eve")
	n.give(t, access.ReadOnly, "ann")

	groups := func(names ...string) []string {
		for i := range names {
			names[i] = `VSPHERE.LOCAL\` + names[i]
		}
		return names
	}
	for _, c := range []struct {
		name   string
		who    access.Subject
		want   []access.Privilege
		noRole bool
	}{
		{"administrator", access.Subject{Principal: user("ROOT")}, all(n), false},
		{"one group", access.Subject{Principal: user("bob"), Groups: groups("Ops")},
			append([]access.Privilege{access.TerminateSession}, ten...), false},
		{"two groups unite", access.Subject{Principal: user("bob"), Groups: groups("ops", "NEWS")},
			append([]access.Privilege{access.TerminateSession, access.GlobalMessage}, ten...), false},
		{"a group without access takes nothing", access.Subject{Principal: user("bob"), Groups: groups("out", "ops")},
			append([]access.Privilege{access.TerminateSession}, ten...), false},
		{"only a group without access", access.Subject{Principal: user("bob"), Groups: groups("out")}, nil, true},
		{"own permission wins", access.Subject{Principal: user("Ann"), Groups: groups("ops")}, ten, false},
		{"own refusal wins", access.Subject{Principal: user("eve"), Groups: groups("ops")}, nil, true},
		{"another domain", access.Subject{Principal: principal.Name{Domain: "CORP", User: "root"}}, nil, true},
		{"a group's name is no user's", access.Subject{Principal: user("ops")}, nil, true},
		{"a user's name is no group's", access.Subject{Principal: user("bob"), Groups: groups("root")}, nil, true},
		{"nobody", access.Subject{}, nil, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			slices.Sort(c.want)
			if got := n.Privileges(c.who).IDs(); !slices.Equal(got, c.want) {
				t.Errorf("privileges %v, want %v", got, c.want)
			}
			for _, p := range n.PrivilegeList() {
				if got, want := n.Has(c.who, p.ID), slices.Contains(c.want, p.ID); got != want {
					t.Errorf("Has(%s) = %v, want %v", p.ID, got, want)
				}
			}
			if n.HasRole(c.who) == c.noRole {
				t.Errorf("HasRole = %v", !c.noRole)
			}
			if n.Has(c.who, "No.Such") || n.Has(c.who, "") {
				t.Error("has a privilege that there is not")
			}
		})
	}
}

func all(n *node) []access.Privilege {
	var ids []access.Privilege
	for _, p := range n.PrivilegeList() {
		ids = append(ids, p.ID)
	}
	return ids
}

func TestAnExtensionMayImpersonateBesidesWhatItsPermissionGrants(t *testing.T) {
	n := founded(t)
	ext := principal.Extension("com.example.X")
	who := access.Subject{Principal: ext, Extension: true}
	if got := n.Privileges(who).IDs(); !slices.Equal(got,
		[]access.Privilege{access.ImpersonateUser, access.SystemAnonymous, access.SystemView}) || !n.HasRole(who) {
		t.Errorf("without permission: %v", got)
	}
	set := func(role int32) {
		t.Helper()
		must(t, n.SetPermissions(t.Context(), access.Server(event.By("root")), access.Root,
			[]access.Permission{{Principal: ext, Role: role}}))
	}
	set(access.View)
	if got := n.Privileges(who).IDs(); !slices.Equal(got,
		[]access.Privilege{access.ImpersonateUser, access.SystemAnonymous, access.SystemView}) {
		t.Errorf("with View: %v", got)
	}
	if !n.Has(who, access.ImpersonateUser) || !n.Has(who, access.SystemView) || n.Has(who, access.SystemRead) {
		t.Error("Has and Privileges differ")
	}
	set(access.NoAccess)
	if len(n.Privileges(who).IDs()) > 0 || n.Has(who, access.ImpersonateUser) || n.HasRole(who) {
		t.Error("an extension that was refused access still has some")
	}
}

func TestPrivilegesThatExtensionsDeclareComeAndGo(t *testing.T) {
	n := founded(t)
	mine := access.PrivilegeInfo{ID: "com.example.Fly", Group: "com.example"}
	declare := func(p ...access.PrivilegeInfo) {
		n.mu.Lock()
		n.declared = p
		n.mu.Unlock()
		n.Table().Refresh()
	}
	_, err := n.AddRole(t.Context(), access.Server(event.By("root")), "Pilot", []access.Privilege{mine.ID})
	wantError(t, err, access.ErrPrivilege)
	declare(mine, access.PrivilegeInfo{ID: access.SystemView, Group: "fake"})
	if !n.Has(access.Subject{Principal: user("root")}, mine.ID) {
		t.Error("the administrator lacks a declared privilege")
	}
	id, err := n.AddRole(t.Context(), access.Server(event.By("root")), "Pilot", []access.Privilege{mine.ID})
	must(t, err)
	n.give(t, id, "ann")
	ann := access.Subject{Principal: user("ann")}
	if !n.Has(ann, mine.ID) {
		t.Error("a declared privilege is not granted")
	}
	declare()
	if n.Has(ann, mine.ID) || n.Has(access.Subject{Principal: user("root")}, mine.ID) {
		t.Error("a privilege outlives its declaration")
	}
	must(t, n.UpdateRole(t.Context(), access.Server(event.By("root")), id, "Pilot",
		[]access.Privilege{access.GlobalMessage}))
	declare(mine)
	if !n.Has(ann, mine.ID) || !n.Has(ann, access.GlobalMessage) {
		t.Error("a role lost what its extension declares again")
	}
}

func TestCoversComparesAuthority(t *testing.T) {
	n := founded(t)
	n.give(t, access.ReadOnly, "ann")
	root, ann := n.Privileges(access.Subject{Principal: user("root")}),
		n.Privileges(access.Subject{Principal: user("ann")})
	n.Table().Refresh() // with another set of declared privileges
	later := n.Privileges(access.Subject{Principal: user("root")})
	if !root.Covers(ann) || ann.Covers(root) || !later.Covers(root) || !ann.Covers(access.Set{}) ||
		(access.Set{}).Covers(ann) {
		t.Error("wrong order")
	}
}

func TestAskingAllocatesNothing(t *testing.T) {
	n := founded(t)
	n.give(t, access.ReadOnly, "group:ops", "ann")
	for _, who := range []access.Subject{
		{Principal: user("Ann")},
		{Principal: user("Bob"), Groups: []string{`VSPHERE.LOCAL\Users`, `VSPHERE.LOCAL\Ops`}},
		{Principal: principal.Extension("com.example.long.enough.key"), Extension: true},
	} {
		if got := testing.AllocsPerRun(100, func() { n.Has(who, access.SystemView); n.HasRole(who) }); got != 0 {
			t.Errorf("%v: %v allocations", who, got)
		}
	}
}

func TestNamesOutsideASCIICompareWithoutCase(t *testing.T) {
	n := founded(t)
	n.give(t, access.ReadOnly, "ÄNNE", "group:ÖL")
	for _, who := range []access.Subject{
		{Principal: user("änne")},
		{Principal: user("x"), Groups: []string{`VSPHERE.LOCAL\öl`}},
	} {
		if !n.Has(who, access.SystemRead) {
			t.Errorf("%v has nothing", who)
		}
	}
}

func TestAChangeIsInForceWhenItReturns(t *testing.T) {
	n := founded(t)
	ann := access.Subject{Principal: user("ann")}
	for range 100 {
		n.give(t, access.ReadOnly, "ann")
		if !n.Has(ann, access.SystemRead) {
			t.Fatal("granted, but not in force")
		}
		must(t, n.RemovePermission(t.Context(), access.Server(event.By("root")), access.Root, user("ANN"), false))
		if n.Has(ann, access.SystemRead) {
			t.Fatal("removed, but still in force")
		}
	}
}

// The NoAccess of a user hides what the user's group may do. All permissions are then replaced by a set
// without both. At no time must a reader see the group's permission without the user's.
func TestAReaderNeverSeesHalfAChange(t *testing.T) {
	n := founded(t)
	root := access.Permission{Principal: user("root"), Role: access.Admin}
	group := access.Permission{Principal: user("ops"), Group: true, Role: access.Admin}
	own := access.Permission{Principal: user("eve"), Role: access.NoAccess}
	eve := access.Subject{Principal: user("eve"), Groups: []string{`VSPHERE.LOCAL\ops`}}
	ctx, stop := context.WithCancel(t.Context())
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for ctx.Err() == nil {
				if n.Has(eve, access.SystemView) {
					t.Error("eve may")
					return
				}
			}
		})
	}
	for range 100 {
		must(t, n.ResetPermissions(t.Context(), access.Server(event.By("root")), access.Root,
			[]access.Permission{root, own, group}))
		must(t, n.ResetPermissions(t.Context(), access.Server(event.By("root")), access.Root,
			[]access.Permission{root}))
	}
	stop()
	readers.Wait()
}

func TestDamagedPermissionsGrantNobodyAnythingAndCannotBeWrittenOver(t *testing.T) {
	n := founded(t)
	good, err := n.mirror.Get(t.Context(), store.Permission, access.Root)
	must(t, err)
	root := access.Subject{Principal: user("root")}
	for _, bad := range []string{
		``, `{}`, `null`, `{"v":99,"nextRole":1}`, `{"v":1}`, `{"v":1,"nextRole":1,"permissions":[null]}`,
		`{"v":1,"nextRole":1,"permissions":[{"user":"x","role":7}]}`,
		`{"v":1,"nextRole":1,"permissions":[{"user":"x","role":-1},{"user":"X","role":-5}]}`,
		`{"v":1,"nextRole":1,"roles":[{"id":1,"name":"x"}]}`,
		`{"v":1,"nextRole":9,"roles":[{"id":1,"name":"x"},{"id":2,"name":"X"}]}`,
		`{"v":1,"nextRole":9,"roles":[{"id":-1,"name":"x"}]}`,
		`{"v":1,"nextRole":9,"roles":[{"id":1,"name":""}]}`,
	} {
		_, err := n.mirror.Commit(t.Context(), store.Put(store.Permission, access.Root, []byte(bad), good.Expires))
		must(t, err)
		var damaged *store.DamagedError
		if err := n.Damaged(); err == nil {
			t.Errorf("%s: not reported", bad)
		}
		if n.Has(root, access.SystemView) || n.HasRole(root) || len(n.Privileges(root).IDs()) > 0 {
			t.Errorf("%s: somebody has privileges", bad)
		}
		ext := access.Subject{Principal: principal.Extension("com.example.a"), Extension: true}
		if n.Has(ext, access.ImpersonateUser) || n.HasRole(ext) || len(n.Privileges(ext).IDs()) > 0 {
			t.Errorf("%s: an extension has privileges", bad)
		}
		err = n.SetPermissions(t.Context(), access.Server(event.By("root")), access.Root,
			[]access.Permission{{Principal: user("eve"), Role: access.Admin}})
		if !errorsAs(err, &damaged) {
			t.Errorf("%s: change got %v", bad, err)
		}
		if _, err := n.Found(t.Context(), event.Actor{}, user("eve")); !errorsAs(err, &damaged) {
			t.Errorf("%s: Found got %v", bad, err)
		}
		if _, err := n.Retire(t.Context(), event.Actor{}, user("eve"), true); !errorsAs(err, &damaged) {
			t.Errorf("%s: Retire got %v", bad, err)
		}
	}
	_, err = n.mirror.Commit(t.Context(), store.Put(store.Permission, access.Root, good.Value, good.Expires))
	must(t, err)
	if n.Damaged() != nil || !n.Has(root, access.SystemView) {
		t.Error("mended, but not in force")
	}
}

func TestAViewIsRebuiltFromAWholeState(t *testing.T) {
	s := newStore(t)
	a := newNode(t, s, "root")
	a.found(t, "root")
	a.give(t, access.ReadOnly, "ann")
	b := newNode(t, s, "root")
	if !b.Has(access.Subject{Principal: user("ann")}, access.SystemRead) || !b.Founded() {
		t.Error("a second server doesn't know what is in the store")
	}
	r, err := b.mirror.Get(t.Context(), store.Permission, access.Root)
	must(t, err)
	table := access.NewTable(nil, nil)
	table.View().Put(r)
	root := access.Subject{Principal: user("root")}
	table.View().Reset()
	if !table.Has(root, access.SystemView) {
		t.Error("nobody has privileges while the state is read again")
	}
	table.View().Whole()
	if table.Has(root, access.SystemView) || table.Founded() {
		t.Error("what is not in the whole state is still there")
	}
	table.View().Reset()
	table.View().Put(r)
	table.View().Whole()
	if !table.Has(root, access.SystemView) {
		t.Error("what is in the whole state is not there")
	}
	table.View().Delete(store.Permission, access.Root)
	if table.Has(root, access.SystemView) {
		t.Error("deleted, but in force")
	}
}

func TestUnknownMembersOfTheRecordAreKept(t *testing.T) {
	n := founded(t)
	doc := `{"v":1,"nextRole":4,"later":1,"roles":[{"id":3,"name":"R","privileges":[],"colour":"red"}],` +
		`"permissions":[{"domain":"VSPHERE.LOCAL","user":"root","role":-1,"until":"2030"}]}`
	r, err := n.mirror.Get(t.Context(), store.Permission, access.Root)
	must(t, err)
	_, err = n.mirror.Commit(t.Context(), store.Put(store.Permission, access.Root, []byte(doc), r.Expires))
	must(t, err)
	must(t, n.UpdateRole(t.Context(), access.Server(event.By("root")), 3, "S", nil))
	must(t, n.ResetPermissions(t.Context(), access.Server(event.By("root")), access.Root,
		[]access.Permission{{Principal: user("root"), Role: access.Admin, Propagate: true}}))
	r, err = n.mirror.Get(t.Context(), store.Permission, access.Root)
	must(t, err)
	for _, want := range []string{`"later":1`, `"colour":"red"`, `"until":"2030"`, `"name":"S"`} {
		if !strings.Contains(string(r.Value), want) {
			t.Errorf("%s is not in %s", want, r.Value)
		}
	}
}

func BenchmarkHas(b *testing.B) {
	t := access.NewTable(nil, nil)
	t.View().Put(store.Record{ID: access.Root, Revision: 1, Value: []byte(
		`{"v":1,"nextRole":1,"permissions":[{"domain":"VSPHERE.LOCAL","user":"administrator","role":-1}]}`)})
	who := access.Subject{Principal: user("Administrator")}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if !t.Has(who, access.TerminateSession) {
				b.Error("no")
			}
		}
	})
}

// Some names that are the same now were different for an older version. The permissions of one must not
// become the other's: neither has any until an administrator decides.
func TestPermissionsOfNamesThatBecameTheSameGiveNothing(t *testing.T) {
	n := founded(t)
	n.give(t, access.Admin, "sam")
	r, err := n.mirror.Get(t.Context(), store.Permission, access.Root)
	must(t, err)
	own := `"user":"sam","role":-1,"propagate":true}`
	value := strings.Replace(string(r.Value), own, own+`,{"domain":"VSPHERE.LOCAL","user":"ſam","role":-2}`, 1)
	if value == string(r.Value) {
		t.Fatalf("no such permission in %s", value)
	}
	_, err = n.mirror.Commit(t.Context(), store.Put(store.Permission, access.Root, []byte(value), time.Time{}))
	must(t, err)
	for _, name := range []string{"sam", "ſam", "SAM"} {
		if who := (access.Subject{Principal: user(name)}); n.Has(who, access.SystemRead) || n.HasRole(who) ||
			n.Damaged() != nil {
			t.Errorf("%s has a role; damage %v", name, n.Damaged())
		}
	}
	n.give(t, access.ReadOnly, "sam")
	if who := (access.Subject{Principal: user("sam")}); !n.Has(who, access.SystemRead) || len(n.Permissions()) != 2 {
		t.Errorf("set again: %v", n.Permissions())
	}
}
