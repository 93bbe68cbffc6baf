package translation_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/vmware/govmomi/event"
	"github.com/vmware/govmomi/find"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/performance"
	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/task"
	"github.com/vmware/govmomi/view"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

func login(ctx context.Context, t testing.TB, c *vim25.Client) {
	t.Helper()
	_, err := methods.Login(ctx, c, &types.Login{This: *c.ServiceContent.SessionManager, UserName: "user",
		Password: "pass"})
	if err != nil {
		t.Fatalf("log in: %v", err)
	}
}

// everything reads all properties of all objects of the inventory.
func everything(ctx context.Context, t *testing.T, c *vim25.Client) map[string]any {
	t.Helper()
	v, err := view.NewManager(c).CreateContainerView(ctx, c.ServiceContent.RootFolder, nil, true)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := v.Destroy(ctx); err != nil {
			t.Error(err)
		}
	}()
	var all []types.ObjectContent
	if err := v.Retrieve(ctx, nil, nil, &all); err != nil {
		t.Fatal(err)
	}
	found := map[string]any{}
	for _, o := range all {
		for _, p := range o.PropSet {
			found[o.Obj.String()+" "+p.Name] = p.Val
		}
	}
	return found
}

func TestEveryPropertyOfASimulatedInventoryIsTheSameOverJSONAsOverSOAP(t *testing.T) {
	for name, model := range map[string]*simulator.Model{"vCenter": simulator.VPX(), "ESXi": simulator.ESX()} {
		t.Run(name, func(t *testing.T) {
			ctx := context.Background()
			direct, translated, h := simulated(t, model)
			want, got := everything(ctx, t, direct), everything(ctx, t, translated)
			if len(want) < 100 {
				t.Fatalf("%d properties", len(want))
			}
			for name, value := range want {
				if a, b := texted(t, got[name]), texted(t, value); a != b {
					t.Errorf("%s is %.1000s\nwant %.1000s", name, a, b)
				}
				end := strings.LastIndexByte(name, ' ')
				typ, id, _ := strings.Cut(name[:end], ":")
				w := send(h, "GET", base+typ+"/"+url.PathEscape(id)+"/"+name[end+1:], "")
				if w.Code == 204 && reflect.ValueOf(value).IsZero() {
					continue
				}
				checkRead(t, name, w.Code, w.Body.String(), value)
			}
			for name := range got {
				if _, ok := want[name]; !ok {
					t.Errorf("%s is only there over JSON", name)
				}
			}
		})
	}
}

// texted returns a value as the library writes it, in which empty lists are the same as missing ones, and
// times have at most six digits of fraction.
func texted(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return nanoseconds.ReplaceAllStringFunc(strings.ReplaceAll(string(b), ":null", ":[]"), func(s string) string {
		return strings.TrimRight(strings.TrimRight(s[:7], "0"), ".") + "Z"
	})
}

// nanoseconds are the fractions of times that are finer than what JSON gets.
var nanoseconds = regexp.MustCompile(`\.\d{7,9}Z`)

// checkRead checks the response to the read of a property whose value is known.
func checkRead(t *testing.T, name string, status int, body string, value any) {
	t.Helper()
	typ := reflect.TypeOf(value)
	// A list is in a box of its own in SOAP.
	if strings.HasPrefix(typ.Name(), "ArrayOf") {
		value = reflect.ValueOf(value).Field(0).Interface()
		typ = reflect.TypeOf(value)
	}
	read := reflect.New(typ)
	err := types.NewJSONDecoder(strings.NewReader(body)).Decode(read.Interface())
	if status != 200 || err != nil {
		t.Errorf("GET of %s: %d %v %.500s", name, status, err, body)
		return
	}
	if a, b := texted(t, read.Elem().Interface()), texted(t, value); a != b && !(a == "[]" && b == "null") {
		t.Errorf("GET of %s is %.1000s\nwant %.1000s", name, a, b)
	}
}

