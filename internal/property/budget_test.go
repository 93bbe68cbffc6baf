package property

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/budget"
	"github.com/vigate/vigate/internal/vim"
)

var eventManager = types.ManagedObjectReference{Type: "EventManager", Value: "EventManager"}

// growers returns a function for each type of object that a session can hold. Each call of a
// function creates another object, until a limit refuses it.
func growers(c *client) map[string]func() *vim.Fault {
	long := strings.Repeat("x", 500<<10)
	var paths []string
	for i := range maxPaths {
		paths = append(paths, fmt.Sprintf(`sessionList["%0900d"]`, i))
	}
	do := func(on types.ManagedObjectReference, name string, args any) *vim.Fault {
		_, fault := c.try(on, name, args)
		return fault
	}
	return map[string]func() *vim.Fault{
		"PropertyCollector": func() *vim.Fault {
			return do(pc, "CreatePropertyCollector", &types.CreatePropertyCollectorRequestType{})
		},
		"PropertyFilter": func() *vim.Fault {
			return do(pc, "CreateFilter", &types.CreateFilterRequestType{Spec: spec(sessionManager, paths...)})
		},
		"ListView": func() *vim.Fault {
			return do(viewManager, "CreateListView",
				&types.CreateListViewRequestType{Obj: []types.ManagedObjectReference{sessionManager}})
		},
		"ContainerView": func() *vim.Fault {
			return do(viewManager, "CreateContainerView",
				&types.CreateContainerViewRequestType{Container: rootFolder, Type: []string{"Folder"}})
		},
		"EventHistoryCollector": func() *vim.Fault {
			return do(eventManager, "CreateCollectorForEvents", &types.CreateCollectorForEventsRequestType{
				Filter: types.EventFilterSpec{EventTypeId: []string{long}},
			})
		},
	}
}

// Every type of object that belongs to sessions must have a grower. Otherwise objects of the type
// might not be counted.
func TestEveryObjectOfASessionIsCountedAndReleasedAtItsEnd(t *testing.T) {
	f := newFixture(t)
	for _, o := range f.Objects() {
		if o.ID == "" && growers(f.anonymous())[o.Type] == nil {
			t.Errorf("no test makes objects of the type %s", o.Type)
		}
	}
	for name := range growers(f.anonymous()) {
		t.Run(name, func(t *testing.T) {
			c := f.login("ann")
			grow, n := growers(c)[name], 0
			var fault *vim.Fault
			for ; fault == nil; n++ {
				if n > 100_000 {
					t.Fatal("there is no limit")
				}
				fault = grow()
			}
			if k := fault.Kind(); k != "LimitExceeded" && k != "InvalidState" {
				t.Errorf("refused with %v", fault)
			}
			held, limits := f.Held(c.live), budget.Default()
			if held[budget.Objects] > limits[budget.Objects].Session ||
				held[budget.Memory] > limits[budget.Memory].Session {
				t.Errorf("the session holds %v", held)
			}
			if held[budget.Objects] < int64(n-1) || held[budget.Memory] < int64(n-1)*100 {
				t.Errorf("%d objects were created, %v are counted", n-1, held)
			}
			other := f.login("bob") // must not be affected
			if fault := growers(other)[name](); fault != nil {
				t.Errorf("another user is refused: %v", fault)
			}
			c.end()
			other.end()
			if held, sessions := f.Ledger(); held != (budget.Amounts{}) || sessions != 0 {
				t.Errorf("%v of %d sessions is still counted", held, sessions)
			}
		})
	}
}

func TestTheWeightOfAListViewGrowsWithItsObjects(t *testing.T) {
	f := newFixture(t)
	c := f.login("ann")
	var refs []types.ManagedObjectReference
	for range 500 {
		refs = append(refs, call[types.ManagedObjectReference](c, viewManager, "CreateListView",
			&types.CreateListViewRequestType{}))
	}
	small := f.Held(c.live)[budget.Memory]
	call[[]types.ManagedObjectReference](c, refs[0], "ModifyListView", &types.ModifyListViewRequestType{Add: refs})
	large := f.Held(c.live)[budget.Memory]
	if more := large - small; more < 500*100 || more > 500*500 {
		t.Errorf("500 objects in a list view weigh %d", more)
	}
	var fault *vim.Fault
	for i := 1; fault == nil && i < len(refs); i++ {
		_, fault = c.try(refs[i], "ModifyListView", &types.ModifyListViewRequestType{Add: refs})
	}
	if fault == nil || fault.Kind() != "LimitExceeded" || !strings.Contains(fault.Text("en"), "memory") {
		t.Fatalf("got %v", fault)
	}
	call[[]types.ManagedObjectReference](c, refs[0], "ResetListView", &types.ResetListViewRequestType{})
	if now := f.Held(c.live)[budget.Memory]; now > budget.Default()[budget.Memory].Session-(large-small) {
		t.Errorf("an emptied view still weighs %d", now)
	}
}

