package serve

import (
	"net/http"
	"slices"

	"github.com/vigate/vigate/internal/console"
	"github.com/vigate/vigate/internal/console/authority"
	"github.com/vigate/vigate/internal/console/events"
	"github.com/vigate/vigate/internal/console/message"
	"github.com/vigate/vigate/internal/console/servers"
	"github.com/vigate/vigate/internal/console/sessions"
	"github.com/vigate/vigate/internal/console/settings"
	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/vim"
	"github.com/vigate/vigate/internal/welcome"
)

// mountPages adds the pages for browsers: the one at "/", and the console.
func (n *Node) mountPages(mux *http.ServeMux) {
	var more []welcome.Service
	if pages := n.newConsole(n.API, nil); pages != nil {
		mux.Handle(console.Root, pages)
		more = append(more, welcome.Service{Path: console.Root, Link: true, Text: "the console: vigate in a browser"})
	}
	welcome.Mount(mux, more...)
}

// newConsole returns the pages for browsers over an API: that of a front, or that of the server itself if f is nil.
// It returns nil if there is to be no console.
func (n *Node) newConsole(api *vim.API, f *frontServer) http.Handler {
	if !n.pages {
		return nil
	}
	o := console.Options{
		API: api, Bodies: n.bodies, Sections: sections(f != nil), Logger: n.logger,
		Kerberos: slices.ContainsFunc(n.methods, func(m login.Method) bool { return m.Name() == "kerberos" }),
	}
	for _, c := range n.sources.Clients() {
		o.Providers = append(o.Providers, c)
	}
	if f != nil {
		o.Front, o.Logger = f.config.Name, f.logger
		if f.front.PassThrough() {
			o.Kerberos, o.Providers = false, nil
		}
	}
	return console.New(o)
}

// sections returns the sections of a console: those of the server, or those of a front. A front has the API of
// sessions only, and shows the service message of its upstream.
func sections(front bool) []console.Section {
	all := []console.Section{sessions.New()}
	if front {
		return all
	}
	all = append(all, events.New(), message.New())
	all = append(all, authority.Sections()...)
	return append(all, settings.New(), servers.Nodes(), servers.Upstreams())
}
