package vim

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

func TestServiceContentListsWhatIsServedAndNothingElse(t *testing.T) {
	f := newFixture(t)
	c := get[types.ServiceContent](f, f.prop("", "ServiceInstance", "content"))
	if again := get[types.ServiceContent](f, f.as("", "ServiceInstance", "RetrieveServiceContent", &types.RetrieveServiceContentRequestType{})); !reflect.DeepEqual(c, again) {
		t.Errorf("property and method differ: %+v, %+v", c, again)
	}
	listed := map[string]string{}
	v := reflect.ValueOf(c)
	for i := range v.NumField() {
		switch r := v.Field(i).Interface().(type) {
		case types.ManagedObjectReference:
			listed[r.Type] = r.Value
		case *types.ManagedObjectReference:
			if r != nil {
				listed[r.Type] = r.Value
			}
		}
	}
	delete(listed, "") // propertyCollector, which another package serves
	want := map[string]string{
		"Folder": "group-d1", "SessionManager": "SessionManager", "AuthorizationManager": "AuthorizationManager",
		"ExtensionManager": "ExtensionManager", "EventManager": "EventManager", "UserDirectory": "UserDirectory",
		"HostLocalAccountManager": "ha-localacctmgr", "OptionManager": "VpxSettings",
		"SearchIndex": "SearchIndex",
	}
	if !reflect.DeepEqual(listed, want) {
		t.Errorf("listed: %v", listed)
	}
	if c.About.Name != "vigate" || c.About.ApiType != "VirtualCenter" || c.About.InstanceUuid != f.Settings.Instance() || c.About.InstanceUuid == "" {
		t.Errorf("about: %+v", c.About)
	}
}

func TestAnObjectThatIsAddedIsListed(t *testing.T) {
	f := newFixture(t)
	f.must(f.Add(&Object{Type: "PropertyCollector", ID: "propertyCollector"}))
	f.must(f.Add(&Object{Type: "ViewManager", ID: "ViewManager"}))
	c := get[types.ServiceContent](f, f.prop("", "ServiceInstance", "content"))
	if c.PropertyCollector.Value != "propertyCollector" || c.ViewManager == nil || c.ViewManager.Value != "ViewManager" {
		t.Errorf("content: %+v", c)
	}
}

func TestTheTimeIsForThoseWithASession(t *testing.T) {
	f := newFixture(t)
	f.needs(View, "ServiceInstance", "CurrentTime", &types.CurrentTimeRequestType{})
	f.clock.pass(time.Minute)
	for _, a := range []answer{
		f.as(f.ann, "ServiceInstance", "CurrentTime", &types.CurrentTimeRequestType{}),
		f.prop(f.ann, "ServiceInstance", "serverClock"),
	} {
		if got := get[time.Time](f, a); !got.Equal(f.clock.now()) || got.Location() != time.UTC {
			t.Errorf("time %v", got)
		}
	}
	fails[types.NotAuthenticated](f, f.prop("", "ServiceInstance", "serverClock"))
	if c := get[types.Capability](f, f.prop(f.ann, "ServiceInstance", "capability")); c.ProvisioningSupported || c.MultiHostSupported {
		t.Errorf("capability: %+v", c)
	}
	if p := get[[]types.ProductComponentInfo](f, f.as("", "ServiceInstance", "RetrieveProductComponents", &types.RetrieveProductComponentsRequestType{})); p == nil || len(p) != 0 {
		t.Errorf("components: %#v", p)
	}
}

// Clients ask for all properties of a type that they know: one that is not
// served would be a fault.
func TestEveryPropertyThatClientsKnowIsServedInItsType(t *testing.T) {
	f := newFixture(t)
	for typ, known := range map[string]any{
		"ServiceInstance": mo.ServiceInstance{}, "Folder": mo.Folder{}, "AuthorizationManager": mo.AuthorizationManager{},
		"ExtensionManager": mo.ExtensionManager{}, "EventManager": mo.EventManager{}, "EventHistoryCollector": mo.EventHistoryCollector{},
		"UserDirectory": mo.UserDirectory{}, "HostLocalAccountManager": mo.HostLocalAccountManager{}, "OptionManager": mo.OptionManager{},
		"SessionManager": mo.SessionManager{},
	} {
		served := map[string]Property{}
		for _, p := range f.Object(typ).Properties {
			served[p.Name] = p
		}
		for name, member := range membersOf(reflect.TypeOf(known)) {
			p, there := served[name]
			if !there {
				// The one property of a folder that says what can't be known here.
				if name != "alarmActionsEnabled" {
					t.Errorf("%s.%s is not served", typ, name)
				}
				continue
			}
			if member.Kind() == reflect.Pointer {
				member = member.Elem()
			}
			if same := p.Type == member || name == "supportedOption" || p.Type.Kind() == reflect.Slice && member.Kind() == reflect.Slice; !same {
				t.Errorf("%s.%s is a %v, clients know a %v", typ, name, p.Type, member)
			}
			delete(served, name)
		}
		for name := range served {
			t.Errorf("no client knows %s.%s", typ, name)
		}
	}
}