func TestUnfinishedRetrievalsAreCountedUntilTheyAreContinued(t *testing.T) {
	f := newFixture(t)
	c := f.login("ann")
	var objects []types.ObjectSpec
	for range 500 {
		ref := call[types.ManagedObjectReference](c, viewManager, "CreateListView", &types.CreateListViewRequestType{})
		objects = append(objects, types.ObjectSpec{Obj: ref})
	}
	before := f.Held(c.live)[budget.Memory]
	s := types.PropertyFilterSpec{PropSet: []types.PropertySpec{{Type: "ListView", PathSet: []string{"view"}}},
		ObjectSet: objects}
	first := func() string {
		return call[types.RetrieveResult](c, pc, "RetrievePropertiesEx", &types.RetrievePropertiesExRequestType{
			SpecSet: []types.PropertyFilterSpec{s}, Options: types.RetrieveOptions{MaxObjects: 1},
		}).Token
	}
	for range 2 * maxPages { // the oldest ones are evicted
		first()
	}
	each := (f.Held(c.live)[budget.Memory] - before) / maxPages
	if each < 500*50 || each > 500*1000 {
		t.Errorf("a page of 499 objects weighs %d", each)
	}
	token := first()
	c.void(pc, "CancelRetrievePropertiesEx", &types.CancelRetrievePropertiesExRequestType{Token: token})
	if now := f.Held(c.live)[budget.Memory] - before; now > each*(maxPages-1)+each/2 {
		t.Errorf("%d pages weigh %d, one %d", maxPages-1, now, each)
	}
	c.end()
	if held, sessions := f.Ledger(); held != (budget.Amounts{}) || sessions != 0 {
		t.Errorf("%v of %d sessions is still counted", held, sessions)
	}
}

func TestTheWaitingCallsOfASessionAreBounded(t *testing.T) {
	f := newFixture(t)
	c := f.login("ann")
	c.filter(false, spec(sessionManager, "message"))
	version := c.check("").Version
	most := int(budget.Default()[budget.Waits].Session)
	var waits []<-chan answer
	for range most {
		waits = append(waits, c.waits(version))
	}
	for name, args := range map[string]any{
		"WaitForUpdatesEx": &types.WaitForUpdatesExRequestType{Version: version},
		"WaitForUpdates":   &types.WaitForUpdatesRequestType{Version: version},
		"CheckForUpdates":  &types.CheckForUpdatesRequestType{Version: version},
	} {
		fault := c.fails("LimitExceeded", pc, name, args)
		if d := fault.Detail.(*types.LimitExceeded); d.Property != "waits" || d.Limit == nil || int(*d.Limit) != most {
			t.Errorf("%s: got %+v", name, d)
		}
	}
	other := f.login("ann") // another session of the same user
	other.filter(false, spec(sessionManager, "message"))
	waits = append(waits, other.waits(other.check("").Version))
	f.message("wake up")
	for _, w := range waits {
		if a := <-w; a.fault != nil || a.set == nil {
			t.Fatalf("got %+v", a)
		}
	}
	if held := f.Held(c.live)[budget.Waits]; held != 0 {
		t.Errorf("%d waits are still counted", held)
	}
	c.check("")
}

func TestTheWaitingCallsOfAUserAreBoundedOverAllItsSessions(t *testing.T) {
	f := newFixture(t)
	limits := budget.Default()
	most, each := int(limits[budget.Waits].Principal), int(limits[budget.Waits].Session)
	var waits []<-chan answer
	for range most / each {
		c := f.login("ann")
		c.filter(false, spec(sessionManager, "message"))
		version := c.check("").Version
		for range each {
			waits = append(waits, c.waits(version))
		}
	}
	last := f.login("ann")
	last.filter(false, spec(sessionManager, "message"))
	last.fails("LimitExceeded", pc, "CheckForUpdates", &types.CheckForUpdatesRequestType{})
	bob := f.login("bob")
	bob.filter(false, spec(sessionManager, "message"))
	if bob.check("") == nil {
		t.Error("another user is not served")
	}
	f.Drain()
	for _, w := range waits {
		<-w
	}
	if held, _ := f.Ledger(); held[budget.Waits] != 0 {
		t.Errorf("%d waits are still counted", held[budget.Waits])
	}
}

// A client can have many calls of the methods that wait without doing anything else. So these
// methods must be marked, and they must require a session.
func TestTheMethodsThatWaitAreMarked(t *testing.T) {
	f := newFixture(t)
	var waits []string
	for _, o := range f.Objects() {
		for _, m := range o.Methods {
			if m.Waits {
				waits = append(waits, o.Type+"."+m.Name)
			}
		}
	}
	want := "PropertyCollector.CheckForUpdates PropertyCollector.WaitForUpdates PropertyCollector.WaitForUpdatesEx"
	if got := strings.Join(waits, " "); got != want {
		t.Errorf("got %s", got)
	}
	err := f.Add(&vim.Object{Type: "X", Methods: []vim.Method{{Name: "Wait", Privilege: vim.Anonymous, Waits: true}}})
	if err == nil {
		t.Error("a method that needs no session may wait")
	}
}

func TestALimitOfTheServerIsReportedAsATemporaryOverload(t *testing.T) {
	err := error(&budget.ExceededError{Kind: budget.Objects, Scope: budget.OfServer, Max: 1, Asked: 1})
	if fault := vim.FaultOf(err); fault.Kind() != "Unavailable" || fault.RetryAfter == 0 || !errors.Is(fault, err) {
		t.Errorf("got %v", fault)
	}
}
