// Package metrics turns what goes on in a server into Prometheus metrics. What
// it measures knows nothing of it: it is fed by small hooks, and looks at the
// rest when it is asked.
//
// No label has a value that a client can choose, so the number of series is
// bounded by the program.
package metrics

import (
	"log/slog"
	"net/http"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const namespace = "vigate"

// other stands for every value that is not known beforehand.
const other = "other"

// seconds are the upper bounds for how long things take: a read takes some 20
// µs, a hash 30 ms, and what waits for changes has no bound.
var seconds = []float64{.0001, .00025, .001, .0025, .01, .025, .1, .25, 1, 2.5, 10}

// Recorder has the metrics of one server. Its methods may be called at the same
// time once Know and Sample have been.
type Recorder struct {
	registry *prometheus.Registry
	log      *slog.Logger

	rows    map[rowKey]*row
	unknown *row // for what has no row
	calls   *prometheus.CounterVec
	took    *prometheus.HistogramVec
	logins  *prometheus.CounterVec
	kinds   kinds

	started *prometheus.CounterVec
	methods map[string]bool

	tickets      *prometheus.CounterVec
	ended        prometheus.Counter
	writes       *prometheus.CounterVec
	writeSeconds *prometheus.HistogramVec
	group        prometheus.Observer
	groupSeconds prometheus.Observer
	groupFailed  prometheus.Counter
}

// Options of a Recorder. Version is needed.
type Options struct {
	Version string       // of the server
	Logger  *slog.Logger // nil: slog.Default
}

// New makes a recorder.
func New(o Options) *Recorder {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	r := &Recorder{registry: prometheus.NewRegistry(), log: o.Logger, methods: map[string]bool{}}
	r.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	r.gauge("build_info", "Always 1; which build of the server this is.", "version", "goversion").
		WithLabelValues(o.Version, runtime.Version()).Set(1)
	r.calls = r.counter("calls_total", "Calls of the API, by object, method or property, and fault; empty: none.", "object", "name", "fault")
	r.took = r.histogram("call_seconds", "How long calls of the API took.", seconds, "object", "name")
	r.logins = r.counter("logins_total", "Calls of all ways in, by outcome: success, or the fault.", "outcome")
	r.started = r.counter("sessions_started_total", "Sessions started by this process, by way in.", "login")
	r.openStore()
	return r
}

func (r *Recorder) gauge(name, help string, labels ...string) *prometheus.GaugeVec {
	v := prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help}, labels)
	r.registry.MustRegister(v)
	return v
}

func (r *Recorder) counter(name, help string, labels ...string) *prometheus.CounterVec {
	v := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
	r.registry.MustRegister(v)
	return v
}

func (r *Recorder) histogram(name, help string, bounds []float64, labels ...string) *prometheus.HistogramVec {
	v := prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: namespace, Name: name, Help: help, Buckets: bounds}, labels)
	r.registry.MustRegister(v)
	return v
}

// Handler serves the metrics.
func (r *Recorder) Handler() http.Handler {
	return promhttp.HandlerFor(r.registry, promhttp.HandlerOpts{
		ErrorLog: complaints{r.log},
		// One source that fails must not hide the others.
		ErrorHandling:       promhttp.ContinueOnError,
		MaxRequestsInFlight: 4,
		Timeout:             10 * time.Second,
	})
}

// complaints is where promhttp tells of errors.
type complaints struct{ log *slog.Logger }

func (c complaints) Println(v ...any) { c.log.Warn("metrics can't be told", "err", v) }

// Started counts a session that was started.
func (r *Recorder) Started(method string) {
	r.started.WithLabelValues(known(r.methods, method)).Inc()
}

func known(names map[string]bool, name string) string {
	if names[name] {
		return name
	}
	return other
}
