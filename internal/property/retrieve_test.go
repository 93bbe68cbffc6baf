package property

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/property/value"
	"github.com/vigate/vigate/internal/schema"
	"github.com/vigate/vigate/internal/vim"
)

func TestPathsLeadIntoValues(t *testing.T) {
	f := newFixture(t)
	admin, ann := f.login("Administrator"), f.login("ann")
	f.message("hello")
	key := `"` + ann.key() + `"`
	serviceInstance := types.ManagedObjectReference{Type: "ServiceInstance", Value: "ServiceInstance"}
	for path, want := range map[string]struct {
		on   types.ManagedObjectReference
		want any
	}{
		"message":                                    {sessionManager, "hello"},
		"currentSession.userName":                    {sessionManager, `VSPHERE.LOCAL\Administrator`},
		"currentSession.key":                         {sessionManager, admin.key()},
		"currentSession.extensionSession":            {sessionManager, false},
		"content.about.licenseProductName":           {serviceInstance, nil}, // unset
		"currentSession.loginTime":                   {sessionManager, admin.live.Session().LoginTime},
		"sessionList[" + key + "].userName":          {sessionManager, `VSPHERE.LOCAL\ann`},
		"sessionList[" + key + "].key":               {sessionManager, ann.key()},
		`sessionList["nobody"]`:                      {sessionManager, nil},
		`sessionList["nobody"].userName`:             {sessionManager, nil},
		"content.about.apiType":                      {serviceInstance, "VirtualCenter"},
		"content.sessionManager":                     {serviceInstance, sessionManager},
		"description.privilege[\"System.View\"].key": {authorization, "System.View"},
	} {
		if got := admin.one(want.on, path); !reflect.DeepEqual(got, want.want) {
			t.Errorf("%s: got %#v, want %#v", path, got, want.want)
		}
	}
	if u, ok := admin.one(sessionManager, "sessionList["+key+"]").(*types.UserSession); !ok || u.Key != ann.key() {
		t.Errorf("an element of a list has the wrong type: %#v", u)
	}
}

func TestListsAreBoxedAsTheAPIsArrays(t *testing.T) {
	f := newFixture(t)
	admin := f.login("Administrator")
	for path, want := range map[string]any{
		"sessionList": types.ArrayOfUserSession{}, "supportedLocaleList": types.ArrayOfString{},
	} {
		if got := admin.one(sessionManager, path); reflect.TypeOf(got) != reflect.TypeOf(want) {
			t.Errorf("%s is a %T", path, got)
		}
	}
	if got, ok := admin.one(rootFolder, "childEntity").(types.ArrayOfManagedObjectReference); !ok {
		t.Errorf("childEntity is a %T", got)
	}
	if got, ok := admin.one(rootFolder, "effectiveRole").(types.ArrayOfInt); !ok ||
		!slices.Equal(got.Int, []int32{access.Admin}) {
		t.Errorf("effectiveRole is %#v", got)
	}
	if _, ok := admin.one(authorization, "roleList").(types.ArrayOfAuthorizationRole); !ok {
		t.Error("roleList is not an ArrayOfAuthorizationRole")
	}
	u, ok := admin.one(sessionManager, "currentSession").(*types.UserSession)
	if !ok || u.Key != admin.key() {
		t.Errorf("currentSession is %#v", u)
	}
}

// Every list that an object serves must have an ArrayOf type. The library has none for vigate's own types; the bindings
// write their lists under such a name, as the tests of internal/matrix show.
func TestEveryServedListHasAnArrayType(t *testing.T) {
	f := newFixture(t)
	s := value.New()
	for _, o := range f.Objects() {
		for _, p := range o.Properties {
			if schema.IsList(p.Type) && !strings.HasPrefix(p.Type.Elem().Name(), "Vigate") {
				if box := s.Box(reflect.MakeSlice(p.Type, 0, 0)); reflect.TypeOf(box).Kind() != reflect.Struct {
					t.Errorf("%s.%s: no array type for %v", o.Type, p.Name, p.Type)
				}
			}
		}
	}
}

