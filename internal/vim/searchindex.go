package vim

import (
	"context"
	"strings"

	"github.com/vmware/govmomi/vim25/types"
)

// searchIndex finds things in the inventory. There is one: the root folder,
// which clients look up before anything else.
func (a *API) searchIndex() *Object {
	return &Object{
		Type: "SearchIndex", ID: "SearchIndex",
		Methods: []Method{
			NewMethod("FindAllByDnsName", View, none[types.FindAllByDnsNameRequestType]),
			NewMethod("FindAllByIp", View, none[types.FindAllByIpRequestType]),
			NewMethod("FindAllByUuid", View, none[types.FindAllByUuidRequestType]),
			NewMethod("FindByDatastorePath", View, nothing[types.FindByDatastorePathRequestType]),
			NewMethod("FindByDnsName", View, nothing[types.FindByDnsNameRequestType]),
			NewMethod("FindByInventoryPath", View, a.findByInventoryPath),
			NewMethod("FindByIp", View, nothing[types.FindByIpRequestType]),
			NewMethod("FindByUuid", View, nothing[types.FindByUuidRequestType]),
			NewMethod("FindChild", View, nothing[types.FindChildRequestType]),
		},
	}
}

// findByInventoryPath finds the root folder: the empty path. Every other path
// begins with a datacenter, and there is none.
func (a *API) findByInventoryPath(_ context.Context, _ *Call, r *types.FindByInventoryPathRequestType) (*types.ManagedObjectReference, error) {
	if strings.Trim(r.InventoryPath, "/") != "" {
		return nil, nil
	}
	return new(RootFolder()), nil
}

// nothing and none answer searches for what a server without machines, hosts and
// datastores does not have.
func nothing[A any](context.Context, *Call, *A) (*types.ManagedObjectReference, error) {
	return nil, nil
}

func none[A any](context.Context, *Call, *A) ([]types.ManagedObjectReference, error) {
	return nil, nil
}
