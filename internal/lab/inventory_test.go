package lab

import (
	"context"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/vmware/govmomi"
	"github.com/vmware/govmomi/pbm"
	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/vapi/rest"
	"github.com/vmware/govmomi/view"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/types"
)

// connect logs in to the simulator itself.
func connect(t *testing.T, i *Inventory, password string) (*govmomi.Client, error) {
	t.Helper()
	u := *i.URL
	u.User = url.UserPassword(i.User, password)
	return govmomi.NewClient(t.Context(), &u, true)
}

// count returns the number of objects of a type.
func count(t *testing.T, c *govmomi.Client, typ string) int {
	t.Helper()
	v, err := view.NewManager(c.Client).CreateContainerView(t.Context(), c.ServiceContent.RootFolder, []string{typ},
		true)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = v.Destroy(context.WithoutCancel(t.Context())) }()
	all, err := v.Find(t.Context(), []string{typ}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

// open opens an inventory with other counts than the default.
func open(t *testing.T, kind Kind, counts map[string]int) *Inventory {
	t.Helper()
	m, err := NewModel(kind)
	if err != nil {
		t.Fatal(err)
	}
	for name, n := range counts {
		m.Counts[name] = n
	}
	i, err := OpenInventory(m)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(i.Close)
	return i
}

func TestAnInventoryHasWhatItsModelSays(t *testing.T) {
	i := open(t, VCenter, map[string]int{
		"datacenters": 2, "clusters": 1, "hosts": 2, "standalone-hosts": 0, "vms": 3, "datastores": 2,
	})
	c, err := connect(t, i, i.Password.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	for typ, want := range map[string]int{
		"Datacenter": 2, "ClusterComputeResource": 2, "HostSystem": 4, "VirtualMachine": 6, "Datastore": 4,
	} {
		if n := count(t, c, typ); n != want {
			t.Errorf("%d objects of type %s, want %d", n, typ, want)
		}
	}
	if got := i.String(); got != "a simulated vCenter with 4 hosts, 6 virtual machines and 4 datastores" {
		t.Error(got)
	}
	if err := rest.NewClient(c.Client).Login(t.Context(), url.UserPassword(i.User, i.Password.Reveal())); err != nil {
		t.Errorf("the Automation API: %v", err)
	}
	if _, err := pbm.NewClient(t.Context(), c.Client); err != nil {
		t.Errorf("storage policies: %v", err)
	}
}

func TestAnESXiHostHasOneHostAndNoClusters(t *testing.T) {
	i := open(t, ESXi, map[string]int{"vms": 3})
	c, err := connect(t, i, i.Password.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	if c.IsVC() || count(t, c, "HostSystem") != 1 || count(t, c, "VirtualMachine") != 3 {
		t.Errorf("%s", i)
	}
}

func TestOnlyThePasswordOfAnInventoryOpensIt(t *testing.T) {
	i, other := open(t, ESXi, nil), open(t, ESXi, nil)
	for _, password := range []string{"pass", "", other.Password.Reveal()} {
		if _, err := connect(t, i, password); err == nil {
			t.Errorf("the password %q is accepted", password)
		}
	}
}

func TestAModelThatCannotBeIsRefused(t *testing.T) {
	if _, err := NewModel("hyper-v"); err == nil {
		t.Error("there is a model of another product")
	}
	for want, m := range map[string]Model{
		"hyper-v":     {Kind: "hyper-v"},
		"no planets":  {Kind: VCenter, Counts: map[string]int{"planets": 1}},
		"no clusters": {Kind: ESXi, Counts: map[string]int{"clusters": 1}},
		"from 0 to":   {Kind: VCenter, Counts: map[string]int{"vms": -1}},
		"10001 vms":   {Kind: VCenter, Counts: map[string]int{"vms": 10_001}},
	} {
		if i, err := OpenInventory(m); err == nil {
			i.Close()
			t.Errorf("made an inventory of %+v", m)
		} else if !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
}

func TestCloseRemovesTheFilesOfAnInventory(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	i := open(t, VCenter, nil)
	if left, err := os.ReadDir(os.TempDir()); err != nil || len(left) == 0 {
		t.Fatalf("an inventory has no files: %v", err)
	}
	i.Close()
	i.Close()
	if left, err := os.ReadDir(os.TempDir()); err != nil || len(left) != 0 {
		t.Errorf("left %v, %v", left, err)
	}
	if _, err := connect(t, i, i.Password.Reveal()); err == nil {
		t.Error("it can still be reached")
	}
}

func TestCloseDoesNotWaitForCallsThatNeverEnd(t *testing.T) {
	i := open(t, ESXi, nil)
	c, err := connect(t, i, i.Password.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	pc, err := property.DefaultCollector(c.Client).Create(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pc.CreateFilter(t.Context(), types.CreateFilter{Spec: types.PropertyFilterSpec{
		PropSet:   []types.PropertySpec{{Type: "Folder", PathSet: []string{"name"}}},
		ObjectSet: []types.ObjectSpec{{Obj: c.ServiceContent.RootFolder}},
	}}); err != nil {
		t.Fatal(err)
	}
	wait := types.WaitForUpdatesEx{This: pc.Reference()}
	first, err := methods.WaitForUpdatesEx(t.Context(), c, &wait)
	if err != nil {
		t.Fatal(err)
	}
	wait.Version = first.Returnval.Version
	waited := make(chan error, 1)
	go func() {
		_, err := methods.WaitForUpdatesEx(t.Context(), c, &wait)
		waited <- err
	}()
	select {
	case err := <-waited:
		t.Fatalf("the wait ends at once: %v", err)
	case <-time.After(100 * time.Millisecond): // most often it has reached the simulator by now
	}
	if err := c.Logout(t.Context()); err != nil {
		t.Fatal(err)
	}
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		i.Close()
	}()
	select {
	case <-closed:
	case <-time.After(time.Minute):
		t.Fatal("Close waits for ever")
	}
	if err := <-waited; err == nil {
		t.Error("the wait has an answer")
	}
}
