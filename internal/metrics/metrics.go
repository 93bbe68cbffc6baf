// Package metrics measures a server and serves the results as Prometheus metrics.
//
// A [Recorder] holds the metrics of one server. It learns of events through small functions that
// other packages call, such as [Recorder.Observe] and [Recorder.Started], and through
// [Recorder.Store], which wraps a store. All other values are read from [Sources] when the metrics
// are requested. The packages that are measured do not import this one.
//
// No label has a value that a client can choose, so the program determines the maximum number of
// time series. docs/metrics.md lists all metrics.
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

// other replaces every label value that was not defined in advance.
const other = "other"

// seconds are the bucket bounds for durations. A read takes about 20 µs and a hash about 30 ms. A
// call that waits for changes can take any time.
var seconds = []float64{.0001, .00025, .001, .0025, .01, .025, .1, .25, 1, 2.5, 10}

// Recorder holds the metrics of one server. After DefineCalls and Sample have been called, its
// methods are safe for concurrent use.
type Recorder struct {
	registry *prometheus.Registry
	logger   *slog.Logger

	rows    map[rowKey]*row
	unknown *row // for calls that have no row
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
	waited       map[[2]string]prometheus.Observer // by upstream and kind of call
}

// Options configure a Recorder. Version is required.
type Options struct {
	Version string // version of the server
	// Logger receives errors of the metrics handler. If nil, slog.Default is used.
	Logger *slog.Logger
}

// New makes a Recorder.
func New(o Options) *Recorder {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	r := &Recorder{registry: prometheus.NewRegistry(), logger: o.Logger, methods: map[string]bool{}}
	r.registry.MustRegister(collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	r.gauge("build_info", "Always 1; the labels name the build of the server.", "version", "goversion").
		WithLabelValues(o.Version, runtime.Version()).Set(1)
	r.calls = r.counter("calls_total", "Calls of the API, by object, method or property, and fault; the fault is "+
		"empty for success.", "object", "name", "fault")
	r.took = r.histogram("call_seconds", "Duration of calls of the API.", seconds, "object", "name")
	r.logins = r.counter("logins_total", "Logins of all methods, by outcome: success or the fault.", "outcome")
	r.started = r.counter("sessions_started_total", "Sessions started by this process, by login method.", "login")
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
	v := prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: namespace, Name: name, Help: help,
		Buckets: bounds}, labels)
	r.registry.MustRegister(v)
	return v
}

// Handler returns a handler that serves the metrics.
func (r *Recorder) Handler() http.Handler {
	return promhttp.HandlerFor(r.registry, promhttp.HandlerOpts{
		ErrorLog: errorLog{r.logger},
		// If one source fails, the other metrics are still served.
		ErrorHandling:       promhttp.ContinueOnError,
		MaxRequestsInFlight: 4,
		Timeout:             10 * time.Second,
	})
}

// errorLog logs the errors of promhttp.
type errorLog struct{ logger *slog.Logger }

func (l errorLog) Println(v ...any) { l.logger.Warn("metrics can't be served", "err", v) }

// Started counts a session that was started by the login method.
func (r *Recorder) Started(method string) {
	r.started.WithLabelValues(known(r.methods, method)).Inc()
}

func known(names map[string]bool, name string) string {
	if names[name] {
		return name
	}
	return other
}
