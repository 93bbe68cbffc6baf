package vim

import (
	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/access"
)

// RootFolder returns the reference of the root folder, which is the only managed entity.
func RootFolder() types.ManagedObjectReference {
	return types.ManagedObjectReference{Type: "Folder", Value: access.Root}
}

// RootName is the root folder's name, the same as in vCenter.
const RootName = "Datacenters"

// CheckEntity returns ObjectNotFound if the reference is not that of the root folder.
func CheckEntity(ref types.ManagedObjectReference) error {
	if root := RootFolder(); ref.Type != root.Type || ref.Value != root.Value {
		return ObjectNotFound(ref)
	}
	return nil
}

// Permissions returns permissions in the form of the API.
func Permissions(all []access.Permission) []types.Permission {
	out := make([]types.Permission, len(all))
	for i, p := range all {
		out[i] = types.Permission{
			Entity: new(RootFolder()), Principal: p.Principal.String(), Group: p.Group, RoleId: p.Role,
			Propagate: p.Propagate,
		}
	}
	return out
}
