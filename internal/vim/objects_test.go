package vim_test

import (
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"weak"

	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/budget"
	"github.com/vigate/vigate/internal/vim"
	"github.com/vigate/vigate/internal/vim/vimtest"
)

// Clients ask for all properties of a type that they know. They would get a fault for one that is not
// served.
func TestEveryPropertyThatClientsKnowIsServedInItsType(t *testing.T) {
	f := newFixture(t)
	for typ, known := range map[string]any{
		"ServiceInstance": mo.ServiceInstance{}, "Folder": mo.Folder{},
		"AuthorizationManager": mo.AuthorizationManager{},
		"ExtensionManager":     mo.ExtensionManager{}, "EventManager": mo.EventManager{},
		"EventHistoryCollector": mo.EventHistoryCollector{},
		"UserDirectory":         mo.UserDirectory{}, "HostLocalAccountManager": mo.HostLocalAccountManager{},
		"OptionManager":  mo.OptionManager{},
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
			if same := p.Type == member || name == "supportedOption" || p.Type.Kind() == reflect.Slice &&
				member.Kind() == reflect.Slice; !same {
				t.Errorf("%s.%s is a %v, clients know a %v", typ, name, p.Type, member)
			}
			delete(served, name)
		}
		for name := range served {
			if typ+"."+name != "EventHistoryCollector.initialized" { // new in 8.0.3; the library's types don't have it
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
			case r.Value != nil && !reflect.TypeOf(r.Value).AssignableTo(p.Type) &&
				!(p.Optional && reflect.TypeOf(r.Value).Elem() == p.Type):
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
				if _, fault := f.Send(token, o.Ref(), m.Name, m.NewArgs()); fault == nil ||
					fault.Kind() != "NotAuthenticated" {
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

// An empty request must succeed or fail with a fault of the API. A SystemError would be a bug.
func TestNoMethodFailsInsideOnAnEmptyRequest(t *testing.T) {
	f := newFixture(t)
	for _, o := range f.Objects() {
		for i := range o.Methods {
			m := &o.Methods[i]
			if o.ID == "" || m.Name == "Logout" {
				continue
			}
			if _, fault := f.Send(f.Admin, o.Ref(), m.Name, m.NewArgs()); fault != nil &&
				fault.Kind() == "SystemError" {
				t.Errorf("%s.%s: %v", o.Type, m.Name, fault)
			}
		}
	}
	// One of the methods is ResetEntityPermissions, which must not lock out all users.
	if !f.Alive(f.Admin) || len(f.Access.Permissions()) == 0 {
		t.Error("an empty request took the administrator's authority")
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
		{folder, "noSuch", "InvalidProperty"}, {types.ManagedObjectReference{Type: "HostSystem", Value: "host-1"},
			"name", "InvalidType"},
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
	if _, fault := f.Method(types.ManagedObjectReference{Type: "HostSystem"}, "Reload"); fault == nil ||
		fault.Kind() != "InvalidType" {
		t.Errorf("type: %v", fault)
	}
}

func TestNothingIsLeftOfTheObjectsOfASessionThatIsOver(t *testing.T) {
	f := newFixture(t)
	for range 3 {
		vimtest.Get[types.ManagedObjectReference](f.As(f.Ann, "EventManager", "CreateCollectorForEvents",
			&types.CreateCollectorForEventsRequestType{}))
	}
	if held, sessions := f.Ledger(); held[budget.Objects] != 3 || sessions != 1 {
		t.Fatalf("%v of %d sessions", held, sessions)
	}
	l := f.Session(f.Ann)
	state := new([1 << 10]byte)
	watched := weak.Make(state)
	ref, err := f.NewInstance(l, "EventHistoryCollector", state, 0)
	f.Must(err)
	if f.Instance(l, ref) != state {
		t.Error("the object has another state")
	}
	state = nil
	vimtest.OK(f.As(f.Ann, "SessionManager", "Logout", &types.LogoutRequestType{}))
	if held, sessions := f.Ledger(); held != (budget.Amounts{}) || sessions != 0 {
		t.Errorf("%v of %d sessions is left", held, sessions)
	}
	if runtime.GC(); watched.Value() != nil || f.Instance(l, ref) != nil {
		t.Error("an object is left")
	}
}
