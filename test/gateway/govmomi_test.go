package gateway

import (
	"bytes"
	"errors"
	"io"
	"net/url"
	"path"
	"path/filepath"
	"slices"
	"testing"

	"github.com/vmware/govmomi"
	"github.com/vmware/govmomi/event"
	"github.com/vmware/govmomi/find"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/ovf/importer"
	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/task"
	"github.com/vmware/govmomi/view"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// through runs a test with a client of a front, for both kinds of servers.
func through(t *testing.T, f func(t *testing.T, c *govmomi.Client)) {
	t.Helper()
	t.Parallel()
	for _, kind := range both {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			at := front(t, kind)
			c, err := connect(t.Context(), "https://"+at.Host, url.UserPassword(at.User, at.Password), nil)
			must(t, err)
			f(t, c)
		})
	}
}

// machines returns the virtual machines of the only datacenter.
func machines(t *testing.T, c *govmomi.Client) []*object.VirtualMachine {
	t.Helper()
	finder := find.NewFinder(c.Client)
	dc, err := finder.DefaultDatacenter(t.Context())
	must(t, err)
	all, err := finder.SetDatacenter(dc).VirtualMachineList(t.Context(), "*")
	must(t, err)
	return all
}

func TestGovmomiReadsAndWaitsForProperties(t *testing.T) {
	through(t, func(t *testing.T, c *govmomi.Client) {
		pc := property.DefaultCollector(c.Client)
		all := machines(t, c)
		var refs []types.ManagedObjectReference
		for _, vm := range all {
			refs = append(refs, vm.Reference())
		}
		var read []mo.VirtualMachine
		must(t, pc.Retrieve(t.Context(), refs, []string{"name", "config.hardware.device"}, &read))
		for i, vm := range read {
			if vm.Name != all[i].Name() || len(vm.Config.Hardware.Device) == 0 {
				t.Errorf("%s: got %q with %d devices", all[i].Name(), vm.Name, len(vm.Config.Hardware.Device))
			}
		}
		read = nil
		match := property.Match{"name": all[1].Name()}
		must(t, pc.RetrieveWithFilter(t.Context(), refs, []string{"name"}, &read, match))
		if len(read) != 1 || read[0].Self != all[1].Reference() {
			t.Errorf("with a filter: %+v", read)
		}
		var states []types.VirtualMachinePowerState
		must(t, property.Wait(t.Context(), pc, refs[0], []string{"runtime.powerState"},
			func(changes []types.PropertyChange) bool {
				states = append(states, changes[0].Val.(types.VirtualMachinePowerState))
				if len(states) == 1 {
					off, err := all[0].PowerOff(t.Context())
					must(t, err)
					must(t, off.Wait(t.Context()))
				}
				return len(states) == 2
			}))
		if !slices.Equal(states, []types.VirtualMachinePowerState{"poweredOn", "poweredOff"}) {
			t.Errorf("states: %v", states)
		}
	})
}

func TestGovmomiUsesViews(t *testing.T) {
	through(t, func(t *testing.T, c *govmomi.Client) {
		all := machines(t, c)
		m := view.NewManager(c.Client)
		v, err := m.CreateContainerView(t.Context(), c.ServiceContent.RootFolder, []string{"VirtualMachine"}, true)
		must(t, err)
		var read []mo.VirtualMachine
		must(t, v.Retrieve(t.Context(), []string{"VirtualMachine"}, []string{"name"}, &read))
		found, err := v.Find(t.Context(), []string{"VirtualMachine"}, property.Match{"name": all[0].Name()})
		must(t, err)
		if len(read) != len(all) || len(found) != 1 || found[0] != all[0].Reference() {
			t.Errorf("a container view has %d machines, and finds %v", len(read), found)
		}
		list, err := m.CreateListView(t.Context(), nil)
		must(t, err)
		left, err := list.Add(t.Context(), []types.ManagedObjectReference{all[0].Reference(), all[1].Reference()})
		must(t, err)
		if len(left) != 0 {
			t.Errorf("not added: %v", left)
		}
		_, err = list.Remove(t.Context(), []types.ManagedObjectReference{all[0].Reference()})
		must(t, err)
		var content mo.ListView
		pc := property.DefaultCollector(c.Client)
		must(t, pc.RetrieveOne(t.Context(), list.Reference(), []string{"view"}, &content))
		if !slices.Equal(content.View, []types.ManagedObjectReference{all[1].Reference()}) {
			t.Errorf("a list view has %v", content.View)
		}
		must(t, list.Destroy(t.Context()))
		must(t, v.Destroy(t.Context()))
		_, err = v.Find(t.Context(), []string{"VirtualMachine"}, property.Match{"name": "*"})
		if !isFault[types.ManagedObjectNotFound](err) {
			t.Errorf("a destroyed view: %v", err)
		}
	})
}

