package property

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/budget"
	"github.com/vigate/vigate/internal/vim"
)

// web creates list views, each of which contains all of them. It returns a request that goes from
// each view to each view by several traversals: views × traversals × views visits.
func web(c *client, views, traversals int) *types.RetrievePropertiesRequestType {
	c.t.Helper()
	var refs []types.ManagedObjectReference
	for range views {
		refs = append(refs, call[types.ManagedObjectReference](c, viewManager, "CreateListView",
			&types.CreateListViewRequestType{}))
	}
	for _, ref := range refs {
		call[[]types.ManagedObjectReference](c, ref, "ModifyListView", &types.ModifyListViewRequestType{Add: refs})
	}
	star := func(name string, next ...types.BaseSelectionSpec) *types.TraversalSpec {
		return &types.TraversalSpec{SelectionSpec: types.SelectionSpec{Name: name}, Type: "ListView", Path: "view",
			SelectSet: next}
	}
	// The first traversal leads to all views. From each of them, all other traversals are followed.
	var all []types.BaseSelectionSpec
	for i := range traversals {
		all = append(all, star(fmt.Sprint("t", i)))
	}
	return &types.RetrievePropertiesRequestType{SpecSet: []types.PropertyFilterSpec{{
		PropSet:   []types.PropertySpec{{Type: "SessionManager", PathSet: []string{"message"}}},
		ObjectSet: []types.ObjectSpec{{Obj: refs[0], SelectSet: []types.BaseSelectionSpec{star("all", all...)}}},
	}}}
}

func TestARequestVisitsABoundedNumberOfObjects(t *testing.T) {
	f := newFixture(t)
	c := f.login("ann")
	fits := web(c, 100, 50) // half a million
	if got := call[[]types.ObjectContent](c, pc, "RetrieveProperties", fits); len(got) != 0 {
		t.Errorf("got %+v", got)
	}
	fits.SpecSet = append(fits.SpecSet, fits.SpecSet[0], fits.SpecSet[0])
	fault := c.fails("InvalidArgument", pc, "RetrieveProperties", fits)
	if d := fault.Detail.(*types.InvalidArgument); d.InvalidProperty != "selectSet" {
		t.Errorf("got %+v", d)
	}
	c = f.login("ann")
	c.fails("InvalidArgument", pc, "CreateFilter", &types.CreateFilterRequestType{Spec: web(c, 150, 50).SpecSet[0]})
}

func TestLongChainsOfTraversalsAreRefused(t *testing.T) {
	f := newFixture(t)
	c := f.login("ann")
	// Each traversal leads from each view to each view, so the walk goes deeper until nothing is
	// left.
	r := web(c, 60, 0)
	var all []types.BaseSelectionSpec
	for i := range 60 {
		all = append(all, &types.SelectionSpec{Name: fmt.Sprint("t", i)})
	}
	first := r.SpecSet[0].ObjectSet[0].SelectSet[0].(*types.TraversalSpec)
	for i := range 60 {
		first.SelectSet = append(first.SelectSet, &types.TraversalSpec{
			SelectionSpec: types.SelectionSpec{Name: fmt.Sprint("t", i)}, Type: "ListView", Path: "view",
			SelectSet: slices.Clone(all[:10]),
		})
	}
	if d := c.fails("InvalidArgument", pc, "RetrieveProperties",
		r).Detail.(*types.InvalidArgument); d.InvalidProperty != "selectSet" {
		t.Errorf("got %+v", d)
	}
}

// looks is a context that counts the calls of Err and is canceled at one of them.
type looks struct {
	context.Context
	count atomic.Int64
	last  int64 // 0 if it is never canceled
}

func (l *looks) Err() error {
	if n := l.count.Add(1); l.last > 0 && n >= l.last {
		return context.Canceled
	}
	return nil
}

func TestALongRequestEndsSoonAfterItsClientGoes(t *testing.T) {
	f := newFixture(t)
	c := f.login("ann")
	r := web(c, 100, 50)
	whole := &looks{Context: t.Context()}
	if _, fault := c.tryContext(whole, pc, "RetrieveProperties", r); fault != nil {
		t.Fatal(fault)
	}
	if n := whole.count.Load(); n < 500_000/1000 {
		t.Errorf("in 500,000 visits the context was checked %d times", n)
	}
	gone := &looks{Context: t.Context(), last: 20}
	_, fault := c.tryContext(gone, pc, "RetrieveProperties", r)
	if fault == nil || fault.Kind() != "RequestCanceled" {
		t.Fatalf("got %v", fault)
	}
	if n := gone.count.Load(); n > gone.last+1 {
		t.Errorf("the request went on for %d checks", n-gone.last)
	}
}

