package gateway_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/vmware/govmomi/find"
	"github.com/vmware/govmomi/nfc"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/gateway"
	"github.com/vigate/vigate/internal/session"
	"github.com/vigate/vigate/internal/upstream"
	"github.com/vigate/vigate/internal/vim"
)

func TestALeaseBelongsToTheClientThatImports(t *testing.T) {
	d := newDouble(t)
	s := stage(t, d, "")
	a, b := s.login(1), s.login(2)
	pool, err := find.NewFinder(a.Client.Client).ResourcePool(s.ctx(), "/DC0/host/DC0_H0/Resources")
	s.must(err)
	disk := &types.VirtualDisk{CapacityInKB: 1024, VirtualDevice: types.VirtualDevice{
		ControllerKey: 100, UnitNumber: new(int32(0)),
		Backing: &types.VirtualDiskFlatVer2BackingInfo{
			DiskMode: "persistent", VirtualDeviceFileBackingInfo: types.VirtualDeviceFileBackingInfo{
				FileName: "[LocalDS_0]",
			},
		},
	}}
	controller := &types.VirtualLsiLogicController{VirtualSCSIController: types.VirtualSCSIController{
		VirtualController: types.VirtualController{VirtualDevice: types.VirtualDevice{Key: 100}},
	}}
	r, err := methods.ImportVApp(s.ctx(), a.Client, &types.ImportVApp{
		This: pool.Reference(), Spec: &types.VirtualMachineImportSpec{ConfigSpec: types.VirtualMachineConfigSpec{
			Name: "imported", GuestId: "otherGuest",
			Files: &types.VirtualMachineFileInfo{VmPathName: "[LocalDS_0]"},
			DeviceChange: []types.BaseVirtualDeviceConfigSpec{
				&types.VirtualDeviceConfigSpec{Operation: "add", Device: controller},
				&types.VirtualDeviceConfigSpec{Operation: "add", FileOperation: "create", Device: disk},
			},
		}},
	})
	s.must(err)
	lease := nfc.NewLease(a.Client.Client, r.Returnval)
	id := lease.Reference().Value
	if !strings.HasPrefix(id, "session["+a.key+"]") {
		t.Fatalf("the lease is %s", id)
	}
	info, err := lease.Wait(s.ctx(), nil)
	s.must(err)
	if info.Lease != lease.Reference() || len(info.DeviceUrl) == 0 {
		t.Errorf("the lease says %+v", info)
	}
	for _, device := range info.DeviceUrl {
		u, err := url.Parse(device.Url)
		if err != nil || !strings.Contains(u.Path, id) {
			t.Errorf("the URL %s is not that of the lease %s", device.Url, id)
		}
	}
	err = nfc.NewLease(b.Client.Client, lease.Reference()).Abort(s.ctx(), nil)
	if !isFault[types.ManagedObjectNotFound](err) {
		t.Errorf("another one ends the lease: %v", err)
	}
	s.must(lease.Complete(s.ctx()))
	_, err = methods.DestroyPropertyCollector(s.ctx(), a.Client, &types.DestroyPropertyCollector{
		This: a.ServiceContent.PropertyCollector,
	})
	s.must(err)
	s.eventually("nothing is left", func() bool { return s.owned() == 0 })
}

func TestInModePrivateEachClientHasASessionOfItsOwn(t *testing.T) {
	d := newDouble(t)
	s := stage(t, d, "    mode: private\n    max-sessions: 3\n")
	a, b := s.login(1), s.login(2)
	for range 3 {
		s.must(a.read(0))
		s.must(b.read(1))
	}
	if n := d.count("Login"); n != 2 {
		t.Errorf("%d sessions at the upstream for two clients", n)
	}
	_, err := a.names()
	s.must(err)
	s.must(a.Logout(s.ctx()))
	s.eventually("its session ends", func() bool { return d.count("Logout") == 1 })
	s.must(b.read(0))
	if n := d.count("Login"); n != 2 {
		t.Errorf("%d logins", n)
	}
}

func TestWithoutAnAccountNothingIsPassedOn(t *testing.T) {
	d := newDouble(t)
	s := stage(t, d, "", func(o *gateway.Options) {
		o.Choose = func(*session.Live) (*upstream.Account, error) {
			return nil, vim.NoPermission(vim.RootFolder(), errors.New("nobody's account"), vim.View)
		}
	})
	c := s.login(1)
	before := d.total()
	var me mo.Folder
	err := property.DefaultCollector(c.Client.Client).RetrieveOne(s.ctx(), c.ServiceContent.RootFolder,
		[]string{"name"}, &me)
	if !isFault[types.NoPermission](err) || d.total() != before {
		t.Errorf("got %v, and the upstream was asked %d times", err, d.total()-before)
	}
}

func TestAnAccountMayBeUsedForItsMethodsOnly(t *testing.T) {
	d := newDouble(t)
	s := stage(t, d, "        methods: [\"Retrieve*\", \"Find*\"]\n")
	c := s.login(1)
	vm := object.NewVirtualMachine(c.Client.Client, c.machine("DC0_H0_VM0"))
	if name, err := vm.ObjectName(s.ctx()); err != nil || name != "DC0_H0_VM0" {
		t.Errorf("a read: %q, %v", name, err)
	}
	before := d.total()
	if _, err := vm.PowerOff(s.ctx()); !isFault[types.NoPermission](err) || d.total() != before {
		t.Errorf("a change: %v", err)
	}
	status, answer := c.post(envelope(`<Fetch xmlns="urn:vim25"><_this type="Folder">` +
		c.ServiceContent.RootFolder.Value + `</_this><prop>name</prop></Fetch>`))
	if status != http.StatusOK || !strings.Contains(answer, ">Datacenters<") {
		t.Errorf("Fetch: %d %s", status, answer)
	}
}

func TestAChangeHasTheSameOperationIDInBothLogs(t *testing.T) {
	d := newDouble(t)
	s := stage(t, d, "")
	c := s.login(1)
	vm := object.NewVirtualMachine(c.Client.Client, c.machine("DC0_H0_VM0"))
	_, err := vm.PowerOff(s.ctx())
	s.must(err)
	body := d.last("PowerOffVM_Task").body
	_, sent, ok := strings.Cut(body, "operationID")
	_, sent, _ = strings.Cut(sent, ">")
	sent, _, _ = strings.Cut(sent, "<")
	if !ok || sent == "" || !strings.Contains(s.log.String(), "operationID="+sent) {
		t.Errorf("the upstream got %s", body)
	}
}

func TestAMarkAndOtherEncodings(t *testing.T) {
	d := newDouble(t)
	s := stage(t, d, "")
	c := s.login(1)
	time := envelope(`<CurrentTime xmlns="urn:vim25"><_this type="ServiceInstance">ServiceInstance</_this>` +
		`</CurrentTime>`)
	if status, answer := c.post("\xef\xbb\xbf" + time); status != http.StatusOK {
		t.Errorf("with a mark: %d %s", status, answer)
	}
	before := d.total()
	for _, bad := range []string{
		"", "<a/>", "\xff\xfe" + time, strings.Replace(time, "UTF-8", "UTF-7", 1), time + time,
	} {
		if status, answer := c.post(bad); status != http.StatusInternalServerError ||
			!strings.Contains(answer, "InvalidRequest") {
			t.Errorf("%.20q: %d %s", bad, status, answer)
		}
	}
	if d.total() != before {
		t.Error("the upstream was asked")
	}
}