func TestGovmomiReadsEventsAndTasks(t *testing.T) {
	through(t, func(t *testing.T, c *govmomi.Client) {
		vm := machines(t, c)[0]
		off, err := vm.PowerOff(t.Context())
		must(t, err)
		info, err := off.WaitForResult(t.Context())
		must(t, err)
		if info.State != types.TaskInfoStateSuccess || *info.Entity != vm.Reference() {
			t.Errorf("the task: %+v", info)
		}
		again, err := vm.PowerOff(t.Context())
		must(t, err)
		_, err = again.WaitForResult(t.Context())
		var failed task.Error
		if !errors.As(err, &failed) {
			t.Errorf("off again: %v", err)
		} else if _, is := failed.Fault().(*types.InvalidPowerState); !is {
			t.Errorf("off again: %T", failed.Fault())
		}
		m := event.NewManager(c.Client)
		var seen []types.BaseEvent
		must(t, m.Events(t.Context(), []types.ManagedObjectReference{vm.Reference()}, 10, false, false,
			func(_ types.ManagedObjectReference, page []types.BaseEvent) error {
				seen = append(seen, page...)
				return nil
			}))
		if !slices.ContainsFunc(seen, func(e types.BaseEvent) bool {
			_, is := e.(*types.VmPoweredOffEvent)
			return is
		}) {
			t.Errorf("no event of it among %d", len(seen))
		}
		category, err := m.EventCategory(t.Context(), seen[0])
		if err != nil || category == "" {
			t.Errorf("category %q, %v", category, err)
		}
		h, err := m.CreateCollectorForEvents(t.Context(), types.EventFilterSpec{})
		must(t, err)
		must(t, h.SetPageSize(t.Context(), 3))
		page, err := h.LatestPage(t.Context())
		if err != nil || len(page) != 3 {
			t.Errorf("a page has %d events, %v", len(page), err)
		}
		must(t, h.Destroy(t.Context()))
		if !c.IsVC() {
			return // the simulator's host has no collectors of tasks
		}
		tasks, err := task.NewManager(c.Client).CreateCollectorForTasks(t.Context(), types.TaskFilterSpec{
			Entity: &types.TaskFilterSpecByEntity{
				Entity: vm.Reference(), Recursion: types.TaskFilterSpecRecursionOptionSelf,
			},
		})
		must(t, err)
		made, err := tasks.LatestPage(t.Context())
		if err != nil || !slices.ContainsFunc(made, func(i types.TaskInfo) bool { return i.Key == info.Key }) {
			t.Errorf("the tasks of %s: %+v, %v", vm, made, err)
		}
		must(t, tasks.Destroy(t.Context()))
	})
}

func TestGovmomiImportsAndExportsAMachine(t *testing.T) {
	through(t, func(t *testing.T, c *govmomi.Client) {
		vm, store := imported(t, c)
		made, err := vm.CreateSnapshot(t.Context(), "base", "", false, false)
		must(t, err)
		must(t, made.Wait(t.Context()))
		snapshot, err := vm.FindSnapshot(t.Context(), "base")
		must(t, err)
		lease, err := vm.ExportSnapshot(t.Context(), snapshot)
		must(t, err)
		info, err := lease.Wait(t.Context(), nil)
		must(t, err)
		update := lease.StartUpdater(t.Context(), info)
		if len(info.Items) != 1 {
			t.Errorf("%d files are exported", len(info.Items))
		}
		for _, item := range info.Items {
			if item.URL.Host != c.URL().Host {
				t.Errorf("a file at %s", item.URL)
			}
			file := filepath.Join(t.TempDir(), "disk")
			must(t, lease.DownloadFile(t.Context(), file, item, soap.DefaultDownload))
			// The simulator keeps a descriptor in place of each disk.
			want, _, err := store.Download(t.Context(), "imported/"+path.Base(item.URL.Path), nil)
			must(t, err)
			descriptor, err := io.ReadAll(want)
			must(t, errors.Join(err, want.Close()))
			if got := readFile(t, file); got != string(descriptor) || got == "" {
				t.Errorf("exported %q, which is %q", got, descriptor)
			}
		}
		update.Done()
		must(t, lease.Progress(t.Context(), 100))
		must(t, lease.Complete(t.Context()))
		if err := lease.Complete(t.Context()); !isFault[types.ManagedObjectNotFound](err) {
			t.Errorf("a lease that is completed: %v", err)
		}
	})
}

