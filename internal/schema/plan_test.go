package schema_test

import (
	"reflect"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/schema"
)

func TestAPlanIsMadeOnceUnderConcurrentUse(t *testing.T) {
	var members atomic.Int64
	plans := schema.NewPlans(schema.Codec[string]{
		Tag: "json", Spell: types.VmomiTypeName,
		Own: func(t reflect.Type, m schema.Member) string {
			members.Add(1)
			return t.Name() + "." + m.Name
		},
	})
	session := reflect.TypeFor[types.UserSession]()
	first := plans.Of(session)
	made := members.Load()
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if got := plans.Of(session); got != first {
				t.Errorf("another plan: %+v", got)
			}
		})
	}
	all.Wait()
	if made != 11 || members.Load() != made {
		t.Errorf("%d members were made, and then %d", made, members.Load())
	}
	for i, f := range first.Members {
		if first.ByName[f.Name] != i || f.Own != "UserSession."+f.Name {
			t.Errorf("%d: %+v, by its name %d", i, f, first.ByName[f.Name])
		}
	}
	if first.Name != "UserSession" || first.Request || first.Members[first.Key].Name != "key" {
		t.Errorf("the plan is %+v", first)
	}
}

func TestAFieldIsFoundInItsStruct(t *testing.T) {
	plans := schema.NewPlans(schema.Codec[struct{}]{
		Tag: "xml", Spell: reflect.Type.Name, Own: func(reflect.Type, schema.Member) struct{} { return struct{}{} },
	})
	event := types.UserLoginSessionEvent{IpAddress: "192.0.2.1"}
	event.Key = 7
	p := plans.Of(reflect.TypeOf(event))
	v := reflect.ValueOf(event)
	ip := p.Members[p.ByName["ipAddress"]]
	if got := ip.Of(v).String(); got != "192.0.2.1" || ip.OmitEmpty {
		t.Errorf("ipAddress: %q %+v", got, ip)
	}
	if got := p.Members[p.Key].Of(v).Int(); got != 7 {
		t.Errorf("the base's key is %d", got)
	}
	if p := plans.Of(reflect.TypeFor[types.LoginRequestType]()); !p.Request || p.Key != -1 {
		t.Errorf("a request: %+v", p)
	}
}

func TestAClientsValueMustBeOfASubtypeOfTheDeclaredType(t *testing.T) {
	plans := schema.NewPlans(schema.Codec[struct{}]{
		Tag: "xml", Spell: reflect.Type.Name, Own: func(reflect.Type, schema.Member) struct{} { return struct{}{} },
	})
	event, login := reflect.TypeFor[types.Event](), reflect.TypeFor[types.UserLoginSessionEvent]()
	for _, tt := range []struct {
		iface   reflect.Type
		name    string
		t, base reflect.Type // nil if there is no such type
	}{
		{reflect.TypeFor[types.BaseEvent](), "", event, event},
		{reflect.TypeFor[types.BaseEvent](), "Event", event, event},
		{reflect.TypeFor[types.BaseEvent](), "UserLoginSessionEvent", login, event},
		{reflect.TypeFor[types.BaseEvent](), "UserSession", nil, event},
		{reflect.TypeFor[types.BaseEvent](), "BaseEvent", nil, event},
		{reflect.TypeFor[types.BaseEvent](), "LoginRequestType", nil, event},
		{reflect.TypeFor[any](), "Event", nil, nil},
		{reflect.TypeFor[error](), "Event", nil, nil},
	} {
		got, base, ok := plans.Under(tt.iface, tt.name)
		if ok != (tt.t != nil) || ok && got != tt.t || base != tt.base {
			t.Errorf("%v %q: %v under %v, %v", tt.iface, tt.name, got, base, ok)
		}
	}
	if _, ok := plans.DataType("LoginRequestType"); ok {
		t.Error("a request's type is taken for a value's")
	}
	if got, ok := plans.DataType("HostSystemConnectionState"); !ok || got.Kind() != reflect.String {
		t.Errorf("an enumeration is %v, %v", got, ok)
	}
}

func TestListsObjectsAndEmptyValuesAreDistinguished(t *testing.T) {
	for typ, want := range map[reflect.Type][2]bool{
		reflect.TypeFor[[]string]():                       {true, false},
		reflect.TypeFor[[]byte]():                         {false, false},
		reflect.TypeFor[types.ByteSlice]():                {false, false},
		schema.Time:                                       {false, false},
		schema.Reference:                                  {false, true},
		reflect.TypeFor[types.UserSession]():              {false, true},
		reflect.TypeFor[string]():                         {false, false},
		reflect.TypeFor[[]types.ManagedObjectReference](): {true, false},
	} {
		if got := [2]bool{schema.IsList(typ), schema.IsObject(typ)}; got != want {
			t.Errorf("%v: a list, an object: %v, want %v", typ, got, want)
		}
	}
	for _, empty := range []any{"", false, int32(0), []string(nil), []string{}, (*bool)(nil)} {
		if !schema.Empty(reflect.ValueOf(empty)) {
			t.Errorf("%#v is not empty", empty)
		}
	}
	for _, full := range []any{"a", true, int32(1), []string{""}, new(bool), types.UserSession{},
		types.ManagedObjectReference{}} {
		if schema.Empty(reflect.ValueOf(full)) {
			t.Errorf("%#v is empty", full)
		}
	}
	for elem, want := range map[string]string{"string": "ArrayOfString", "BaseEvent": "ArrayOfEvent",
		"UserSession": "ArrayOfUserSession"} {
		if got := schema.ListName(elem); got != want {
			t.Errorf("a list of %s is %s", elem, got)
		}
	}
}
