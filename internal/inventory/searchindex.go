package inventory

import (
	"context"
	"strings"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/vim"
)

// searchIndex finds objects in the inventory. The only one is the root folder, which clients look up
// before anything else.
func (i *inventory) searchIndex() *vim.Object {
	return &vim.Object{
		Type: "SearchIndex", ID: "SearchIndex",
		Methods: []vim.Method{
			vim.NewMethod("FindAllByDnsName", vim.View, none[types.FindAllByDnsNameRequestType]),
			vim.NewMethod("FindAllByIp", vim.View, none[types.FindAllByIpRequestType]),
			vim.NewMethod("FindAllByUuid", vim.View, none[types.FindAllByUuidRequestType]),
			vim.NewMethod("FindByDatastorePath", vim.View, nothing[types.FindByDatastorePathRequestType]),
			vim.NewMethod("FindByDnsName", vim.View, nothing[types.FindByDnsNameRequestType]),
			vim.NewMethod("FindByInventoryPath", vim.View, i.findByInventoryPath),
			vim.NewMethod("FindByIp", vim.View, nothing[types.FindByIpRequestType]),
			vim.NewMethod("FindByUuid", vim.View, nothing[types.FindByUuidRequestType]),
			vim.NewMethod("FindChild", vim.View, nothing[types.FindChildRequestType]),
		},
	}
}

// findByInventoryPath finds the root folder, whose path is empty. Every other path begins with a
// datacenter, and there is none.
func (i *inventory) findByInventoryPath(
	_ context.Context, _ *vim.Call, r *types.FindByInventoryPathRequestType,
) (*types.ManagedObjectReference, error) {
	if strings.Trim(r.InventoryPath, "/") != "" {
		return nil, nil
	}
	return new(vim.RootFolder()), nil
}

// nothing answers a search for one object that does not exist here: there are no machines, hosts and
// datastores.
func nothing[A any](context.Context, *vim.Call, *A) (*types.ManagedObjectReference, error) {
	return nil, nil
}

// none answers a search for several objects that do not exist here.
func none[A any](context.Context, *vim.Call, *A) ([]types.ManagedObjectReference, error) {
	return nil, nil
}