func TestAbortingALeaseEndsIt(t *testing.T) {
	through(t, func(t *testing.T, c *govmomi.Client) {
		vm, _ := imported(t, c)
		made, err := vm.CreateSnapshot(t.Context(), "base", "", false, false)
		must(t, err)
		must(t, made.Wait(t.Context()))
		snapshot, err := vm.FindSnapshot(t.Context(), "base")
		must(t, err)
		lease, err := vm.ExportSnapshot(t.Context(), snapshot)
		must(t, err)
		must(t, lease.Abort(t.Context(), nil))
		if err := lease.Complete(t.Context()); !isFault[types.ManagedObjectNotFound](err) {
			t.Errorf("a lease that is aborted: %v", err)
		}
	})
}

// imported imports a machine by OVF, and returns it and where it is. The upload is verified with a manifest.
func imported(t *testing.T, c *govmomi.Client) (*object.VirtualMachine, *object.Datastore) {
	t.Helper()
	finder := find.NewFinder(c.Client)
	dc, err := finder.DefaultDatacenter(t.Context())
	must(t, err)
	finder.SetDatacenter(dc)
	folders, err := dc.Folders(t.Context())
	must(t, err)
	store, err := finder.DefaultDatastore(t.Context())
	must(t, err)
	pools, err := finder.ResourcePoolList(t.Context(), "*/Resources")
	must(t, err)
	hosts, err := finder.HostSystemList(t.Context(), "*")
	must(t, err)
	var owner mo.ResourcePool
	pc := property.DefaultCollector(c.Client)
	must(t, pc.RetrieveOne(t.Context(), pools[0].Reference(), []string{"owner"}, &owner))
	host := slices.IndexFunc(hosts, func(h *object.HostSystem) bool {
		var of mo.HostSystem
		must(t, pc.RetrieveOne(t.Context(), h.Reference(), []string{"parent"}, &of))
		return *of.Parent == owner.Owner
	})
	file := filepath.Join(files(t), "tiny.ovf")
	i := importer.Importer{
		Log:    func(string) (int, error) { return 0, nil },
		Client: c.Client, Finder: finder, Datacenter: dc, Datastore: store, ResourcePool: pools[0], Host: hosts[host],
		Folder: folders.VmFolder, VerifyManifest: true, Archive: &importer.FileArchive{Path: file},
	}
	name := "imported"
	ref, err := i.Import(t.Context(), file, importer.Options{Name: &name})
	must(t, err)
	vm := object.NewVirtualMachine(c.Client, *ref)
	got, err := vm.ObjectName(t.Context())
	if err != nil || got != name {
		t.Errorf("imported %q, %v", got, err)
	}
	return vm, store
}

func TestGovmomiMovesFilesOfDatastores(t *testing.T) {
	through(t, func(t *testing.T, c *govmomi.Client) {
		finder := find.NewFinder(c.Client)
		dc, err := finder.DefaultDatacenter(t.Context())
		must(t, err)
		store, err := finder.SetDatacenter(dc).DefaultDatastore(t.Context())
		must(t, err)
		content := bytes.Repeat([]byte("some content\n"), 100_000)
		must(t, store.Upload(t.Context(), bytes.NewReader(content), "large file.txt", nil))
		r, n, err := store.Download(t.Context(), "large file.txt", nil)
		must(t, err)
		got, err := io.ReadAll(r)
		if err != nil || n != int64(len(content)) || !bytes.Equal(got, content) {
			t.Errorf("got %d of %d bytes, %d said: %v", len(got), len(content), n, err)
		}
		must(t, r.Close())
		if _, _, err := store.Download(t.Context(), "none.txt", nil); err == nil {
			t.Error("a file that is not there")
		}
	})
}
