package vigatetest_test

import (
	"testing"
	"time"

	"github.com/vmware/govmomi"
	"github.com/vmware/govmomi/find"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/vigatetest"
)

// machines returns the virtual machines that a client finds.
func machines(t *testing.T, c *govmomi.Client) []*object.VirtualMachine {
	t.Helper()
	all, err := find.NewFinder(c.Client).VirtualMachineList(t.Context(), "/...")
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestAnInventoryIsServedWithTrueSessions(t *testing.T) {
	model := vigatetest.VCenter()
	model.Clusters, model.StandaloneHosts, model.VirtualMachines = 0, 1, 3
	s := vigatetest.New(t, vigatetest.WithInventory(model), vigatetest.WithUsers(ann))
	c, reader := s.Govmomi(t, boss), s.Govmomi(t, ann)
	if !c.IsVC() {
		t.Errorf("%+v", c.ServiceContent.About)
	}
	all := machines(t, c)
	if len(all) != 3 || len(machines(t, reader)) != 3 {
		t.Fatalf("%d virtual machines", len(all))
	}
	task, err := all[0].PowerOff(t.Context())
	if err == nil {
		err = task.Wait(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	_, err = object.NewVirtualMachine(reader.Client, all[1].Reference()).PowerOff(t.Context())
	hasFault[types.NoPermission](t, err)
	var vm mo.VirtualMachine
	if err := property.DefaultCollector(reader.Client).RetrieveOne(t.Context(), all[0].Reference(),
		[]string{"runtime.powerState"}, &vm); err != nil ||
		vm.Runtime.PowerState != types.VirtualMachinePowerStatePoweredOff {
		t.Errorf("%v, %v", vm.Runtime.PowerState, err)
	}
	if n := len(s.Sessions()); n != 2 {
		t.Errorf("%d sessions", n)
	}
	s.EndAll()
	hasFault[types.NotAuthenticated](t, ask(t.Context(), c))
}

func TestSessionsOfAnInventoryExpireAndSurviveARestart(t *testing.T) {
	s := vigatetest.New(t, vigatetest.WithInventory())
	url := s.URL().String()
	c := s.Govmomi(t, boss)
	s.Advance(29 * time.Minute)
	n := len(machines(t, c))
	s.Restart()
	if s.URL().String() != url {
		t.Fatalf("now at %s", s.URL())
	}
	if again := len(machines(t, c)); again != n || n == 0 {
		t.Errorf("%d virtual machines, and then %d", n, again)
	}
	s.Advance(31 * time.Minute)
	hasFault[types.NotAuthenticated](t, ask(t.Context(), c))
	s.Limit(1)
	s.Govmomi(t, boss)
	if _, err := s.ConnectGovmomi(t.Context(), boss); err == nil {
		t.Error("a login was above the limit")
	}
}

func TestAnInventoryCanBeThatOfAnESXiHost(t *testing.T) {
	s := vigatetest.New(t, vigatetest.WithInventory(vigatetest.ESXi()))
	c := s.Govmomi(t, boss)
	if c.IsVC() || len(machines(t, c)) != 2 {
		t.Errorf("%+v", c.ServiceContent.About)
	}
	v := s.Client(t, boss) // VI JSON, which an ESXi host does not have
	content, err := v.ServiceContent(t.Context())
	if err != nil || content.About.ApiType != "HostAgent" {
		t.Errorf("%+v, %v", content.About, err)
	}
}