func membersOf(t reflect.Type) map[string]reflect.Type {
	all := map[string]reflect.Type{}
	for f := range t.Fields() {
		switch name := f.Tag.Get("json"); {
		case f.Anonymous:
			for k, v := range membersOf(f.Type) {
				all[k] = v
			}
		case name != "self":
			all[name] = f.Type
		}
	}
	return all
}

func TestEveryPropertyCanBeReadAndNeedsWhatItsRowSays(t *testing.T) {
	f := newFixture(t)
	for _, o := range f.Objects() {
		if o.ID == "" {
			continue
		}
		for _, p := range o.Properties {
			r, fault := f.do(f.admin, o.Ref(), p.Name, nil)
			switch {
			case fault != nil:
				t.Errorf("%s.%s: %v", o.Type, p.Name, fault)
			case r.Value == nil && !p.Optional:
				t.Errorf("%s.%s is unset", o.Type, p.Name)
			case r.Value != nil && !reflect.TypeOf(r.Value).AssignableTo(p.Type) && !(p.Optional && reflect.TypeOf(r.Value).Elem() == p.Type):
				t.Errorf("%s.%s is a %T, its row says %v", o.Type, p.Name, r.Value, p.Type)
			}
			_, fault = f.do("", o.Ref(), p.Name, nil)
			if p.Privilege == Anonymous {
				if fault != nil {
					t.Errorf("%s.%s is for anybody: %v", o.Type, p.Name, fault)
				}
			} else if fault == nil || fault.Kind() != "NotAuthenticated" {
				t.Errorf("%s.%s without a session: %v", o.Type, p.Name, fault)
			}
		}
	}
}

func TestNoMethodThatNeedsASessionIsCalledWithoutOne(t *testing.T) {
	f := newFixture(t)
	for _, o := range f.Objects() {
		for i := range o.Methods {
			m := &o.Methods[i]
			if m.Privilege == Anonymous || o.ID == "" {
				continue
			}
			for _, token := range []string{"", "not a token", strings.Repeat("0", 40)} {
				if _, fault := f.do(token, o.Ref(), m.Name, m.NewArgs()); fault == nil || fault.Kind() != "NotAuthenticated" {
					t.Errorf("%s.%s without a session: %v", o.Type, m.Name, fault)
				}
			}
		}
	}
}

func TestNoMethodIsCalledWithoutItsPrivilege(t *testing.T) {
	f := newFixture(t)
	nobody := f.user("nobody")
	for _, o := range f.Objects() {
		for i := range o.Methods {
			m := &o.Methods[i]
			if slices.Contains([]string{Anonymous, View, "System.Read"}, m.Privilege) {
				continue
			}
			_, fault := f.do(nobody, o.Ref(), m.Name, m.NewArgs())
			if fault == nil || fault.Kind() != "NoPermission" {
				t.Errorf("%s.%s: %v", o.Type, m.Name, fault)
			}
		}
	}
}

// An empty request must be answered, well or with a fault, and never be a bug.
func TestNoMethodFailsInsideOnAnEmptyRequest(t *testing.T) {
	f := newFixture(t)
	for _, o := range f.Objects() {
		for i := range o.Methods {
			m := &o.Methods[i]
			if o.ID == "" || m.Name == "Logout" {
				continue
			}
			if _, fault := f.do(f.admin, o.Ref(), m.Name, m.NewArgs()); fault != nil && fault.Kind() == "SystemError" {
				t.Errorf("%s.%s: %v", o.Type, m.Name, fault)
			}
		}
	}
	// ResetEntityPermissions among them must not have locked all out.
	if !f.alive(f.admin) || len(f.Access.Permissions()) == 0 {
		t.Error("an empty request took the administrator's authority")
	}
}

func TestTheRootFolderIsEmptyAndCalledAsInVCenter(t *testing.T) {
	f := newFixture(t)
	if got := get[string](f, f.prop(f.ann, "Folder", "name")); got != "Datacenters" {
		t.Errorf("name %q", got)
	}
	if got := get[[]types.ManagedObjectReference](f, f.prop(f.ann, "Folder", "childEntity")); got == nil || len(got) != 0 {
		t.Errorf("children: %#v", got)
	}
	if a := f.prop(f.ann, "Folder", "parent"); a.fault != nil || a.value != nil {
		t.Errorf("parent: %+v", a)
	}
	if got := get[[]int32](f, f.prop(f.admin, "Folder", "effectiveRole")); !slices.Equal(got, []int32{-1}) {
		t.Errorf("roles of the administrator: %v", got)
	}
	if got := get[[]int32](f, f.prop(f.ann, "Folder", "effectiveRole")); !slices.Equal(got, []int32{-2}) {
		t.Errorf("roles of Ann: %v", got)
	}
	if got := get[[]types.Permission](f, f.prop(f.ann, "Folder", "permission")); len(got) != 2 || got[0].Principal != adminName {
		t.Errorf("permissions: %+v", got)
	}
}