func TestUnknownPathsAreRefused(t *testing.T) {
	f := newFixture(t)
	admin := f.login("Administrator")
	for _, path := range []string{
		"", "bogus", "message.length", "currentSession.bogus", "sessionList.userName", "sessionList[1]",
		"sessionList[KEY]",
		`sessionList["a"`, `sessionList["a"]b`, `sessionList["a"].bogus`, "supportedLocaleList[\"en\"]", ".message",
		"message.", "message..x",
		`currentSession["a"]`, "currentSession.loginTime.wall", strings.Repeat("a", 2000),
		"message" + strings.Repeat(".a", 40),
		"Message", "currentSession._typeName", "message ", "sessionList[007]", "sessionList[+1]",
	} {
		req := &types.RetrievePropertiesRequestType{
			SpecSet: []types.PropertyFilterSpec{spec(sessionManager, "message", path)}}
		fault := admin.fails("InvalidProperty", pc, "RetrieveProperties", req)
		if got := fault.Detail.(*types.InvalidProperty).Name; got != clip(path) {
			t.Errorf("%q: the fault names %q", path, got)
		}
		admin.fails("InvalidProperty", pc, "CreateFilter",
			&types.CreateFilterRequestType{Spec: spec(sessionManager, path)})
	}
}

func TestAllIsEveryPropertyOfTheTable(t *testing.T) {
	f := newFixture(t)
	admin := f.login("Administrator")
	all := admin.retrieve(spec(sessionManager))
	if len(all) != 1 || len(all[0].MissingSet) != 0 {
		t.Fatalf("got %+v", all)
	}
	var names []string
	for _, p := range all[0].PropSet {
		names = append(names, p.Name)
	}
	var want []string
	for _, p := range f.Object("SessionManager").Properties {
		want = append(want, p.Name)
	}
	if !slices.Equal(names, want) {
		t.Errorf("got %v, want %v", names, want)
	}
}

func TestAnonymousReadersGetPublicPropertiesAndAFaultForOthers(t *testing.T) {
	f := newFixture(t)
	all := f.anonymous().retrieve(spec(sessionManager))
	if len(all) != 1 {
		t.Fatalf("got %+v", all)
	}
	var missing, there []string
	for _, m := range all[0].MissingSet {
		missing = append(missing, m.Path)
		if _, ok := m.Fault.Fault.(*types.NotAuthenticated); !ok || m.Fault.LocalizedMessage == "" {
			t.Errorf("%s is missing for %#v", m.Path, m.Fault)
		}
	}
	for _, p := range all[0].PropSet {
		there = append(there, p.Name)
	}
	if !slices.Equal(missing, []string{"message", "sessionList"}) {
		t.Errorf("missing are %v", missing)
	}
	if !slices.Equal(there, []string{"defaultLocale", "messageLocaleList", "supportedLocaleList"}) {
		t.Errorf("there are %v: currentSession is unset, not missing", there)
	}
	for _, m := range []string{"WaitForUpdatesEx", "CreateFilter", "CreatePropertyCollector", "CancelWaitForUpdates",
		"CheckForUpdates", "WaitForUpdates"} {
		row, _ := f.Method(pc, m)
		f.anonymous().fails("NotAuthenticated", pc, m, row.NewArgs())
	}
}

func TestACallerWithoutThePrivilegeGetsAFaultForThatPropertyOnly(t *testing.T) {
	f := newFixture(t)
	all := f.login("ann").retrieve(spec(sessionManager, "sessionList", "message", "sessionList[\"x\"].userName"))
	if len(all) != 1 || len(all[0].PropSet) != 1 || len(all[0].MissingSet) != 2 {
		t.Fatalf("got %+v", all)
	}
	m := all[0].MissingSet[0]
	if d, ok := m.Fault.Fault.(*types.NoPermission); !ok || m.Path != "sessionList" ||
		d.PrivilegeId != "Sessions.TerminateSession" {
		t.Errorf("got %+v", m)
	}
}