func TestClientsWorkWithASimulatedVCenterOverJSON(t *testing.T) {
	ctx := context.Background()
	_, c, _ := simulated(t, simulator.VPX())
	finder := find.NewFinder(c)
	dc, err := finder.DefaultDatacenter(ctx)
	if err != nil {
		t.Fatal(err)
	}
	finder.SetDatacenter(dc)
	vms, err := finder.VirtualMachineList(ctx, "*")
	if err != nil || len(vms) == 0 {
		t.Fatalf("%v %v", vms, err)
	}
	must := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	wait := func(what string, tk *object.Task, err error) *types.TaskInfo {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		info, err := tk.WaitForResult(ctx)
		must(what, err)
		return info
	}
	vm := vms[0]
	tk, err := vm.PowerOff(ctx)
	wait("power off", tk, err)
	tk, err = vm.PowerOff(ctx)
	if err == nil {
		_, err = tk.WaitForResult(ctx)
	}
	failed, ok := errors.AsType[task.Error](err)
	if !ok {
		t.Errorf("a second power off: %v", err)
	} else if _, is := failed.Fault().(*types.InvalidPowerState); !is {
		t.Errorf("a second power off: %T", failed.Fault())
	}
	tk, err = vm.Reconfigure(ctx, types.VirtualMachineConfigSpec{
		Annotation: "größe <&>", MemoryMB: 64,
		ExtraConfig: []types.BaseOptionValue{&types.OptionValue{Key: "guestinfo.x", Value: "y"}},
	})
	wait("reconfigure", tk, err)
	var p mo.VirtualMachine
	must("read", vm.Properties(ctx, vm.Reference(), []string{"config", "runtime.powerState"}, &p))
	if p.Config == nil || p.Config.Annotation != "größe <&>" || p.Runtime.PowerState != "poweredOff" {
		t.Errorf("%+v", p.Config)
	}
	folders, err := dc.Folders(ctx)
	must("folders", err)
	folder, err := folders.VmFolder.CreateFolder(ctx, "a%2fb & c")
	must("create folder", err)
	pool, err := vm.ResourcePool(ctx)
	must("pool", err)
	tk, err = vm.Clone(ctx, folder, "copy", types.VirtualMachineCloneSpec{
		Location: types.VirtualMachineRelocateSpec{Pool: types.NewReference(pool.Reference())}})
	info := wait("clone", tk, err)
	if ref, ok := info.Result.(types.ManagedObjectReference); !ok || ref.Type != "VirtualMachine" {
		t.Errorf("the result of a clone is %#v", info.Result)
	} else {
		tk, err = object.NewVirtualMachine(c, ref).Destroy(ctx)
		wait("destroy", tk, err)
	}
	tk, err = vm.CreateSnapshot(ctx, "first", "", false, false)
	wait("snapshot", tk, err)
	snapshot, err := vm.FindSnapshot(ctx, "first")
	if err != nil || snapshot == nil {
		t.Errorf("find snapshot: %v %v", snapshot, err)
	}
	devices, err := vm.Device(ctx)
	if err != nil || len(devices.SelectByType((*types.VirtualEthernetCard)(nil))) == 0 {
		t.Errorf("devices: %v %v", devices, err)
	}
	found, err := object.NewSearchIndex(c).FindByInventoryPath(ctx, vm.InventoryPath)
	if err != nil || found == nil || found.Reference() != vm.Reference() {
		t.Errorf("find: %v %v", found, err)
	}
	if none, err := object.NewSearchIndex(c).FindByInventoryPath(ctx, "/nothing"); none != nil || err != nil {
		t.Errorf("find nothing: %v %v", none, err)
	}
	checkMore(ctx, t, c, vm.Reference())
}

// checkMore makes the calls whose values are unusual: events, counters, tags, waits and faults.
func checkMore(ctx context.Context, t *testing.T, c *vim25.Client, vm types.ManagedObjectReference) {
	t.Helper()
	events, err := event.NewManager(c).QueryEvents(ctx, types.EventFilterSpec{})
	if err != nil || len(events) < 5 {
		t.Errorf("events: %d %v", len(events), err)
	}
	counters, err := performance.NewManager(c).CounterInfoByName(ctx)
	if err != nil || len(counters) < 50 {
		t.Errorf("counters: %d %v", len(counters), err)
	}
	fields, err := object.GetCustomFieldsManager(c)
	if err != nil {
		t.Fatal(err)
	}
	def, err := fields.Add(ctx, "colour", "VirtualMachine", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := fields.Set(ctx, vm, def.Key, "red"); err != nil {
		t.Errorf("set a field: %v", err)
	}
	changed := false
	err = property.Wait(ctx, property.DefaultCollector(c), vm, []string{"customValue"},
		func(changes []types.PropertyChange) bool {
			changed = len(changes) == 1 && changes[0].Name == "customValue"
			return true
		})
	if err != nil || !changed {
		t.Errorf("wait: %v %v", changed, err)
	}
	now, err := methods.GetCurrentTime(ctx, c)
	if err != nil || now.IsZero() {
		t.Errorf("time: %v %v", now, err)
	}
	none := types.ManagedObjectReference{Type: "VirtualMachine", Value: "vm-none"}
	_, err = methods.PowerOnVM_Task(ctx, c, &types.PowerOnVM_Task{This: none})
	if err == nil || !strings.Contains(err.Error(), "vm-none") {
		t.Errorf("a call to nothing: %v", err)
	}
}
