package serve

import (
	"github.com/vigate/vigate/internal/upstream"
	"github.com/vigate/vigate/internal/upstream/manager"
	"github.com/vigate/vigate/internal/vim"
)

// showUpstream adds to the API of a front what operators see of its upstream, and of those who use it.
func (n *Node) showUpstream(f *frontServer, api *vim.API) error {
	return manager.Serve(api, manager.Options{
		Upstreams: func() []*upstream.Upstream { return []*upstream.Upstream{f.upstream} }, Clients: n.clients,
	})
}

// FrontReady returns an error while the front can't serve, or if there is none with the name.
func (n *Node) FrontReady(name string) error {
	for _, f := range n.fronts {
		if f.config.Name == name {
			return f.ready()
		}
	}
	return errNotReached
}
