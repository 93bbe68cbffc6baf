package access

import (
	"slices"
	"testing"
)

func TestThePrivilegesAreThoseOfTheAPI(t *testing.T) {
	seen := map[Privilege]bool{}
	for _, p := range builtin {
		if p.ID == "" || p.Group == "" || p.Name() == string(p.ID) || seen[p.ID] {
			t.Errorf("privilege %+v is nameless, without a group, or listed twice", p)
		}
		seen[p.ID] = true
	}
	// Privileges in the roles that storage, cluster and provisioning tools define.
	for _, id := range []Privilege{
		"Cns.Searchable", "Datastore.FileManagement", "Datastore.AllocateSpace", "StorageProfile.View",
		"Host.Config.Storage",
		"VirtualMachine.Config.AddExistingDisk", "VirtualMachine.Provisioning.DeployTemplate",
		"Resource.AssignVMToPool",
		"InventoryService.Tagging.AttachTag", "Network.Assign", "Folder.Create", "VApp.Import", "Global.SetCustomField",
	} {
		if !seen[id] {
			t.Errorf("%s is missing", id)
		}
	}
	i := slices.IndexFunc(builtin, func(p PrivilegeInfo) bool {
		return p.ID == "VcIntegrity.General.com.vmware.vcIntegrity.Configure"
	})
	if i < 0 || builtin[i].Group != "VcIntegrity.General" || builtin[i].Name() != "com.vmware.vcIntegrity.Configure" {
		t.Error("a privilege whose name has dots is not in its group")
	}
}