// probe adds an object with the properties of the test.
func (f *fixture) probe(properties ...vim.Property) types.ManagedObjectReference {
	f.t.Helper()
	o := &vim.Object{Type: "Probe", ID: "probe", Properties: properties}
	f.must(f.Add(o))
	return o.Ref()
}

func TestALongRequestEndsSoonAfterItsSession(t *testing.T) {
	f := newFixture(t)
	c := f.login("ann")
	r := web(c, 100, 10)
	ended := false
	probe := f.probe(vim.NewProperty("next", vim.View,
		func(context.Context, *vim.Call) (types.ManagedObjectReference, error) {
			if !ended {
				ended = true
				c.end()
			}
			return r.SpecSet[0].ObjectSet[0].Obj, nil
		}))
	spec := &r.SpecSet[0]
	spec.ObjectSet[0].SelectSet = []types.BaseSelectionSpec{
		&types.TraversalSpec{Type: "Probe", Path: "next", SelectSet: spec.ObjectSet[0].SelectSet}}
	spec.ObjectSet[0].Obj = probe
	work := &looks{Context: t.Context()}
	_, fault := c.tryContext(work, pc, "RetrieveProperties", r)
	if !ended || fault == nil || fault.Kind() != "NotAuthenticated" {
		t.Fatalf("got %v", fault)
	}
	if n := work.count.Load(); n > 10 {
		t.Errorf("the request went on for %d checks", n)
	}
}

func TestUnchangedObjectsAreNotReadAgain(t *testing.T) {
	f := newFixture(t)
	var reads atomic.Int64
	changed := make(chan struct{})
	counted := func(context.Context, *vim.Call) (string, error) { return fmt.Sprint(reads.Add(1)), nil }
	watched := vim.Watched(func(*vim.Call) <-chan struct{} { return changed })
	probe := f.probe(vim.NewProperty("a", vim.View, counted, watched), vim.NewProperty("b", vim.View, counted, watched))
	c := f.login("ann")
	c.filter(false, spec(probe, "a", "b"))
	c.filter(false, spec(sessionManager, "message"))
	v := c.check("").Version
	if n := reads.Load(); n != 2 {
		t.Fatalf("%d reads", n)
	}
	for i := range 10 {
		f.message(fmt.Sprint("news ", i))
		set := c.check(v)
		if set == nil || len(set.FilterSet) != 1 {
			t.Fatalf("got %+v", set)
		}
		v = set.Version
	}
	if n := reads.Load(); n != 2 {
		t.Errorf("%d reads of unchanged objects", n-2)
	}
	close(changed)
	changed = make(chan struct{})
	if o := c.only(c.check(v)); len(o.ChangeSet) != 2 || reads.Load() != 4 {
		t.Errorf("got %+v after %d reads", o, reads.Load())
	}
}

// After a change of the session's language or user, all objects are read again: their texts may be
// different although nothing has changed.
func TestObjectsAreReadAgainAfterAChangeOfLanguage(t *testing.T) {
	f := newFixture(t)
	c := f.login("ann")
	c.filter(false, spec(eventManager, "latestEvent"))
	c.filter(false, spec(authorization, "roleList"))
	v := c.check("").Version
	if set := c.check(v); set != nil {
		t.Fatalf("got %+v", set)
	}
	f.setLocale(c, "de")
	if set := c.check(v); set == nil || len(set.FilterSet) != 2 {
		t.Errorf("got %+v", set)
	}
}

