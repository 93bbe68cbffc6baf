package property

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/vim"
)

// ring adds a small inventory: a ring of objects, each of which leads to the next one.
func (f *fixture) ring() (refs []types.ManagedObjectReference) {
	next := map[string]string{"Datacenter": "ComputeResource", "ComputeResource": "HostSystem",
		"HostSystem": "Datacenter"}
	for _, typ := range []string{"Datacenter", "ComputeResource", "HostSystem"} {
		f.must(f.Add(&vim.Object{Type: typ, ID: "1", Properties: []vim.Property{
			vim.NewProperty("name", vim.View, func(context.Context, *vim.Call) (string, error) { return typ, nil }),
			vim.NewProperty("next", vim.View, func(context.Context, *vim.Call) ([]types.ManagedObjectReference, error) {
				return []types.ManagedObjectReference{{Type: next[typ], Value: "1"},
					{Type: next[typ], Value: "gone"}}, nil
			}),
			vim.NewProperty("one", vim.View, func(context.Context, *vim.Call) (*types.ManagedObjectReference, error) {
				return &types.ManagedObjectReference{Type: next[typ], Value: "1"}, nil
			}),
		}}))
		refs = append(refs, types.ManagedObjectReference{Type: typ, Value: "1"})
	}
	return refs
}

func found(all []types.ObjectContent) (refs []types.ManagedObjectReference) {
	for _, o := range all {
		refs = append(refs, o.Obj)
	}
	return refs
}

func TestTraversalsLeadToOtherObjects(t *testing.T) {
	f := newFixture(t)
	ring := f.ring()
	ann := f.login("ann")
	yes := types.NewBool(true)
	step := func(typ, path string, next ...types.BaseSelectionSpec) *types.TraversalSpec {
		return &types.TraversalSpec{Type: typ, Path: path, SelectSet: next}
	}
	skip := step("Datacenter", "next", step("ComputeResource", "next"))
	skip.Skip = yes
	around := step("ManagedObject", "next", &types.SelectionSpec{Name: "around"})
	around.Name = "around"
	late := step("Datacenter", "next", &types.SelectionSpec{Name: "later"})
	later := step("ComputeResource", "one")
	later.Name = "later"
	for what, c := range map[string]struct {
		skip bool
		set  []types.BaseSelectionSpec
		want []types.ManagedObjectReference
	}{
		"nothing":     {false, nil, ring[:1]},
		"a list":      {false, []types.BaseSelectionSpec{step("Datacenter", "next")}, ring[:2]},
		"a reference": {false, []types.BaseSelectionSpec{step("Datacenter", "one")}, ring[:2]},
		"another type's": {false, []types.BaseSelectionSpec{step("Folder", "childEntity"),
			step("VirtualMachine", "x")}, ring[:1]},
		"start skipped": {true, []types.BaseSelectionSpec{step("Datacenter", "next")}, ring[1:2]},
		"step skipped": {false, []types.BaseSelectionSpec{skip},
			[]types.ManagedObjectReference{ring[0], ring[2]}},
		"in a circle": {false, []types.BaseSelectionSpec{around}, ring},
		"in a circle, skipped": {true, []types.BaseSelectionSpec{around},
			[]types.ManagedObjectReference{ring[1], ring[2], ring[0]}},
		"named later": {false, []types.BaseSelectionSpec{late, later}, ring},
	} {
		s := types.PropertyFilterSpec{
			PropSet:   []types.PropertySpec{{Type: "ManagedObject", PathSet: []string{"name"}}},
			ObjectSet: []types.ObjectSpec{{Obj: ring[0], Skip: &c.skip, SelectSet: c.set}},
		}
		if got := found(ann.retrieve(s)); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %v, want %v", what, got, c.want)
		}
		if got := f.anonymous().retrieve(s); !c.skip && len(got) != 1 || c.skip && len(got) != 0 {
			t.Errorf("%s: without the privilege: got %v", what, got)
		}
	}
	for kind, bad := range map[string]types.BaseSelectionSpec{
		"InvalidArgument": &types.SelectionSpec{Name: "nobody"},
		"InvalidType":     step("Nonsense", "next"),
		"InvalidProperty": step("Datacenter", "bogus"),
	} {
		s := spec(ring[0], "name")
		s.ObjectSet[0].SelectSet = []types.BaseSelectionSpec{bad}
		ann.fails(kind, pc, "RetrieveProperties",
			&types.RetrievePropertiesRequestType{SpecSet: []types.PropertyFilterSpec{s}})
	}
	s := spec(ring[0], "name")
	s.ObjectSet[0].SelectSet = []types.BaseSelectionSpec{step("Datacenter", "name")}
	ann.fails("InvalidProperty", pc, "RetrieveProperties",
		&types.RetrievePropertiesRequestType{SpecSet: []types.PropertyFilterSpec{s}})
}