func TestNoPathsGiveTheReferenceAlone(t *testing.T) {
	f := newFixture(t)
	s := spec(sessionManager)
	s.PropSet[0].All = nil
	all := f.login("ann").retrieve(s)
	if len(all) != 1 || all[0].Obj != sessionManager || all[0].PropSet != nil || all[0].MissingSet != nil {
		t.Errorf("got %+v", all)
	}
}

func TestObjectsThatDoNotExist(t *testing.T) {
	f := newFixture(t)
	ann := f.login("ann")
	vm := types.ManagedObjectReference{Type: "VirtualMachine", Value: "vm-1"}
	s := spec(vm, "name")
	s.ObjectSet = append(s.ObjectSet, types.ObjectSpec{Obj: sessionManager})
	s.PropSet = append(s.PropSet, types.PropertySpec{Type: "SessionManager", PathSet: []string{"message"}})
	req := &types.RetrievePropertiesRequestType{SpecSet: []types.PropertyFilterSpec{s}}
	fault := ann.fails("ManagedObjectNotFound", pc, "RetrieveProperties", req)
	if got := fault.Detail.(*types.ManagedObjectNotFound).Obj; got != vm {
		t.Errorf("the fault names %v", got)
	}
	ann.fails("ManagedObjectNotFound", pc, "CreateFilter", &types.CreateFilterRequestType{Spec: s})
	s.ReportMissingObjectsInResults = types.NewBool(true)
	if all := ann.retrieve(s); len(all) != 1 || all[0].Obj != sessionManager {
		t.Errorf("got %+v", all)
	}
	ann.fails("InvalidType", pc, "RetrieveProperties", &types.RetrievePropertiesRequestType{
		SpecSet: []types.PropertyFilterSpec{spec(types.ManagedObjectReference{Type: "Nonsense", Value: "x"}, "name")}})
	other := f.login("bob").collector()
	ann.fails("ManagedObjectNotFound", pc, "RetrieveProperties", &types.RetrievePropertiesRequestType{
		SpecSet: []types.PropertyFilterSpec{spec(other.pc, "filter")}})
	ann.fails("ManagedObjectNotFound", other.pc, "CreatePropertyCollector", &types.CreatePropertyCollectorRequestType{})
}

func TestSpecsForBaseTypesAddUp(t *testing.T) {
	f := newFixture(t)
	s := spec(rootFolder, "name", "name")
	s.PropSet = append(s.PropSet, types.PropertySpec{Type: "ManagedEntity", PathSet: []string{"overallStatus", "name"}},
		types.PropertySpec{Type: "ManagedObject"}, types.PropertySpec{Type: "VirtualMachine",
			PathSet: []string{"guest.ipAddress"}})
	all := f.login("ann").retrieve(s)
	if len(all) != 1 || len(all[0].PropSet) != 2 || all[0].PropSet[0].Val != "Datacenters" ||
		all[0].PropSet[1].Val != types.ManagedEntityStatusGray {
		t.Errorf("got %+v", all)
	}
	s = spec(rootFolder, "name")
	s.PropSet[0].Type = "VirtualMachine"
	if all := f.login("ann").retrieve(s); len(all) != 0 {
		t.Errorf("an object that no spec is for was reported: %+v", all)
	}
}

