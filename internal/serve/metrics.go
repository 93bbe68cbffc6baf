package serve

import (
	"net/http"
	"reflect"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/config"
	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/metrics"
	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/vim"
)

// hooks is where the parts tell what they do. Without an admin listener nobody
// asks for metrics, all are nil, and nothing is paid for.
type hooks struct {
	group   func(writes int, took time.Duration, err error)
	started func(method string)
	call    func(object, name, fault string, took time.Duration)
	counted func(store.Store) store.Store
}

// store is what the mirror writes through.
func (h hooks) store(s store.Store) store.Store {
	if h.counted == nil {
		return s
	}
	return h.counted(s)
}

// measure makes the metrics, if anybody can ask for them.
func (n *Node) measure(cfg config.Config) hooks {
	if cfg.AdminListen == "" {
		return hooks{}
	}
	n.metrics = metrics.New(metrics.Options{Version: Version, Logger: n.logger})
	return hooks{group: n.metrics.Group, started: n.metrics.Started, call: n.metrics.Observe, counted: n.metrics.Store}
}

// know gives the metrics what they name.
func (n *Node) know(waysIn []login.Method) {
	if n.metrics == nil {
		return
	}
	var names []string
	for _, m := range waysIn {
		names = append(names, m.Name())
	}
	var rows []metrics.Row
	for _, o := range n.API.Objects() {
		for _, m := range o.Methods {
			rows = append(rows, metrics.Row{Object: o.Type, Name: m.Name, Login: isWayIn(&m)})
		}
		for _, p := range o.Properties {
			rows = append(rows, metrics.Row{Object: o.Type, Name: p.Name})
		}
	}
	n.metrics.DefineCalls(rows, names)
	n.metrics.Sample(metrics.Sources{
		Sessions: n.Sessions.Methods, Hashing: n.Accounts.Load, Ready: n.ready,
		Serving: n.Load,
		Applied: n.Mirror.Applied, Newest: n.Store.Newest,
	})
}

// isWayIn: what answers anybody with a session.
func isWayIn(m *vim.Method) bool {
	return m.Privilege == vim.Anonymous && m.Result == reflect.TypeFor[types.UserSession]()
}

func (n *Node) metricsHandler() http.Handler {
	if n.metrics == nil {
		return nil
	}
	return n.metrics.Handler()
}
