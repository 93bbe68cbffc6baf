package property

import (
	"context"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/vmware/govmomi/property"
	views "github.com/vmware/govmomi/view"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// direct is a transport for govmomi that calls the API without a network: it converts the library's
// requests to calls and the results to its responses.
type direct struct{ *client }

func (d direct) RoundTrip(ctx context.Context, req, res soap.HasFault) error {
	in := reflect.ValueOf(req).Elem().FieldByName("Req").Elem()
	on := in.FieldByName("This").Interface().(types.ManagedObjectReference)
	method := in.Type().Name()
	row, fault := d.Method(on, method)
	if fault != nil {
		return soap.WrapVimFault(fault.Detail)
	}
	args := reflect.New(row.Args)
	args.Elem().Set(in.Convert(row.Args))
	v, fault := d.tryContext(ctx, on, method, args.Interface())
	if fault != nil {
		return soap.WrapVimFault(fault.Detail)
	}
	answer := reflect.ValueOf(res).Elem().FieldByName("Res")
	answer.Set(reflect.New(answer.Type().Elem()))
	if value := reflect.ValueOf(v); v != nil && (value.Kind() != reflect.Pointer || !value.IsNil()) {
		to := answer.Elem().FieldByName("Returnval")
		if to.Kind() == reflect.Pointer {
			to.Set(reflect.New(to.Type().Elem()))
			to = to.Elem()
		}
		to.Set(value)
	}
	return nil
}

func (c *client) govmomi() *vim25.Client {
	content := call[types.ServiceContent](c,
		types.ManagedObjectReference{Type: "ServiceInstance", Value: "ServiceInstance"},
		"RetrieveServiceContent", &types.RetrieveServiceContentRequestType{})
	return &vim25.Client{ServiceContent: content, RoundTripper: direct{c}}
}

func TestGovmomiReadsWholeObjects(t *testing.T) {
	f := newFixture(t)
	f.message("hello")
	admin := f.login("Administrator")
	c := admin.govmomi()
	if c.ServiceContent.ViewManager == nil || c.ServiceContent.PropertyCollector != pc {
		t.Fatalf("the content does not name what is served: %+v", c.ServiceContent)
	}
	collector := property.DefaultCollector(c)
	var sm mo.SessionManager
	if err := collector.RetrieveOne(t.Context(), sessionManager, nil, &sm); err != nil {
		t.Fatal(err)
	}
	if sm.Message == nil || *sm.Message != "hello" || sm.CurrentSession.Key != admin.key() ||
		len(sm.SessionList) != 1 || len(sm.SupportedLocaleList) == 0 {
		t.Errorf("got %+v", sm)
	}
	var folder mo.Folder
	if err := collector.RetrieveOne(t.Context(), rootFolder, nil, &folder); err != nil {
		t.Fatal(err)
	}
	if folder.Name != "Datacenters" || len(folder.EffectiveRole) != 1 {
		t.Errorf("got %+v", folder)
	}
	var part mo.SessionManager
	if err := collector.RetrieveOne(t.Context(), sessionManager, []string{"currentSession.userName", "message"},
		&part); err != nil {
		t.Fatal(err)
	}
	if part.CurrentSession == nil || part.CurrentSession.UserName != `VSPHERE.LOCAL\Administrator` {
		t.Errorf("got %+v", part)
	}
	if ancestors, err := mo.Ancestors(t.Context(), direct{admin}, pc, rootFolder); err != nil ||
		len(ancestors) != 1 || ancestors[0].Name != "Datacenters" {
		t.Errorf("got %+v, %v", ancestors, err)
	}
}

func TestGovmomiReadsPageByPage(t *testing.T) {
	f := newFixture(t)
	ann := f.login("ann")
	s := spec(sessionManager)
	s.PropSet = []types.PropertySpec{{Type: "ManagedObject"}}
	s.ObjectSet = append(s.ObjectSet, types.ObjectSpec{Obj: rootFolder}, types.ObjectSpec{Obj: authorization})
	res, err := property.DefaultCollector(ann.govmomi()).RetrieveProperties(t.Context(),
		types.RetrieveProperties{SpecSet: []types.PropertyFilterSpec{s}}, 1)
	if err != nil || len(res.Returnval) != 3 {
		t.Errorf("got %+v, %v", res, err)
	}
}

func TestGovmomiWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		ann := f.login("ann")
		collector := property.DefaultCollector(ann.govmomi())
		var got []string
		done := make(chan error, 1)
		go func() {
			done <- property.Wait(t.Context(), collector, sessionManager, []string{"message"},
				func(changes []types.PropertyChange) bool {
					for _, c := range changes {
						got = append(got, c.Val.(string))
					}
					return len(got) == 3
				})
		}()
		for _, m := range []string{"one", "two"} {
			synctest.Wait()
			f.message(m)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if strings.Join(got, ",") != ",one,two" {
			t.Errorf("got %q", got)
		}

		// The client gives up: govmomi cancels the wait and destroys its filter.
		ctx, cancel := context.WithCancel(t.Context())
		filter := new(property.WaitFilter).Add(sessionManager, "SessionManager", []string{"message"})
		go func() {
			done <- property.WaitForUpdates(ctx, collector, filter, func([]types.ObjectUpdate) bool { return false })
		}()
		synctest.Wait()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("after it was canceled: %v", err)
		}

		filter.Options = &types.WaitOptions{MaxWaitSeconds: types.NewInt32(5)}
		if err := property.WaitForUpdatesEx(t.Context(), collector, filter,
			func([]types.ObjectUpdate) bool { return false }); err != nil {
			t.Errorf("after its time-out: %v", err)
		}
		if got := call[[]types.ManagedObjectReference](ann, pc, "filter", nil); len(got) != 0 {
			t.Errorf("filters are left: %v", got)
		}
	})
}