func through(view types.ManagedObjectReference, paths ...types.PropertySpec) types.PropertyFilterSpec {
	return types.PropertyFilterSpec{
		PropSet: paths,
		ObjectSet: []types.ObjectSpec{{Obj: view, Skip: types.NewBool(true),
			SelectSet: []types.BaseSelectionSpec{&types.TraversalSpec{Type: view.Type, Path: "view"}}}},
	}
}

func refsOf(r ...types.ManagedObjectReference) []types.ManagedObjectReference { return r }

func TestListViewsHoldTheGivenObjects(t *testing.T) {
	f := newFixture(t)
	ann := f.login("ann")
	gone := types.ManagedObjectReference{Type: "VirtualMachine", Value: "vm-1"}
	ann.fails("ManagedObjectNotFound", viewManager, "CreateListView",
		&types.CreateListViewRequestType{Obj: refsOf(sessionManager, gone)})
	v := call[types.ManagedObjectReference](ann, viewManager, "CreateListView",
		&types.CreateListViewRequestType{Obj: refsOf(sessionManager, rootFolder, rootFolder)})
	holds := func(want ...types.ManagedObjectReference) {
		t.Helper()
		if got := call[[]types.ManagedObjectReference](ann, v, "view", nil); !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	}
	holds(sessionManager, rootFolder)
	lost := call[[]types.ManagedObjectReference](ann, v, "ModifyListView", &types.ModifyListViewRequestType{
		Add: refsOf(authorization, gone, sessionManager), Remove: refsOf(rootFolder)})
	if !slices.Equal(lost, refsOf(gone)) {
		t.Errorf("missing are %v", lost)
	}
	holds(sessionManager, authorization)
	all := ann.retrieve(through(v, types.PropertySpec{Type: "SessionManager", PathSet: []string{"message"}}))
	if got := found(all); !slices.Equal(got, refsOf(sessionManager)) {
		t.Errorf("through the view: %v", got)
	}
	other := call[types.ManagedObjectReference](ann, viewManager, "CreateListView",
		&types.CreateListViewRequestType{Obj: refsOf(rootFolder)})
	ann.void(v, "ResetListViewFromView", &types.ResetListViewFromViewRequestType{View: other})
	holds(rootFolder)
	ann.fails("InvalidArgument", v, "ResetListViewFromView",
		&types.ResetListViewFromViewRequestType{View: sessionManager})
	if lost := call[[]types.ManagedObjectReference](ann, v, "ResetListView",
		&types.ResetListViewRequestType{Obj: refsOf(gone)}); len(lost) != 1 {
		t.Errorf("missing are %v", lost)
	}
	holds()
	if got := call[[]types.ManagedObjectReference](ann, viewManager, "viewList", nil); !slices.Equal(got,
		refsOf(v, other)) {
		t.Errorf("views %v", got)
	}
	bob := f.login("bob")
	bob.fails("ManagedObjectNotFound", v, "view", nil)
	bob.fails("ManagedObjectNotFound", v, "DestroyView", &types.DestroyViewRequestType{})
	ann.void(v, "DestroyView", &types.DestroyViewRequestType{})
	ann.fails("ManagedObjectNotFound", v, "DestroyView", &types.DestroyViewRequestType{})
	ann.fails("ManagedObjectNotFound", other, "ResetListViewFromView", &types.ResetListViewFromViewRequestType{View: v})
	if got := call[[]types.ManagedObjectReference](ann, viewManager, "viewList", nil); !slices.Equal(got,
		refsOf(other)) {
		t.Errorf("views %v", got)
	}
	ann.end()
	if f.Instance(ann.live, other) != nil || f.owners() != 0 {
		t.Error("views outlive their session")
	}
}

func TestContainerViewsHoldTheContentOfTheFolder(t *testing.T) {
	f := newFixture(t)
	ann := f.login("ann")
	v := call[types.ManagedObjectReference](ann, viewManager, "CreateContainerView",
		&types.CreateContainerViewRequestType{
			Container: rootFolder, Type: []string{"VirtualMachine", "ManagedEntity"}, Recursive: true})
	if got := ann.one(v, "view").(types.ArrayOfManagedObjectReference); len(got.ManagedObjectReference) != 0 {
		t.Errorf("got %v", got)
	}
	if ann.one(v, "container") != rootFolder || ann.one(v, "recursive") != true ||
		len(ann.one(v, "type").(types.ArrayOfString).String) != 2 {
		t.Error("the view does not return its own parameters")
	}
	ann.fails("InvalidArgument", viewManager, "CreateContainerView",
		&types.CreateContainerViewRequestType{Container: sessionManager})
	ann.fails("InvalidArgument", viewManager, "CreateContainerView",
		&types.CreateContainerViewRequestType{Container: rootFolder, Type: []string{"SessionManager"}})
	ann.fails("ManagedObjectNotFound", viewManager, "CreateContainerView", &types.CreateContainerViewRequestType{
		Container: types.ManagedObjectReference{Type: "Folder", Value: "group-d2"}})
	// Clients do this when they start: they ask for all objects, and there are none.
	ann.filter(false, through(v, types.PropertySpec{Type: "ManagedEntity", PathSet: []string{"name"}}))
	if set := ann.check(""); set == nil || set.Version == "" || len(set.FilterSet) != 0 {
		t.Errorf("got %+v", set)
	}
	ann.void(v, "DestroyView", &types.DestroyViewRequestType{})
}

