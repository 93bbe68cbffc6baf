package translation

import (
	"reflect"
	"strings"
	"testing"

	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

func TestTheTableHasEveryMethodAndPropertyOfTheAPI(t *testing.T) {
	void, lists, own, interfaces := 0, 0, 0, 0
	for name, r := range api().methods {
		args, ok := types.TypeFunc()(name)
		if !ok || args.Kind() != reflect.Struct {
			t.Errorf("the library has no request for %s", name)
		}
		if _, err := api().schema.Request(nil, nil, name); err != nil && !strings.Contains(err.Error(), "not given") {
			t.Errorf("%s: %v", name, err)
		}
		switch {
		case r.void:
			void++
		case r.value.List:
			lists++
		}
		if typ, ok := types.TypeFunc()("Base" + r.value.Name); ok && typ.Name() == r.value.Name && !r.value.List {
			interfaces++
		}
	}
	for _, m := range api().order {
		own += len(m.properties)
	}
	if len(api().methods) != 971 || void != 350 || lists != 152 || len(api().order) != 141 || own != 261 {
		t.Errorf("%d methods, %d without a result, %d with a list, %d types with %d properties",
			len(api().methods), void, lists, len(api().order), own)
	}
	if interfaces == 0 {
		t.Error("no method returns a value of a type with subtypes")
	}
}

// A few results of each kind, against the library's types.
func TestResultsAreOfTheLibrarysTypes(t *testing.T) {
	for name, body := range map[string]any{
		"Login": methods.LoginBody{}, "Logout": methods.LogoutBody{}, "QueryEvents": methods.QueryEventsBody{},
		"FindByUuid": methods.FindByUuidBody{}, "setCustomValue": methods.SetCustomValueBody{},
		"DownloadDescriptionTree": methods.DownloadDescriptionTreeBody{},
		"PlaceVmsXCluster":        methods.PlaceVmsXClusterBody{},
		"CurrentTime":             methods.CurrentTimeBody{}, "AcquireCloneTicket": methods.AcquireCloneTicketBody{},
		"QueryOptions": methods.QueryOptionsBody{}, "HasPrivilegeOnEntity": methods.HasPrivilegeOnEntityBody{},
	} {
		res, _ := reflect.TypeOf(body).FieldByName("Res")
		result, returns := res.Type.Elem().FieldByName("Returnval")
		r, ok := api().methods[name]
		if !ok || r.void == returns {
			t.Errorf("%s: %+v", name, r)
			continue
		}
		if returns {
			checkType(t, name, r, result.Type)
		}
	}
}

func checkType(t *testing.T, name string, r *row, want reflect.Type) {
	t.Helper()
	got := api().schema.GoType(r.value)
	if want.Kind() == reflect.Pointer {
		want = want.Elem()
	}
	if got == want {
		return
	}
	// A list or a value of an interface, which stands for a type and its subtypes.
	if want.Kind() == reflect.Slice && got.Kind() == reflect.Slice {
		got, want = got.Elem(), want.Elem()
	}
	if want.Kind() != reflect.Interface || !reflect.PointerTo(got).Implements(want) {
		t.Errorf("%s is a %v, want %v", name, got, want)
	}
}

func TestPropertiesAreOfTheLibrarysTypesAndInherited(t *testing.T) {
	for _, object := range []any{
		mo.VirtualMachine{}, mo.ClusterComputeResource{}, mo.HostSystem{}, mo.Folder{}, mo.Datastore{}, mo.Task{},
		mo.VmwareDistributedVirtualSwitch{}, mo.SessionManager{}, mo.ServiceInstance{}, mo.TransitGateway{},
	} {
		typ := reflect.TypeOf(object)
		m, ok := api().types[typ.Name()]
		if !ok {
			t.Errorf("no type %s", typ.Name())
			continue
		}
		for _, f := range reflect.VisibleFields(typ) {
			name := f.Tag.Get("json")
			if f.Anonymous || name == "self" {
				continue
			}
			if p, ok := m.property(name); !ok {
				t.Errorf("%s has no %s", typ.Name(), name)
			} else {
				checkType(t, typ.Name()+"."+name, p, f.Type)
			}
		}
	}
}

func TestADamagedTableIsRefused(t *testing.T) {
	for _, text := range []string{"\tname string\n", "A B\n", "A\n\tname nonsense\n", "A\n\tDo() []Nonsense\n"} {
		if _, err := parseTable(text); err == nil {
			t.Errorf("%q is read", text)
		}
	}
}
