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
			method("FindAllByDnsName", view, none[types.FindAllByDnsNameRequestType]),
			method("FindAllByIp", view, none[types.FindAllByIpRequestType]),
			method("FindAllByUuid", view, none[types.FindAllByUuidRequestType]),
			method("FindByDatastorePath", view, nothing[types.FindByDatastorePathRequestType]),
			method("FindByDnsName", view, nothing[types.FindByDnsNameRequestType]),
			method("FindByInventoryPath", view, a.findByInventoryPath),
			method("FindByIp", view, nothing[types.FindByIpRequestType]),
			method("FindByUuid", view, nothing[types.FindByUuidRequestType]),
			method("FindChild", view, nothing[types.FindChildRequestType]),
		},
	}
}

// findByInventoryPath finds the root folder: the empty path. Every other path
// begins with a datacenter, and there is none.
func (a *API) findByInventoryPath(_ context.Context, _ *Call, r *types.FindByInventoryPathRequestType) (*types.ManagedObjectReference, error) {
	if strings.Trim(r.InventoryPath, "/") != "" {
		return nil, nil
	}
	return new(rootFolder), nil
}

// nothing and none answer searches for what a server without machines, hosts and
// datastores does not have.
func nothing[A any](context.Context, *Call, *A) (*types.ManagedObjectReference, error) {
	return nil, nil
}

func none[A any](context.Context, *Call, *A) ([]types.ManagedObjectReference, error) {
	return nil, nil
}
