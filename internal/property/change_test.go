package property

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/vmware/govmomi/vim25/types"
)

// op is a change without its value.
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

func TestPartialUpdatesTellOfElements(t *testing.T) {
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
	want := []op{{`sessionList["` + bob.key() + `"]`, types.PropertyChangeOpAdd}, {`sessionList["` + ann.key() + `"]`, types.PropertyChangeOpAssign}}
	if got := ops(o); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for _, c := range o.ChangeSet {
		if u, ok := c.Val.(types.UserSession); !ok || u.Key == "" {
			t.Errorf("%s is a %T", c.Name, c.Val)
		}
	}
	ann.end()
	if got, want := ops(admin.only(admin.check(set.Version))), []op{{`sessionList["` + ann.key() + `"]`, types.PropertyChangeOpRemove}}; !slices.Equal(got, want) {
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

func TestPartialUpdatesTellOfMembers(t *testing.T) {
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

// An event is not the event before it with other members.
func TestAnotherObjectInThePlaceIsToldWhole(t *testing.T) {
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
	if e, ok := o.ChangeSet[0].Val.(types.GlobalMessageChangedEvent); !ok || e.Message != "2" {
		t.Errorf("got %#v", o.ChangeSet[0].Val)
	}
}

func TestWhatComesAndGoesAtAPathIsTold(t *testing.T) {
	f := newFixture(t)
	admin := f.login("Administrator")
	key := `extensionList["com.vigate.a"]`
	em := types.ManagedObjectReference{Type: "ExtensionManager", Value: "ExtensionManager"}
	admin.filter(false, spec(em, key, key+".version"))
	set := admin.check("")
	if o := admin.only(set); o.Kind != types.ObjectUpdateKindEnter || len(o.ChangeSet) != 0 {
		t.Errorf("got %+v", o)
	}
	f.register("com.vigate.a")
	set = admin.check(set.Version)
	if got, want := ops(admin.only(set)), []op{{key, types.PropertyChangeOpAdd}, {key + ".version", types.PropertyChangeOpAssign}}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	f.must(f.Extensions.Unregister(t.Context(), "test", "com.vigate.a"))
	set = admin.check(set.Version)
	if got, want := ops(admin.only(set)), []op{{key, types.PropertyChangeOpRemove}, {key + ".version", types.PropertyChangeOpIndirectRemove}}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if set := admin.check(set.Version); set != nil {
		t.Errorf("got %+v", set)
	}
}

func TestValuesThatDifferHaveOtherFingerprints(t *testing.T) {
	h := newService(nil).hash
	at := time.Unix(1, 2)
	values := []any{
		"", "a", "ab", []string{}, []string{"a"}, []string{"a", "b"}, []string{"ab"}, []string{"", "ab"}, true, false,
		int32(1), int32(2), int64(3), 1.5, float32(2.5), at, at.Add(1), at.Add(time.Second), []byte("a"), []byte("b"),
		types.UserSession{}, types.UserSession{Key: "a"}, types.UserSession{UserName: "a"}, types.UserSession{LoginTime: at},
		types.OptionValue{Key: "a", Value: int32(5)}, types.OptionValue{Key: "a", Value: int64(5)}, types.OptionValue{Key: "a", Value: "5"},
		types.OptionValue{Key: "a"}, []types.BaseEvent{&types.UserLoginSessionEvent{}}, []types.BaseEvent{&types.BadUsernameSessionEvent{}},
		types.ServiceContent{}, types.ServiceContent{AccountManager: &types.ManagedObjectReference{}},
	}
	seen := map[uint64]any{}
	for _, v := range values {
		sum := h.sum(reflect.ValueOf(v))
		if other, ok := seen[sum]; ok {
			t.Errorf("%#v and %#v have the same", v, other)
		}
		seen[sum] = v
		if again := h.sum(reflect.ValueOf(v)); again != sum {
			t.Errorf("%#v has another each time", v)
		}
	}
	a, b := types.UserSession{Key: "k", CallCount: 1, LastActiveTime: at}, types.UserSession{Key: "k", CallCount: 2}
	if h.sum(reflect.ValueOf(a)) != h.sum(reflect.ValueOf(b)) {
		t.Error("use changes the fingerprint of a session")
	}
	if p := h.parts(reflect.ValueOf([]types.UserSession{a, b})); p != nil {
		t.Error("a list whose keys repeat can't be told by element")
	}
	if p := h.parts(reflect.ValueOf([]string{"a"})); p != nil {
		t.Error("a list without keys can't be told by element")
	}
}
