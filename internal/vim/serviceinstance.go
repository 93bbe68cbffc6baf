package vim

import (
	"context"
	"time"

	"github.com/vmware/govmomi/vim25/types"
)

// serviceInstance is the object that every client asks first.
func (a *API) serviceInstance() *Object {
	return &Object{
		Type: "ServiceInstance", ID: "ServiceInstance",
		Methods: []Method{
			NewMethod("CurrentTime", View, a.currentTime),
			NewMethod("RetrieveProductComponents", Anonymous, a.retrieveProductComponents),
			NewMethod("RetrieveServiceContent", Anonymous, a.retrieveServiceContent),
		},
		Properties: []Property{
			NewProperty("capability", View, a.capability),
			NewProperty("content", Anonymous, a.content),
			NewProperty("serverClock", View, a.serverClock),
		},
	}
}

// contentMembers says where ServiceContent has the reference of a type of
// object. What is served and not here is found by other ways.
var contentMembers = map[string]func(*types.ServiceContent, types.ManagedObjectReference){
	"AuthorizationManager":    func(c *types.ServiceContent, r types.ManagedObjectReference) { c.AuthorizationManager = &r },
	"EventManager":            func(c *types.ServiceContent, r types.ManagedObjectReference) { c.EventManager = &r },
	"ExtensionManager":        func(c *types.ServiceContent, r types.ManagedObjectReference) { c.ExtensionManager = &r },
	"Folder":                  func(c *types.ServiceContent, r types.ManagedObjectReference) { c.RootFolder = r },
	"HostLocalAccountManager": func(c *types.ServiceContent, r types.ManagedObjectReference) { c.AccountManager = &r },
	"OptionManager":           func(c *types.ServiceContent, r types.ManagedObjectReference) { c.Setting = &r },
	"PropertyCollector":       func(c *types.ServiceContent, r types.ManagedObjectReference) { c.PropertyCollector = r },
	"SearchIndex":             func(c *types.ServiceContent, r types.ManagedObjectReference) { c.SearchIndex = &r },
	"SessionManager":          func(c *types.ServiceContent, r types.ManagedObjectReference) { c.SessionManager = &r },
	"UserDirectory":           func(c *types.ServiceContent, r types.ManagedObjectReference) { c.UserDirectory = &r },
	"ViewManager":             func(c *types.ServiceContent, r types.ManagedObjectReference) { c.ViewManager = &r },
}

// content lists what is served, and nothing else.
func (a *API) content(context.Context, *Call) (types.ServiceContent, error) {
	c := types.ServiceContent{About: a.Server.About}
	c.About.InstanceUuid = a.Settings.Instance()
	for _, o := range a.order {
		if set := contentMembers[o.Type]; set != nil && o.ID != "" {
			set(&c, o.Ref())
		}
	}
	return c, nil
}

func (a *API) retrieveServiceContent(ctx context.Context, c *Call, _ *types.RetrieveServiceContentRequestType) (types.ServiceContent, error) {
	return a.content(ctx, c)
}

func (a *API) currentTime(context.Context, *Call, *types.CurrentTimeRequestType) (time.Time, error) {
	return a.Now().UTC().Round(0), nil
}

func (a *API) serverClock(context.Context, *Call) (time.Time, error) {
	return a.Now().UTC().Round(0), nil
}

// capability: there are no hosts here, and no virtual machines to provision.
func (a *API) capability(context.Context, *Call) (types.Capability, error) {
	return types.Capability{}, nil
}

// retrieveProductComponents: the product is one piece.
func (a *API) retrieveProductComponents(context.Context, *Call, *types.RetrieveProductComponentsRequestType) ([]types.ProductComponentInfo, error) {
	return nil, nil
}
