package serve

import (
	"crypto/x509"
	"fmt"
	"net/http"
	"reflect"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/config"
	"github.com/vigate/vigate/internal/gateway/dispense"
	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/login/local"
	"github.com/vigate/vigate/internal/login/passthrough"
	"github.com/vigate/vigate/internal/metrics"
	"github.com/vigate/vigate/internal/server"
	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/trust"
	"github.com/vigate/vigate/internal/upstream"
	"github.com/vigate/vigate/internal/vim"
)

// hooks are the functions through which the parts of a server report metrics. All are nil, and cost
// nothing, if there is no admin listener that could serve metrics. lag is that of a storage.Opened.
type hooks struct {
	group   func(writes int, took time.Duration, err error)
	started func(method string)
	call    func(object, name, fault string, took time.Duration)
	counted func(store.Store) store.Store
	queued  func(upstream, what string, waited time.Duration)
	lag     func() (time.Duration, bool)
}

// store returns the store that the mirror writes to.
func (h hooks) store(s store.Store) store.Store {
	if h.counted == nil {
		return s
	}
	return h.counted(s)
}

// measure sets up metrics if there is an admin listener.
func (n *Node) measure(cfg config.Config) hooks {
	if cfg.AdminListen == "" {
		return hooks{}
	}
	n.metrics = metrics.New(metrics.Options{Version: Version, Logger: n.logger})
	return hooks{
		group: n.metrics.Group, started: n.metrics.Started, call: n.metrics.Observe, counted: n.metrics.Store,
		queued: n.metrics.Queued,
	}
}

// describeMetrics sets the names and functions that metrics report. lag is that of a storage.Opened.
func (n *Node) describeMetrics(methods []login.Method, lag func() (time.Duration, bool)) {
	if n.metrics == nil {
		return
	}
	var names []string
	for _, m := range methods {
		names = append(names, m.Name())
	}
	if n.local != nil {
		names = append(names, local.Method)
	}
	if len(n.fronts) > 0 {
		names = append(names, (*passthrough.Method)(nil).Name(), dispense.Method{}.Name())
	}
	var rows []metrics.Row
	for _, o := range n.API.Objects() {
		for _, m := range o.Methods {
			rows = append(rows, metrics.Row{Object: o.Type, Name: m.Name, Login: isLogin(&m)})
		}
		for _, p := range o.Properties {
			rows = append(rows, metrics.Row{Object: o.Type, Name: p.Name})
		}
	}
	n.metrics.DefineCalls(rows, names)
	n.metrics.Sample(metrics.Sources{
		Sessions: n.Sessions.Methods, Hashing: n.Accounts.Load, Ready: n.ready,
		Serving: n.Load,
		Applied: n.Mirror.Applied, Newest: n.Store.Newest, Lag: lag,
		Limits: n.Sessions.Limits, Largest: n.Sessions.Largest, Certificates: n.certificateEnds,
	})
	n.metrics.Upstreams(func() []upstream.State {
		var all []upstream.State
		for _, u := range n.upstreams() {
			all = append(all, u.State())
		}
		return all
	})
}

// certificateEnds returns the ends of the certificates of the server and of each front that has a TLS
// listener. The name of the server is "".
func (n *Node) certificateEnds() map[string]time.Time {
	ends := map[string]time.Time{"": n.certificate.Leaf().NotAfter}
	for _, f := range n.fronts {
		if f.config.Listen != "" {
			ends[f.config.Name] = f.certificate.Leaf().NotAfter
		}
	}
	return ends
}

// isLogin reports whether a method logs somebody in: anybody may call it, and it returns a session.
func isLogin(m *vim.Method) bool {
	return m.Privilege == vim.Anonymous && m.Result == reflect.TypeFor[types.UserSession]()
}

func (n *Node) metricsHandler() http.Handler {
	if n.metrics == nil {
		return nil
	}
	return n.metrics.Handler()
}

// adminAccess returns who may use the admin listener, or nil if every local client may.
func (n *Node) adminAccess(cfg config.Config) (*server.AdminAccess, error) {
	if len(cfg.AdminClientCA) == 0 && cfg.AdminTokenFile == "" {
		return nil, nil
	}
	a := &server.AdminAccess{}
	if len(cfg.AdminClientCA) > 0 {
		believed, err := trust.Open(cfg.AdminClientCA, nil, n.now, n.logger)
		if err != nil {
			return nil, fmt.Errorf("open admin listener: %w", err)
		}
		a.Certificate = func(presented []*x509.Certificate) error {
			return believed.Current().Check(presented, n.now())
		}
	}
	if cfg.AdminTokenFile != "" {
		token, err := trust.OpenToken(cfg.AdminTokenFile, n.now, n.logger)
		if err != nil {
			return nil, fmt.Errorf("open admin listener: %w", err)
		}
		a.Token = token.Is
	}
	return a, nil
}
