package serve

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/gateway"
	"github.com/vigate/vigate/internal/gateway/link"
	"github.com/vigate/vigate/internal/gateway/path"
	"github.com/vigate/vigate/internal/property"
	"github.com/vigate/vigate/internal/rest"
	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/session"
	"github.com/vigate/vigate/internal/soap"
	"github.com/vigate/vigate/internal/translation"
	"github.com/vigate/vigate/internal/upstream"
	"github.com/vigate/vigate/internal/vijson"
	"github.com/vigate/vigate/internal/vim"
)

// passing is what an open front serves: its own SessionManager, and everything of the upstream.
type passing struct {
	calls *gateway.Front // SOAP
	// dispensers give tickets, by path.
	dispensers map[string]http.Handler
	json       http.Handler  // VI JSON
	paths      *path.Handler // all other paths, and the session resource of the Automation API
}

// newPassing assembles what a front serves. manager is the id of the upstream's SessionManager.
func (n *Node) newPassing(f *frontServer, manager string) (*passing, *vim.API, error) {
	api, err := f.front.Open(manager)
	if err != nil {
		return nil, nil, err
	}
	// The gateway reads the properties of SessionManager through a collector of the front. The collector
	// that clients name is the upstream's.
	if err := errors.Join(property.Serve(api, f.front.Sessions()), n.showUpstream(f, api)); err != nil {
		return nil, nil, err
	}
	local, sessions, json := http.NewServeMux(), http.NewServeMux(), http.NewServeMux()
	soap.Mount(local, api, n.bodies, soap.Options{Version: Release, Logger: f.logger})
	rest.Mount(sessions, api, n.bodies, f.front.Gate().Challenges())
	p := &passing{json: json, dispensers: f.dispensers}
	p.paths = &path.Handler{
		Upstream: f.upstream, API: api, Sessions: sessions, Bodies: n.bodies, Draining: api.Draining(),
		Logger: f.logger,
		Begin: func(ctx context.Context, c *vim.Call, a path.Access) (path.Passage, *vim.Fault) {
			v, fault := p.calls.Begin(ctx, c, gateway.Access(a))
			if fault != nil {
				return nil, fault
			}
			return visit{v}, nil
		},
		Explain: func(err error) (*vim.Fault, bool) { return p.calls.Explain(err) },
	}
	p.calls = gateway.New(gateway.Options{
		API: api, Upstream: f.upstream, Choose: f.front.Choose, Local: local, Fault: soap.Faults(api), Bodies: n.bodies,
		End: func(ctx context.Context, l *session.Live) error {
			return f.front.Sessions().End(ctx, l, session.Logout(l.Session()))
		},
		Links: links{f.upstream.URL(), p.paths.Serves}, Logger: f.logger,
	})
	front := translation.Over(p.calls, func(ctx context.Context) (*types.ServiceContent, error) {
		c, err := f.upstream.Content(ctx)
		if err != nil {
			fault, _ := p.calls.Explain(err)
			return nil, fault
		}
		return &c.ServiceContent, nil
	})
	vijson.MountWith(json, api, n.bodies, translation.New(front), "SessionManager", "UpstreamManager")
	return p, api, nil
}

// ServeHTTP serves one request. The path is compared as it was sent, because a file of the upstream may
// have any name.
func (p *passing) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	at := r.URL.Path
	read := r.Method == http.MethodGet || r.Method == http.MethodHead
	d := p.dispensers[at]
	switch {
	case d != nil:
		d.ServeHTTP(w, r)
	case strings.HasPrefix(at, vijson.Root), at == vijson.HelloPath:
		p.json.ServeHTTP(w, r)
	case at == "/sdk", strings.HasPrefix(at, "/sdk/") && !(read && strings.HasSuffix(at, ".xml")):
		p.calls.ServeHTTP(w, r)
	default:
		p.paths.ServeHTTP(w, r)
	}
}

// visit is an admitted request to another path.
type visit struct{ *gateway.Visit }

// Session implements path.Passage.
func (v visit) Session() path.Session { return pathSession{v.Visit.Session()} }

// pathSession is a session of the upstream as other paths use it.
type pathSession struct{ *upstream.Session }

// REST implements path.Session.
func (s pathSession) REST(ctx context.Context) (secret.Text, error) {
	r, err := s.Session.REST(ctx)
	switch {
	case err != nil:
		return secret.Text{}, err
	case r == nil:
		return secret.Text{}, vim.NotSupported("the upstream has no Automation API")
	}
	return r.Token(), nil
}

// errRefused is the sign that a session of the Automation API has ended.
var errRefused = errors.New("the Automation API refuses the session")

// ProbeREST implements path.Session. A session that the upstream has refused is replaced: a needless
// login costs less than a client that is refused for ever.
func (s pathSession) ProbeREST(ctx context.Context, id secret.Text) bool {
	if r, err := s.Session.REST(ctx); err == nil && r != nil && r.Token().Reveal() == id.Reveal() {
		r.Lost(errRefused)
	}
	return false
}

// links rewrites the URLs in messages, for the name by which the client knows the front.
type links struct {
	upstream *url.URL
	serves   func(path string) bool
}

// between returns the URLs by which the upstream and the client of the call name their servers. ok is false
// if the client has not said how it calls the front.
func (l links) between(c *vim.Call) (up, front *url.URL, ok bool) {
	front = &url.URL{Scheme: "http", Host: c.HTTP.Host}
	if c.Peer != nil && c.Peer.TLS {
		front.Scheme = "https"
	}
	return &url.URL{Scheme: l.upstream.Scheme, Host: l.upstream.Host}, front, plainHost(front.Host)
}

// plainHost reports whether a host that a client has sent can stand in every kind of text.
func plainHost(host string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	strange := func(r rune) bool { return !strings.ContainsRune(letters+".-_:[]", r) }
	return host != "" && !strings.ContainsFunc(host, strange)
}

func (l links) toFront(c *vim.Call) *link.Rewriter {
	up, front, ok := l.between(c)
	if !ok {
		return nil
	}
	return link.New([]*url.URL{up, {Scheme: up.Scheme, Host: "*"}}, front, l.serves)
}

// Answer implements gateway.Links.
func (l links) Answer(c *vim.Call, source io.Reader) io.Reader {
	if r := l.toFront(c); r != nil {
		return r.Reader(source)
	}
	return source
}

// Text implements gateway.Links.
func (l links) Text(c *vim.Call, text []byte) []byte {
	if r := l.toFront(c); r != nil {
		return []byte(r.Text(string(text)))
	}
	return text
}

// Request implements gateway.Links.
func (l links) Request(c *vim.Call, text []byte) []byte {
	up, front, ok := l.between(c)
	if !ok {
		return text
	}
	return []byte(link.New([]*url.URL{front}, up, l.serves).Text(string(text)))
}
