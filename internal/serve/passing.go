package serve

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/console"
	"github.com/vigate/vigate/internal/gateway"
	"github.com/vigate/vigate/internal/gateway/path"
	"github.com/vigate/vigate/internal/property"
	"github.com/vigate/vigate/internal/rest"
	"github.com/vigate/vigate/internal/session"
	"github.com/vigate/vigate/internal/sessionmanager"
	"github.com/vigate/vigate/internal/soap"
	"github.com/vigate/vigate/internal/translation"
	"github.com/vigate/vigate/internal/upstream"
	"github.com/vigate/vigate/internal/upstream/manager"
	"github.com/vigate/vigate/internal/vijson"
	"github.com/vigate/vigate/internal/vim"
	"github.com/vigate/vigate/internal/wsdl"
)

// passing is what an open front serves: its own SessionManager, and everything of the upstream.
type passing struct {
	calls *gateway.Front // SOAP
	// dispensers give tickets, by path.
	dispensers map[string]http.Handler
	json       http.Handler  // VI JSON
	paths      *path.Handler // all other paths, and the session resource of the Automation API
	pages      http.Handler  // the console; nil: none
}

// newPassing assembles what a front serves. id is that of the upstream's SessionManager.
func (n *Node) newPassing(f *frontServer, id string) (*passing, *vim.API, error) {
	api, err := f.front.Open(id)
	if err != nil {
		return nil, nil, err
	}
	// The gateway reads the properties of SessionManager through a collector of the front. The collector
	// that clients name is the upstream's.
	if err := errors.Join(property.Serve(api, f.front.Sessions()), n.showUpstream(f, api)); err != nil {
		return nil, nil, err
	}
	local, sessions, json := http.NewServeMux(), http.NewServeMux(), http.NewServeMux()
	rest.Mount(sessions, api, n.bodies, f.front.Gate().Challenges())
	p := &passing{json: json, dispensers: f.dispensers, pages: n.newConsole(api, f)}
	p.paths = &path.Handler{
		API: api, Sessions: sessions, Bodies: n.bodies, Calls: soap.Serves, Paths: f.config.Paths,
		Draining: api.Draining(), Logger: f.logger,
	}
	p.calls = gateway.New(gateway.Options{
		API: api, Upstream: f.upstream, Choose: f.front.Choose, Local: local, Fault: soap.Faults(api), Bodies: n.bodies,
		End: func(ctx context.Context, l *session.Live) error {
			return f.front.Sessions().End(ctx, l, session.Logout(l.Session()))
		},
		Links: p.paths, Thumbprint: f.thumbprint, Logger: f.logger,
	})
	p.paths.Through(p.calls)
	front := translation.Over(p.calls, func(ctx context.Context) (*types.ServiceContent, error) {
		c, err := f.upstream.Content(ctx)
		if err != nil {
			fault, _ := p.calls.Explain(err)
			return nil, fault
		}
		return &c.ServiceContent, nil
	})
	whole := translation.New(front)
	vijson.MountWith(json, api, n.bodies, whole, frontTypes...)
	describe := func() (*wsdl.Documents, error) {
		c, err := f.upstream.Content(context.Background())
		if err != nil {
			return nil, err
		}
		return n.described.Front(c.About.ApiVersion, api.Objects(), frontTypes, whole.Objects)
	}
	soap.Mount(local, api, n.bodies, soap.Options{Version: Release, Describe: describe, Logger: f.logger})
	return p, api, nil
}

// showUpstream adds to the API of a front the managed object that shows its upstream and the clients of it to
// operators.
func (n *Node) showUpstream(f *frontServer, api *vim.API) error {
	return manager.Serve(api, manager.Options{
		Upstreams: func() []*upstream.Upstream { return []*upstream.Upstream{f.upstream} }, Clients: n.clients,
	})
}

// frontTypes are the managed types that a front serves itself. All others are the upstream's.
var frontTypes = []string{"SessionManager", sessionmanager.FactsType, manager.ObjectType}

// ServeHTTP serves one request. The calls at /sdk take the way of all other paths, because that cleans a
// path before it decides by it.
func (p *passing) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	at := r.URL.Path
	d := p.dispensers[at]
	switch {
	case d != nil:
		d.ServeHTTP(w, r)
	case p.pages != nil && console.Serves(at):
		p.pages.ServeHTTP(w, r)
	case strings.HasPrefix(at, vijson.Root) && !soap.Serves(at), at == vijson.HelloPath:
		p.json.ServeHTTP(w, r)
	default:
		p.paths.ServeHTTP(w, r)
	}
}