func TestRetrievalsAreContinuedInPages(t *testing.T) {
	f := newFixture(t)
	ann := f.login("ann")
	s := spec(sessionManager, "message")
	for _, ref := range []types.ManagedObjectReference{rootFolder, authorization, pc, viewManager} {
		s.ObjectSet = append(s.ObjectSet, types.ObjectSpec{Obj: ref})
	}
	s.PropSet = append(s.PropSet, types.PropertySpec{Type: "ManagedObject"})
	ask := func(c *client, limit int32) types.RetrieveResult {
		return call[types.RetrieveResult](c, pc, "RetrievePropertiesEx", &types.RetrievePropertiesExRequestType{
			SpecSet: []types.PropertyFilterSpec{s}, Options: types.RetrieveOptions{MaxObjects: limit}})
	}
	got := ask(ann, 2)
	var sizes []int
	var refs []types.ManagedObjectReference
	for {
		sizes = append(sizes, len(got.Objects))
		for _, o := range got.Objects {
			refs = append(refs, o.Obj)
		}
		if got.Token == "" {
			break
		}
		token := got.Token
		got = call[types.RetrieveResult](ann, pc, "ContinueRetrievePropertiesEx",
			&types.ContinueRetrievePropertiesExRequestType{Token: token})
		ann.fails("InvalidArgument", pc, "ContinueRetrievePropertiesEx",
			&types.ContinueRetrievePropertiesExRequestType{Token: token})
	}
	if !slices.Equal(sizes, []int{2, 2, 1}) || len(refs) != 5 {
		t.Errorf("pages of %v: %v", sizes, refs)
	}

	token := ask(ann, 1).Token
	f.login("bob").fails("InvalidArgument", pc, "ContinueRetrievePropertiesEx",
		&types.ContinueRetrievePropertiesExRequestType{Token: token})
	f.anonymous().fails("InvalidArgument", pc, "ContinueRetrievePropertiesEx",
		&types.ContinueRetrievePropertiesExRequestType{Token: token})
	ann.fails("InvalidArgument", ann.collector().pc, "ContinueRetrievePropertiesEx",
		&types.ContinueRetrievePropertiesExRequestType{Token: token})
	ann.void(pc, "CancelRetrievePropertiesEx", &types.CancelRetrievePropertiesExRequestType{Token: token})
	ann.fails("InvalidArgument", pc, "CancelRetrievePropertiesEx",
		&types.CancelRetrievePropertiesExRequestType{Token: token})
	ann.fails("InvalidArgument", pc, "RetrievePropertiesEx", &types.RetrievePropertiesExRequestType{
		SpecSet: []types.PropertyFilterSpec{s}, Options: types.RetrieveOptions{MaxObjects: -1}})

	if got := ask(f.anonymous(), 2); len(got.Objects) != 5 || got.Token != "" {
		t.Errorf("without a session: %d objects, token %q", len(got.Objects), got.Token)
	}
	first := ask(ann, 1).Token
	for range maxPages {
		ask(ann, 1)
	}
	ann.fails("InvalidArgument", pc, "ContinueRetrievePropertiesEx",
		&types.ContinueRetrievePropertiesExRequestType{Token: first})
}

func TestNothingFoundIsUnset(t *testing.T) {
	f := newFixture(t)
	v, fault := f.login("ann").try(pc, "RetrievePropertiesEx", &types.RetrievePropertiesExRequestType{})
	if p, ok := v.(*types.RetrieveResult); v != nil && (!ok || p != nil) || fault != nil {
		t.Errorf("got %v, %v", v, fault)
	}
}

func TestAPathNamedTwiceIsReturnedOnce(t *testing.T) {
	f := newFixture(t)
	s := spec(authorization, "privilegeList")
	for range 2 {
		for i := range 40 {
			s.PropSet[0].PathSet = append(s.PropSet[0].PathSet, fmt.Sprintf(`description.privilege["p%d"].key`, i),
				"privilegeList", `description.privilege["System.View"].key`)
		}
	}
	all := f.login("ann").retrieve(s)
	if len(all) != 1 || len(all[0].PropSet) != 2 {
		t.Errorf("got %+v", all)
	}
}

