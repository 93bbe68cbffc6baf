package inventory_test

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/vim"
	"github.com/vigate/vigate/internal/vim/vimtest"
)

func TestServiceContentListsWhatIsServedAndNothingElse(t *testing.T) {
	f := vimtest.New(t)
	c := vimtest.Get[types.ServiceContent](f.Prop("", "ServiceInstance", "content"))
	if again := vimtest.Get[types.ServiceContent](f.As("", "ServiceInstance", "RetrieveServiceContent",
		&types.RetrieveServiceContentRequestType{})); !reflect.DeepEqual(c, again) {
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
	if c.About.Name != "vigate" || c.About.ApiType != "VirtualCenter" ||
		c.About.InstanceUuid != f.Settings.Instance() || c.About.InstanceUuid == "" {
		t.Errorf("about: %+v", c.About)
	}
}

func TestAnObjectThatIsAddedIsListed(t *testing.T) {
	f := vimtest.New(t)
	f.Must(f.Add(&vim.Object{Type: "PropertyCollector", ID: "propertyCollector"}))
	f.Must(f.Add(&vim.Object{Type: "ViewManager", ID: "ViewManager"}))
	c := vimtest.Get[types.ServiceContent](f.Prop("", "ServiceInstance", "content"))
	if c.PropertyCollector.Value != "propertyCollector" || c.ViewManager == nil ||
		c.ViewManager.Value != "ViewManager" {
		t.Errorf("content: %+v", c)
	}
}

func TestTheTimeIsForThoseWithASession(t *testing.T) {
	f := vimtest.New(t)
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
	if c := vimtest.Get[types.Capability](f.Prop(f.Ann, "ServiceInstance", "capability")); c.ProvisioningSupported ||
		c.MultiHostSupported {
		t.Errorf("capability: %+v", c)
	}
	if p := vimtest.Get[[]types.ProductComponentInfo](f.As("", "ServiceInstance", "RetrieveProductComponents",
		&types.RetrieveProductComponentsRequestType{})); p == nil || len(p) != 0 {
		t.Errorf("components: %#v", p)
	}
}

func TestTheRootFolderIsEmptyAndCalledAsInVCenter(t *testing.T) {
	f := vimtest.New(t)
	if got := vimtest.Get[string](f.Prop(f.Ann, "Folder", "name")); got != "Datacenters" {
		t.Errorf("name %q", got)
	}
	if got := vimtest.Get[[]types.ManagedObjectReference](f.Prop(f.Ann, "Folder", "childEntity")); got == nil ||
		len(got) != 0 {
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
	if got := vimtest.Get[[]types.Permission](f.Prop(f.Ann, "Folder", "permission")); len(got) != 2 ||
		got[0].Principal != vimtest.AdminName {
		t.Errorf("permissions: %+v", got)
	}
}
