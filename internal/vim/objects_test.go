package vim_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/vim"
	"github.com/vigate/vigate/internal/vim/vimtest"
)

func TestServiceContentListsWhatIsServedAndNothingElse(t *testing.T) {
	f := newFixture(t)
	c := vimtest.Get[types.ServiceContent](f.Prop("", "ServiceInstance", "content"))
	if again := vimtest.Get[types.ServiceContent](f.As("", "ServiceInstance", "RetrieveServiceContent", &types.RetrieveServiceContentRequestType{})); !reflect.DeepEqual(c, again) {
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
	f.Must(f.Add(&vim.Object{Type: "PropertyCollector", ID: "propertyCollector"}))
	f.Must(f.Add(&vim.Object{Type: "ViewManager", ID: "ViewManager"}))
	c := vimtest.Get[types.ServiceContent](f.Prop("", "ServiceInstance", "content"))
	if c.PropertyCollector.Value != "propertyCollector" || c.ViewManager == nil || c.ViewManager.Value != "ViewManager" {
		t.Errorf("content: %+v", c)
	}
}

func TestTheTimeIsForThoseWithASession(t *testing.T) {
	f := newFixture(t)
	f.Needs(vim.View, "ServiceInstance", "CurrentTime", &types.CurrentTimeRequestType{})
	f.Pass(time.Minute)
	for _, a := range []vimtest.Answer{
		f.As(f.Ann, "ServiceInstance", "CurrentTime", &types.CurrentTimeRequestType{}),
		f.Prop(f.Ann, "ServiceInstance", "serverClock"),
	} {
		if got := vimtest.Get[time.Time](a); !got.Equal(f.Now()) || got.Location() != time.UTC {
			t.Errorf("time %v", got)
		}
	}
	vimtest.Fails[types.NotAuthenticated](f.Prop("", "ServiceInstance", "serverClock"))
	if c := vimtest.Get[types.Capability](f.Prop(f.Ann, "ServiceInstance", "capability")); c.ProvisioningSupported || c.MultiHostSupported {
		t.Errorf("capability: %+v", c)
	}
	if p := vimtest.Get[[]types.ProductComponentInfo](f.As("", "ServiceInstance", "RetrieveProductComponents", &types.RetrieveProductComponentsRequestType{})); p == nil || len(p) != 0 {
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
		served := map[string]vim.Property{}
		for _, p := range f.Object(typ).Properties {
			served[p.Name] = p
		}
		for name, member := range membersOf(reflect.TypeOf(known)) {
			p, there := served[name]
			if !there {
				t.Errorf("%s.%s is not served", typ, name)
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
			if typ+"."+name != "EventHistoryCollector.initialized" { // of 8.0.3, which the library's types don't have
				t.Errorf("no client knows %s.%s", typ, name)
			}
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
			r, fault := f.Send(f.Admin, o.Ref(), p.Name, nil)
			switch {
			case fault != nil:
				t.Errorf("%s.%s: %v", o.Type, p.Name, fault)
			case r.Value == nil && !p.Optional:
				t.Errorf("%s.%s is unset", o.Type, p.Name)
			case r.Value != nil && !reflect.TypeOf(r.Value).AssignableTo(p.Type) && !(p.Optional && reflect.TypeOf(r.Value).Elem() == p.Type):
				t.Errorf("%s.%s is a %T, its row says %v", o.Type, p.Name, r.Value, p.Type)
			}
			_, fault = f.Send("", o.Ref(), p.Name, nil)
			if p.Privilege == vim.Anonymous {
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
			if m.Privilege == vim.Anonymous || o.ID == "" {
				continue
			}
			for _, token := range []string{"", "not a token", strings.Repeat("0", 40)} {
				if _, fault := f.Send(token, o.Ref(), m.Name, m.NewArgs()); fault == nil || fault.Kind() != "NotAuthenticated" {
					t.Errorf("%s.%s without a session: %v", o.Type, m.Name, fault)
				}
			}
		}
	}
}

func TestNoMethodIsCalledWithoutItsPrivilege(t *testing.T) {
	f := newFixture(t)
	nobody := f.User("nobody")
	for _, o := range f.Objects() {
		for i := range o.Methods {
			m := &o.Methods[i]
			if slices.Contains([]access.Privilege{vim.Anonymous, vim.View, vim.Read}, m.Privilege) {
				continue
			}
			_, fault := f.Send(nobody, o.Ref(), m.Name, m.NewArgs())
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
			if _, fault := f.Send(f.Admin, o.Ref(), m.Name, m.NewArgs()); fault != nil && fault.Kind() == "SystemError" {
				t.Errorf("%s.%s: %v", o.Type, m.Name, fault)
			}
		}
	}
	// ResetEntityPermissions among them must not have locked all out.
	if !f.Alive(f.Admin) || len(f.Access.Permissions()) == 0 {
		t.Error("an empty request took the administrator's authority")
	}
}

func TestTheRootFolderIsEmptyAndCalledAsInVCenter(t *testing.T) {
	f := newFixture(t)
	if got := vimtest.Get[string](f.Prop(f.Ann, "Folder", "name")); got != "Datacenters" {
		t.Errorf("name %q", got)
	}
	if got := vimtest.Get[[]types.ManagedObjectReference](f.Prop(f.Ann, "Folder", "childEntity")); got == nil || len(got) != 0 {
		t.Errorf("children: %#v", got)
	}
	if a := f.Prop(f.Ann, "Folder", "parent"); a.Fault != nil || a.Value != nil {
		t.Errorf("parent: %+v", a)
	}
	if got := vimtest.Get[[]int32](f.Prop(f.Admin, "Folder", "effectiveRole")); !slices.Equal(got, []int32{-1}) {
		t.Errorf("roles of the administrator: %v", got)
	}
	if got := vimtest.Get[[]int32](f.Prop(f.Ann, "Folder", "effectiveRole")); !slices.Equal(got, []int32{-2}) {
		t.Errorf("roles of Ann: %v", got)
	}
	if got := vimtest.Get[[]types.Permission](f.Prop(f.Ann, "Folder", "permission")); len(got) != 2 || got[0].Principal != vimtest.AdminName {
		t.Errorf("permissions: %+v", got)
	}
}

func TestWhatIsNotServedHasItsOwnFault(t *testing.T) {
	f := newFixture(t)
	folder := f.Ref("Folder")
	for _, c := range []struct {
		on   types.ManagedObjectReference
		name string
		want string
	}{
		{folder, "noSuch", "InvalidProperty"}, {types.ManagedObjectReference{Type: "HostSystem", Value: "host-1"}, "name", "InvalidType"},
		{types.ManagedObjectReference{Type: "Folder", Value: "group-d2"}, "name", "ManagedObjectNotFound"},
		{types.ManagedObjectReference{Type: "EventHistoryCollector"}, "filter", "ManagedObjectNotFound"},
	} {
		_, fault := f.Send(f.Admin, c.on, c.name, nil)
		if fault == nil || fault.Kind() != c.want || strings.HasPrefix(fault.Text("en"), "fault.") {
			t.Errorf("%v.%s: %v", c.on, c.name, fault)
		}
	}
	if _, fault := f.Method(folder, "CreateFolder"); fault == nil || fault.Kind() != "MethodNotFound" {
		t.Errorf("method: %v", fault)
	}
	if _, fault := f.Method(types.ManagedObjectReference{Type: "HostSystem"}, "Reload"); fault == nil || fault.Kind() != "InvalidType" {
		t.Errorf("type: %v", fault)
	}
}

func TestNothingIsLeftOfTheObjectsOfASessionThatIsOver(t *testing.T) {
	f := newFixture(t)
	for range 3 {
		vimtest.Get[types.ManagedObjectReference](f.As(f.Ann, "EventManager", "CreateCollectorForEvents", &types.CreateCollectorForEventsRequestType{}))
	}
	if objects, sessions := f.Owned(); objects != 3 || sessions != 1 {
		t.Fatalf("%d objects of %d sessions", objects, sessions)
	}
	vimtest.OK(f.As(f.Ann, "SessionManager", "Logout", &types.LogoutRequestType{}))
	if objects, sessions := f.Owned(); objects+sessions != 0 {
		t.Errorf("%d objects of %d sessions are left", objects, sessions)
	}
}
