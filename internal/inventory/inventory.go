// Package inventory serves the managed objects that clients use first, to find their way: ServiceInstance,
// which lists the others, the root Folder, and SearchIndex. The inventory of this server consists of the
// root folder alone; it has no hosts and no virtual machines.
//
// [Serve] adds the objects to an API. The root folder is the entity to which permissions and events
// refer; package admin serves the object that changes permissions.
package inventory

import (
	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/domain"
	"github.com/vigate/vigate/internal/vim"
)

// Options configures the objects.
type Options struct {
	// About describes the server. The UUID of the instance is added from the settings.
	About types.AboutInfo
}

// inventory implements the methods and properties of the package's objects.
type inventory struct {
	*vim.API
	domain *domain.Domain
	Options
}

// Serve adds the package's objects to the API, which works on the domain. It must be called before the
// first request.
func Serve(to *vim.API, d *domain.Domain, o Options) error {
	i := &inventory{to, d, o}
	return to.Add(i.serviceInstance(), i.folder(), i.searchIndex())
}