func TestGovmomiAppliesUpdates(t *testing.T) {
	f := newFixture(t)
	admin := f.login("Administrator")
	for _, partial := range []bool{false, true} {
		c := admin.collector()
		c.filter(partial, spec(sessionManager))
		sm := mo.SessionManager{Self: sessionManager}
		set := c.check("")
		mo.ApplyPropertyChange(&sm, c.only(set).ChangeSet)
		f.message("hello")
		f.setLocale(admin, "fr")
		mo.ApplyPropertyChange(&sm, c.only(c.check(set.Version)).ChangeSet)
		if sm.Message == nil || *sm.Message != "hello" || sm.CurrentSession == nil ||
			sm.CurrentSession.Locale != "fr" || len(sm.SessionList) != 1 {
			t.Errorf("partial %v: got %+v", partial, sm)
		}
		f.message("")
		f.setLocale(admin, "en")
	}
}

func TestGovmomiMakesViews(t *testing.T) {
	f := newFixture(t)
	ann := f.login("ann")
	m := views.NewManager(ann.govmomi())
	v, err := m.CreateContainerView(t.Context(), rootFolder, []string{"VirtualMachine"}, true)
	if err != nil {
		t.Fatal(err)
	}
	var vms []mo.VirtualMachine
	if err := v.Retrieve(t.Context(), []string{"VirtualMachine"}, []string{"name"}, &vms); err != nil || len(vms) != 0 {
		t.Errorf("got %v, %v", vms, err)
	}
	if err := v.Destroy(t.Context()); err != nil {
		t.Error(err)
	}
	list, err := m.CreateListView(t.Context(), []types.ManagedObjectReference{sessionManager})
	if err != nil {
		t.Fatal(err)
	}
	if lost, err := list.Add(t.Context(), []types.ManagedObjectReference{rootFolder,
		{Type: "VirtualMachine", Value: "vm-1"}}); err != nil || len(lost) != 1 {
		t.Errorf("got %v, %v", lost, err)
	}
	res, err := property.DefaultCollector(ann.govmomi()).RetrieveProperties(t.Context(), types.RetrieveProperties{
		SpecSet: []types.PropertyFilterSpec{through(list.Reference(),
			types.PropertySpec{Type: "Folder", PathSet: []string{"name"}})}})
	var folders []mo.Folder
	if err != nil || mo.LoadObjectContent(res.Returnval, &folders) != nil || len(folders) != 1 ||
		folders[0].Name != "Datacenters" {
		t.Errorf("got %+v, %v", folders, err)
	}
}