func TestALongResponseIsSplitIntoPages(t *testing.T) {
	f := newFixture(t)
	c := f.login("ann")
	long := strings.Repeat("x", 1<<20)
	var refs []types.ObjectSpec
	for range 3 {
		ref := call[types.ManagedObjectReference](c, eventManager, "CreateCollectorForEvents",
			&types.CreateCollectorForEventsRequestType{
				Filter: types.EventFilterSpec{Tag: []string{long}},
			})
		refs = append(refs, types.ObjectSpec{Obj: ref})
	}
	s := types.PropertyFilterSpec{PropSet: []types.PropertySpec{{Type: "EventHistoryCollector", PathSet: []string{
		"filter", "filter.tag",
	}}}, ObjectSet: refs}
	specs := slices.Repeat([]types.PropertyFilterSpec{s}, 10) // 30 objects of 2 MiB
	got := call[types.RetrieveResult](c, pc, "RetrievePropertiesEx",
		&types.RetrievePropertiesExRequestType{SpecSet: specs})
	n := len(got.Objects)
	for got.Token != "" {
		if len(got.Objects) == 0 || len(got.Objects) > 10 {
			t.Fatalf("%d objects in one response", len(got.Objects))
		}
		got = call[types.RetrieveResult](c, pc, "ContinueRetrievePropertiesEx",
			&types.ContinueRetrievePropertiesExRequestType{Token: got.Token})
		n += len(got.Objects)
	}
	if n != 30 {
		t.Errorf("%d objects", n)
	}
	// A method without pages refuses such a request.
	specs = slices.Repeat([]types.PropertyFilterSpec{s}, 40)
	fault := c.fails("LimitExceeded", pc, "RetrieveProperties", &types.RetrievePropertiesRequestType{SpecSet: specs})
	if d := fault.Detail.(*types.LimitExceeded); d.Property != "answers" {
		t.Errorf("got %+v", d)
	}
}

// Nothing that a caller without a session may read is long, but a request for many copies of it
// could have a long response.
func TestAResponseWithoutASessionIsShort(t *testing.T) {
	f := newFixture(t)
	var paths []string
	for i := range maxPaths {
		paths = append(paths, fmt.Sprintf(`sessionList["%d"]`, i))
	}
	s := spec(sessionManager, paths...)
	f.anonymous().fails("LimitExceeded", pc, "RetrieveProperties",
		&types.RetrievePropertiesRequestType{SpecSet: []types.PropertyFilterSpec{s}})
	c := f.login("ann")
	call[[]types.ObjectContent](c, pc, "RetrieveProperties",
		&types.RetrievePropertiesRequestType{SpecSet: []types.PropertyFilterSpec{s}})
}

func TestALongUpdateIsTruncated(t *testing.T) {
	f := newFixture(t)
	c := f.login("ann")
	long := strings.Repeat("x", 1<<20)
	s := types.PropertyFilterSpec{PropSet: []types.PropertySpec{
		{Type: "EventHistoryCollector", PathSet: []string{"filter", "filter.tag", "filter.tag"}}}}
	for range 3 {
		ref := call[types.ManagedObjectReference](c, eventManager, "CreateCollectorForEvents",
			&types.CreateCollectorForEventsRequestType{
				Filter: types.EventFilterSpec{Tag: []string{long}},
			})
		s.ObjectSet = append(s.ObjectSet, types.ObjectSpec{Obj: ref})
	}
	for range 10 {
		c.filter(false, s)
	}
	n, v := 0, ""
	for range 100 {
		set := c.check(v)
		if set == nil {
			break
		}
		for _, fs := range set.FilterSet {
			if n += len(fs.ObjectSet); len(fs.ObjectSet) > 10 {
				t.Errorf("%d objects in one update set", len(fs.ObjectSet))
			}
		}
		if v = set.Version; n < 30 && (set.Truncated == nil || !*set.Truncated) {
			t.Errorf("after %d objects: not truncated", n)
		}
	}
	if n != 30 {
		t.Errorf("%d objects", n)
	}
}

func TestSnapshotsAreCounted(t *testing.T) {
	f := newFixture(t)
	admin := f.login("Administrator")
	for range 300 {
		f.login("bob")
	}
	ref := admin.filter(true, spec(sessionManager, "sessionList"))
	before := f.Held(admin.live)[budget.Memory]
	admin.check("")
	told := f.Held(admin.live)[budget.Memory] - before
	if told < 300*80 || told > 300*500 {
		t.Errorf("the snapshot of 301 sessions weighs %d", told)
	}
	admin.void(ref, "DestroyPropertyFilter", &types.DestroyPropertyFilterRequestType{})
	if left := f.Held(admin.live)[budget.Memory]; left >= before {
		t.Errorf("%d is still counted", left)
	}
}