func TestObjectsEnterAndLeaveWithTheirView(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		ann := f.login("ann")
		v := call[types.ManagedObjectReference](ann, viewManager, "CreateListView",
			&types.CreateListViewRequestType{Obj: refsOf(rootFolder)})
		ann.filter(false, through(v, types.PropertySpec{Type: "ManagedObject"}))
		set := ann.check("")
		if o := ann.only(set); o.Obj != rootFolder || o.Kind != types.ObjectUpdateKindEnter {
			t.Errorf("got %+v", o)
		}
		next := func(change func()) []types.ObjectUpdate {
			t.Helper()
			got := ann.wait(set.Version, nil)
			synctest.Wait()
			change()
			a := <-got
			if a.fault != nil || len(a.set.FilterSet) != 1 {
				t.Fatalf("got %+v", a)
			}
			set = a.set
			return set.FilterSet[0].ObjectSet
		}
		got := next(func() {
			call[[]types.ManagedObjectReference](ann, v, "ModifyListView",
				&types.ModifyListViewRequestType{Add: refsOf(sessionManager), Remove: refsOf(rootFolder)})
		})
		if len(got) != 2 || got[0].Kind != types.ObjectUpdateKindEnter || got[0].Obj != sessionManager ||
			got[1].Kind != types.ObjectUpdateKindLeave || got[1].Obj != rootFolder {
			t.Errorf("got %+v", got)
		}
		got = next(func() { ann.void(v, "DestroyView", &types.DestroyViewRequestType{}) })
		if len(got) != 1 || got[0].Kind != types.ObjectUpdateKindLeave || got[0].Obj != sessionManager {
			t.Errorf("got %+v", got)
		}
	})
}

func TestRemovedObjectsAreReportedAsMissingIfRequested(t *testing.T) {
	f := newFixture(t)
	ann := f.login("ann")
	v := call[types.ManagedObjectReference](ann, viewManager, "CreateListView", &types.CreateListViewRequestType{})
	s := spec(v, "view")
	s.ReportMissingObjectsInResults = types.NewBool(true)
	ann.filter(false, s)
	set := ann.check("")
	if ann.only(set).Obj != v {
		t.Errorf("got %+v", set)
	}
	ann.void(v, "DestroyView", &types.DestroyViewRequestType{})
	set = ann.check(set.Version)
	if ann.only(set).Kind != types.ObjectUpdateKindLeave || len(set.FilterSet[0].MissingSet) != 1 ||
		set.FilterSet[0].MissingSet[0].Obj != v {
		t.Errorf("got %+v", set)
	}
	if set := ann.check(set.Version); set != nil {
		t.Errorf("reported again: %+v", set)
	}
	if set := ann.check(""); set == nil || len(set.FilterSet) != 1 || len(set.FilterSet[0].MissingSet) != 1 {
		t.Errorf("from the beginning: %+v", set)
	}
}

// The types of served objects must have the base types of the vSphere API.
func TestTypesDeriveFromOneAnother(t *testing.T) {
	for _, c := range []struct {
		typ, base string
		want      bool
	}{
		{"Folder", "Folder", true}, {"Folder", "ManagedEntity", true}, {"Folder", "ExtensibleManagedObject", true},
		{"Folder", "ManagedObject", true},
		{"Folder", "SessionManager", false}, {"ListView", "View", true}, {"ListView", "ContainerView", false},
		{"SessionManager", "ManagedObject", true},
		{"ManagedEntity", "Folder", false}, {"EventHistoryCollector", "HistoryCollector", true},
	} {
		if got := isA(c.typ, c.base); got != c.want {
			t.Errorf("%s is a %s: %v", c.typ, c.base, got)
		}
	}
	f := newFixture(t)
	f.must(f.Add(&vim.Object{Type: "OfItsOwn", ID: "own"}))
	for typ, want := range map[string]bool{"OfItsOwn": true, "OfNobody": false, "View": true, "VirtualMachine": true,
		"ManagedObject": true, "UserSession": false, "": false, "folder": false} {
		if f.service.isKnown(typ) != want {
			t.Errorf("%q is known: %v", typ, !want)
		}
	}
	for _, o := range f.Objects() {
		if !f.service.isKnown(o.Type) {
			t.Errorf("%s is served and not known", o.Type)
		}
	}
}
