package inventory

import (
	"context"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/vim"
)

// serviceInstance is the object that every client asks first.
func (i *inventory) serviceInstance() *vim.Object {
	return &vim.Object{
		Type: "ServiceInstance", ID: "ServiceInstance",
		Methods: []vim.Method{
			vim.NewMethod("CurrentTime", vim.View, i.currentTime),
			vim.NewMethod("RetrieveProductComponents", vim.Anonymous, i.retrieveProductComponents),
			vim.NewMethod("RetrieveServiceContent", vim.Anonymous, i.retrieveServiceContent),
		},
		Properties: []vim.Property{
			vim.NewProperty("capability", vim.View, i.capability),
			vim.NewProperty("content", vim.Anonymous, i.content),
			vim.NewProperty("serverClock", vim.View, i.serverClock),
		},
	}
}

// Short names for the table below.
type (
	content   = types.ServiceContent
	reference = types.ManagedObjectReference
)

// contentMembers sets the member of ServiceContent for the reference of a type of object. Clients find
// the other objects in other ways.
var contentMembers = map[string]func(*content, reference){
	"AuthorizationManager":    func(c *content, r reference) { c.AuthorizationManager = &r },
	"EventManager":            func(c *content, r reference) { c.EventManager = &r },
	"ExtensionManager":        func(c *content, r reference) { c.ExtensionManager = &r },
	"Folder":                  func(c *content, r reference) { c.RootFolder = r },
	"HostLocalAccountManager": func(c *content, r reference) { c.AccountManager = &r },
	"OptionManager":           func(c *content, r reference) { c.Setting = &r },
	"PropertyCollector":       func(c *content, r reference) { c.PropertyCollector = r },
	"SearchIndex":             func(c *content, r reference) { c.SearchIndex = &r },
	"SessionManager":          func(c *content, r reference) { c.SessionManager = &r },
	"UserDirectory":           func(c *content, r reference) { c.UserDirectory = &r },
	"ViewManager":             func(c *content, r reference) { c.ViewManager = &r },
}

// content lists the objects that are served, and no others.
func (i *inventory) content(context.Context, *vim.Call) (types.ServiceContent, error) {
	c := types.ServiceContent{About: i.About}
	c.About.InstanceUuid = i.domain.Settings.Instance()
	for _, o := range i.Objects() {
		if set := contentMembers[o.Type]; set != nil && o.ID != "" {
			set(&c, o.Ref())
		}
	}
	return c, nil
}

func (i *inventory) retrieveServiceContent(
	ctx context.Context, c *vim.Call, _ *types.RetrieveServiceContentRequestType,
) (types.ServiceContent, error) {
	return i.content(ctx, c)
}

func (i *inventory) currentTime(context.Context, *vim.Call, *types.CurrentTimeRequestType) (time.Time, error) {
	return i.Now().UTC().Round(0), nil
}

func (i *inventory) serverClock(context.Context, *vim.Call) (time.Time, error) {
	return i.Now().UTC().Round(0), nil
}

// capability says that nothing can be provisioned: there are no hosts and no virtual machines.
func (i *inventory) capability(context.Context, *vim.Call) (types.Capability, error) {
	return types.Capability{}, nil
}

// retrieveProductComponents returns an empty list, because the product has no separate components.
func (i *inventory) retrieveProductComponents(
	context.Context, *vim.Call, *types.RetrieveProductComponentsRequestType,
) ([]types.ProductComponentInfo, error) {
	return nil, nil
}
