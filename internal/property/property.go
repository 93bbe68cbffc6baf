// Package property serves the managed objects with which clients read and watch other objects:
// PropertyCollector with its filters, and ViewManager with its views. [Serve] adds them to the API.
//
// Every property is read through the API's tables of rows on behalf of the caller. So a client sees
// here only what it would see by asking the object itself. The package has no access to the data
// behind the objects.
//
// A call that waits for changes does not poll: its goroutine sleeps on channels that are closed
// when the data changes. A collector does not keep the values that it has reported, only
// fingerprints (see package value).
package property

import (
	"sync"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/property/value"
	"github.com/vigate/vigate/internal/session"
	"github.com/vigate/vigate/internal/vim"
)

const (
	collectorType = "PropertyCollector"
	filterType    = "PropertyFilter"
)

// service is the state that all objects of the package share.
type service struct {
	api      *vim.API
	sessions *session.Manager
	values   *value.Shapes

	mu     sync.Mutex // guards owners
	owners map[session.Key]*owner
}

// Serve adds the package's objects to the API. sessions are those of the API's domain. Serve must be
// called before the first request.
func Serve(api *vim.API, sessions *session.Manager) error { return newService(api, sessions).serve() }

func newService(api *vim.API, sessions *session.Manager) *service {
	return &service{
		api:      api,
		sessions: sessions,
		values:   value.New(),
		owners:   map[session.Key]*owner{},
	}
}

func (s *service) serve() error {
	return s.api.Add(s.propertyCollector(), s.propertyFilter(), s.viewManager(), s.listView(), s.containerView())
}

func (s *service) propertyCollector() *vim.Object {
	return &vim.Object{
		Type: collectorType, ID: "propertyCollector",
		Methods: []vim.Method{
			vim.NewVoid("CancelRetrievePropertiesEx", vim.Anonymous, s.cancelRetrieve, vim.Faults("InvalidArgument")),
			vim.NewVoid("CancelWaitForUpdates", vim.View, s.cancelWait),
			vim.NewMethod("CheckForUpdates", vim.View, s.checkForUpdates, vim.Waits,
				vim.Faults("InvalidCollectorVersion")),
			vim.NewMethod("ContinueRetrievePropertiesEx", vim.Anonymous, s.continueRetrieve,
				vim.Faults("InvalidArgument")),
			vim.NewMethod("CreateFilter", vim.View, s.createFilter,
				vim.Faults("InvalidProperty", "InvalidType", "InvalidArgument")),
			vim.NewMethod("CreatePropertyCollector", vim.View, s.createCollector),
			vim.NewVoid("DestroyPropertyCollector", vim.View, s.destroyCollector, vim.Faults("NotSupported")),
			vim.NewMethod("RetrieveProperties", vim.Anonymous, s.retrieveProperties,
				vim.Faults("InvalidProperty", "InvalidType", "InvalidArgument")),
			vim.NewMethod("RetrievePropertiesEx", vim.Anonymous, s.retrievePropertiesEx,
				vim.Faults("InvalidProperty", "InvalidType", "InvalidArgument")),
			vim.NewMethod("WaitForUpdates", vim.View, s.waitForUpdates, vim.Waits,
				vim.Faults("InvalidCollectorVersion", "RequestCanceled")),
			vim.NewMethod("WaitForUpdatesEx", vim.View, s.waitForUpdatesEx, vim.Waits,
				vim.Faults("InvalidCollectorVersion", "InvalidArgument", "RequestCanceled")),
		},
		Properties: []vim.Property{
			vim.NewProperty("filter", vim.View, s.filters, vim.Watched(s.filtersChanged)),
		},
	}
}

func (s *service) propertyFilter() *vim.Object {
	return &vim.Object{
		Type: filterType,
		Methods: []vim.Method{
			vim.NewVoid("DestroyPropertyFilter", vim.View, s.destroyFilter),
		},
		Properties: []vim.Property{
			vim.NewProperty("partialUpdates", vim.View, s.filterPartial),
			vim.NewProperty("spec", vim.View, s.filterSpec),
		},
	}
}

// owner is a session's state in this package, apart from the session's own objects.
type owner struct {
	// base is the session's default collector. All sessions use the same reference for theirs.
	base *collector

	mu     sync.Mutex // guards the fields below
	pages  map[uint64]page
	tokens uint64 // token of the last page
	views  []types.ManagedObjectReference
	// viewsChanged is closed when a view is created or destroyed.
	viewsChanged chan struct{}
}

// owner returns the owner of the caller's session, or nil if the session has no state here yet.
func (s *service) owner(c *vim.Call) *owner {
	if c.Session == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.owners[c.Session.Key()]
}

// ensureOwner returns the owner of the caller's session and creates it if necessary. The default
// collector is registered as an object of the session, so it is closed when the session ends.
func (s *service) ensureOwner(c *vim.Call) (*owner, error) {
	if o := s.owner(c); o != nil {
		return o, nil
	}
	if c.Session == nil {
		return nil, vim.NotAuthenticated(c.Object, vim.View)
	}
	key := c.Session.Key()
	o := &owner{viewsChanged: make(chan struct{})}
	o.base = s.newCollector(o)
	o.base.onClose = func() { s.forget(key, o) }
	s.mu.Lock()
	if other := s.owners[key]; other != nil {
		s.mu.Unlock()
		return other, nil
	}
	s.owners[key] = o
	s.mu.Unlock()
	if _, err := s.instance(c, collectorType, o.base, 0); err != nil {
		s.forget(key, o)
		return nil, err
	}
	return o, nil
}

func (s *service) forget(key session.Key, o *owner) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.owners[key] == o {
		delete(s.owners, key)
	}
}

// instance creates an object of the caller's session. weight is the size of its state in bytes.
func (s *service) instance(c *vim.Call, typ string, v any, weight int64) (types.ManagedObjectReference, error) {
	ref, err := s.api.NewInstance(c.Session, typ, v, weight)
	if err != nil && !s.sessions.Alive(c.Session) {
		return ref, vim.NotAuthenticated(c.Object, vim.View)
	}
	return ref, err
}
