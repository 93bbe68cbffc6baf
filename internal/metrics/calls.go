package metrics

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Row is a method or property of the API.
type Row struct {
	Object, Name string
	Login        bool // it is a way in
}

type rowKey struct{ object, name string }

// row has what is counted of a Row at hand: looking labels up at each call
// would cost more than all the rest.
type row struct {
	Row
	succeeded prometheus.Counter
	took      prometheus.Observer
	loggedIn  prometheus.Counter // nil: no way in
}

// Know makes the metrics of the API's rows and of the ways in, by name. It is
// called once, before there are any calls.
func (r *Recorder) Know(rows []Row, waysIn []string) {
	for _, name := range waysIn {
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
	known := &row{Row: w, succeeded: r.calls.WithLabelValues(w.Object, w.Name, ""), took: r.took.WithLabelValues(w.Object, w.Name)}
	if w.Login {
		known.loggedIn = r.logins.WithLabelValues("success")
	}
	return known
}

// Observe counts a call of the API: of which row, with which fault, empty for
// none, and how long it took.
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

// kinds are the kinds of faults that have been seen.
type kinds struct {
	mu   sync.RWMutex // guards seen
	seen map[string]bool
}

// maxKinds bounds them. They are the server's own types, a few dozen; that they
// are few is still not left to chance.
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
