package property

import (
	"slices"
	"testing"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/event"
)

// op describes a change without its value.
type op struct {
	name string
	op   types.PropertyChangeOp
}

func ops(o types.ObjectUpdate) []op {
	var all []op
	for _, c := range o.ChangeSet {
		all = append(all, op{c.Name, c.Op})
	}
	slices.SortFunc(all, func(a, b op) int { return len(a.op) - len(b.op) })
	return all
}

func TestPartialUpdatesReportElements(t *testing.T) {
	f := newFixture(t)
	admin, ann := f.login("Administrator"), f.login("ann")
	admin.filter(true, spec(sessionManager, "sessionList"))
	whole := admin.collector()
	whole.filter(false, spec(sessionManager, "sessionList"))
	v, w := admin.check("").Version, whole.check("").Version

	bob := f.login("bob")
	f.setLocale(ann, "de")
	set := admin.check(v)
	o := admin.only(set)
	want := []op{{`sessionList["` + bob.key() + `"]`, types.PropertyChangeOpAdd},
		{`sessionList["` + ann.key() + `"]`, types.PropertyChangeOpAssign}}
	if got := ops(o); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for _, c := range o.ChangeSet {
		if u, ok := c.Val.(*types.UserSession); !ok || u.Key == "" {
			t.Errorf("%s is a %T", c.Name, c.Val)
		}
	}
	ann.end()
	if got, want := ops(admin.only(admin.check(set.Version))), []op{
		{`sessionList["` + ann.key() + `"]`, types.PropertyChangeOpRemove}}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	o = whole.only(whole.check(w))
	if got, want := ops(o), []op{{"sessionList", types.PropertyChangeOpAssign}}; !slices.Equal(got, want) {
		t.Errorf("whole: got %v, want %v", got, want)
	}
	if n := len(o.ChangeSet[0].Val.(types.ArrayOfUserSession).UserSession); n != 2 {
		t.Errorf("whole: %d sessions", n)
	}
}

func TestPartialUpdatesReportMembers(t *testing.T) {
	f := newFixture(t)
	ann := f.login("ann")
	ann.filter(true, spec(sessionManager, "currentSession"))
	v := ann.check("").Version
	f.setLocale(ann, "de")
	o := ann.only(ann.check(v))
	want := []types.PropertyChange{
		{Name: "currentSession.locale", Op: types.PropertyChangeOpAssign, Val: "de"},
		{Name: "currentSession.messageLocale", Op: types.PropertyChangeOpAssign, Val: "de"},
	}
	if !slices.Equal(o.ChangeSet, want) {
		t.Errorf("got %+v", o.ChangeSet)
	}
}

// The latest event replaces the previous one: it is another object, not a changed one.
func TestAReplacedObjectIsReportedInFull(t *testing.T) {
	f := newFixture(t)
	ann := f.login("ann")
	ann.filter(true, spec(types.ManagedObjectReference{Type: "EventManager", Value: "EventManager"}, "latestEvent"))
	f.message("1")
	v := ann.check("").Version
	f.message("2")
	o := ann.only(ann.check(v))
	if got := ops(o); !slices.Equal(got, []op{{"latestEvent", types.PropertyChangeOpAssign}}) {
		t.Errorf("got %v", got)
	}
	if e, ok := o.ChangeSet[0].Val.(*types.GlobalMessageChangedEvent); !ok || e.Message != "2" {
		t.Errorf("got %#v", o.ChangeSet[0].Val)
	}
}

func TestValuesThatAppearAndDisappearAtAPathAreReported(t *testing.T) {
	f := newFixture(t)
	admin := f.login("Administrator")
	key := `extensionList["com.vigate.a"]`
	em := types.ManagedObjectReference{Type: "ExtensionManager", Value: "ExtensionManager"}
	admin.filter(false, spec(em, key, key+".version"))
	set := admin.check("")
	o := admin.only(set)
	if got, want := ops(o), []op{{key, types.PropertyChangeOpAssign},
		{key + ".version", types.PropertyChangeOpAssign}}; o.Kind != types.ObjectUpdateKindEnter ||
		!slices.Equal(got, want) || o.ChangeSet[0].Val != nil || o.ChangeSet[1].Val != nil {
		t.Errorf("got %+v, want paths without values", o)
	}
	f.register("com.vigate.a")
	set = admin.check(set.Version)
	if got, want := ops(admin.only(set)), []op{{key, types.PropertyChangeOpAdd},
		{key + ".version", types.PropertyChangeOpAssign}}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	f.must(f.Extensions.Unregister(t.Context(), event.By("test"), "com.vigate.a"))
	set = admin.check(set.Version)
	if got, want := ops(admin.only(set)), []op{{key, types.PropertyChangeOpRemove},
		{key + ".version", types.PropertyChangeOpIndirectRemove}}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if set := admin.check(set.Version); set != nil {
		t.Errorf("got %+v", set)
	}
}