func TestRequestsAreBounded(t *testing.T) {
	f := newFixture(t)
	ann := f.login("ann")
	many := spec(sessionManager)
	for i := range maxPaths + 1 {
		many.PropSet[0].PathSet = append(many.PropSet[0].PathSet, fmt.Sprintf(`sessionList["%d"]`, i))
	}
	many.PropSet[0].All = nil
	objects := spec(sessionManager, "message")
	objects.ObjectSet = slices.Repeat(objects.ObjectSet, maxObjects+1)
	kinds := spec(sessionManager, "message")
	kinds.PropSet = slices.Repeat(kinds.PropSet, maxTypes+1)
	wide := spec(rootFolder, "name")
	for range maxSelections + 1 {
		wide.ObjectSet[0].SelectSet = append(wide.ObjectSet[0].SelectSet,
			&types.TraversalSpec{Type: "Folder", Path: "childEntity"})
	}
	deep := spec(rootFolder, "name")
	var next []types.BaseSelectionSpec
	for range maxNesting + 1 {
		next = []types.BaseSelectionSpec{&types.TraversalSpec{Type: "Folder", Path: "childEntity", SelectSet: next}}
	}
	deep.ObjectSet[0].SelectSet = next
	for _, s := range []types.PropertyFilterSpec{many, objects, kinds, wide, deep} {
		ann.fails("InvalidArgument", pc, "RetrieveProperties",
			&types.RetrievePropertiesRequestType{SpecSet: []types.PropertyFilterSpec{s}})
	}
	ann.fails("InvalidArgument", pc, "RetrieveProperties", &types.RetrievePropertiesRequestType{
		SpecSet: slices.Repeat([]types.PropertyFilterSpec{spec(sessionManager, "message")}, maxSpecs+1)})

	// All filters of a session together are also limited.
	big := spec(sessionManager)
	big.PropSet[0].All = nil
	for i := range maxPaths {
		big.PropSet[0].PathSet = append(big.PropSet[0].PathSet, fmt.Sprintf(`sessionList["%900d"]`, i))
	}
	var first types.ManagedObjectReference
	n := 0
	for {
		v, fault := ann.try(pc, "CreateFilter", &types.CreateFilterRequestType{Spec: big})
		if fault != nil {
			if fault.Kind() != "LimitExceeded" || n == 0 {
				t.Fatalf("after %d filters: %v", n, fault)
			}
			break
		}
		if n++; n == 1 {
			first = v.(types.ManagedObjectReference)
		}
		if n > 10 {
			t.Fatal("there is no limit")
		}
	}
	ann.void(first, "DestroyPropertyFilter", &types.DestroyPropertyFilterRequestType{})
	ann.filter(false, big)
}

func TestReadsOfOneRequestAreConsistent(t *testing.T) {
	f := newFixture(t)
	all := f.login("Administrator").retrieve(spec(sessionManager, "currentSession"),
		spec(sessionManager, "currentSession", "message"))
	if len(all) != 2 || !reflect.DeepEqual(all[0].PropSet[0], all[1].PropSet[0]) {
		t.Errorf("got %+v", all)
	}
}

func TestKeysInPathsAreComparedLiterally(t *testing.T) {
	f := newFixture(t)
	admin := f.login("Administrator")
	f.register("com.vigate.[a].b")
	em := types.ManagedObjectReference{Type: "ExtensionManager", Value: "ExtensionManager"}
	if got := admin.one(em, `extensionList["com.vigate.[a].b"].version`); got != "1.0" {
		t.Errorf("got %v", got)
	}
}

func TestFaultsOfTheCallAreNotReportedAsFaultsOfAProperty(t *testing.T) {
	f := newFixture(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	f.must(f.Add(&vim.Object{Type: "Task", ID: "task-1", Properties: []vim.Property{
		vim.NewProperty("info", vim.Anonymous,
			func(ctx context.Context, _ *vim.Call) (string, error) { return "", ctx.Err() }),
	}}))
	task := types.ManagedObjectReference{Type: "Task", Value: "task-1"}
	_, fault := f.anonymous().tryContext(ctx, pc, "RetrieveProperties",
		&types.RetrievePropertiesRequestType{SpecSet: []types.PropertyFilterSpec{spec(task, "info")}})
	if fault == nil || fault.Kind() != "RequestCanceled" {
		t.Errorf("got %v", fault)
	}
}
