package metrics

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Row is a method or property of the API.
type Row struct {
	Object, Name string
	Login        bool // a call of the row is a login
}

type rowKey struct{ object, name string }

// row holds the metrics of a Row. A lookup by labels at each call would cost more than everything
// else.
type row struct {
	Row
	succeeded prometheus.Counter
	took      prometheus.Observer
	loggedIn  prometheus.Counter // nil if the row is no login
}

// DefineCalls makes the metrics of the API's rows and of the login methods, which are given by
// name. It must be called once, before the first call is observed.
func (r *Recorder) DefineCalls(rows []Row, methods []string) {
	for _, name := range methods {
		r.methods[name] = true
		r.started.WithLabelValues(name)
	}
	r.rows = make(map[rowKey]*row, len(rows))
	for _, w := range rows {
		r.rows[rowKey{w.Object, w.Name}] = r.row(w)
	}
	r.unknown = r.row(Row{Object: other, Name: other})
}

func (r *Recorder) row(w Row) *row {
	known := &row{Row: w, succeeded: r.calls.WithLabelValues(w.Object, w.Name, ""),
		took: r.took.WithLabelValues(w.Object, w.Name)}
	if w.Login {
		known.loggedIn = r.logins.WithLabelValues("success")
	}
	return known
}

// Observe counts a call of the API: its row, its fault, or "" if it succeeded, and its duration.
func (r *Recorder) Observe(object, name, fault string, took time.Duration) {
	w := r.rows[rowKey{object, name}]
	if w == nil {
		w = r.unknown
	}
	w.took.Observe(took.Seconds())
	if fault == "" {
		w.succeeded.Inc()
		if w.loggedIn != nil {
			w.loggedIn.Inc()
		}
		return
	}
	fault = r.kinds.of(fault)
	r.calls.WithLabelValues(w.Object, w.Name, fault).Inc()
	if w.Login {
		r.logins.WithLabelValues(fault).Inc()
	}
}

// kinds is the set of fault kinds that have occurred.
type kinds struct {
	mu   sync.RWMutex // guards seen
	seen map[string]bool
}

// maxKinds limits the number of fault kinds, and with it the number of time series. The server has
// only a few dozen kinds.
const maxKinds = 100

func (k *kinds) of(kind string) string {
	k.mu.RLock()
	seen := k.seen[kind]
	k.mu.RUnlock()
	if seen {
		return kind
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.seen) >= maxKinds && !k.seen[kind] {
		return other
	}
	if k.seen == nil {
		k.seen = map[string]bool{}
	}
	k.seen[kind] = true
	return kind
}
