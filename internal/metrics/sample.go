package metrics

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/vigate/vigate/internal/account"
	"github.com/vigate/vigate/internal/server"
	"github.com/vigate/vigate/internal/store"
)

// Sources are functions that return current values. They are called whenever the metrics are
// requested. All but Lag are required, and only Newest may be slow.
type Sources struct {
	Sessions func() map[string]int // live sessions, by login method
	// Limits returns the maximum numbers of sessions in all and of one user. Largest returns the number
	// of sessions of the user that has most.
	Limits  func() (all, user int)
	Largest func() int
	// Certificates returns the ends of the certificates, by front; "" is the server itself.
	Certificates func() map[string]time.Time
	Hashing      func() account.Load
	Serving      func() server.Load
	Ready        func() error
	// Applied returns the revision of the store that this process has applied. Newest returns the
	// newest revision of the store.
	Applied func() store.Revision
	Newest  func(context.Context) (store.Revision, error)
	// Lag returns how long ago this process certainly knew every change in the store, and false if it
	// is not known. It is nil if only this process writes to the store.
	Lag func() (time.Duration, bool)
}

// newestWithin is how long the store may take to return its newest revision.
const newestWithin = time.Second

// sampler is a prometheus.Collector that reads the Sources.
type sampler struct {
	Sources
	methods map[string]bool

	sessions, limit, largest, certificate, ready   *prometheus.Desc
	hashes, refused, running, waiting, slots       *prometheus.Desc
	connections, inFlight, noConnection, noRequest *prometheus.Desc
	applied, newest, lag, lagTime                  *prometheus.Desc
}

// Sample adds metrics for the sources. It must be called once.
func (r *Recorder) Sample(s Sources) {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(prometheus.BuildFQName(namespace, "", name), help, labels, nil)
	}
	r.registry.MustRegister(&sampler{
		Sources: s, methods: r.methods,
		sessions: desc("sessions", "Live sessions, and expired ones that are not removed yet, by login method.",
			"login"),
		limit: desc("sessions_limit", "Maximum number of sessions, in all and of one user.", "of"),
		largest: desc("sessions_largest_user", "Number of sessions of the user that has most, with those that are "+
			"expired or about to start."),
		certificate: desc("certificate_end_seconds", "End of the certificate's validity, in Unix seconds, by front.",
			"front"),
		ready:   desc("ready", "1 if the server can serve."),
		hashes:  desc("hashes_total", "Password hashes requested."),
		refused: desc("hashes_refused_total", "Password hashes refused because too many were requested."),
		running: desc("hashes_running", "Password hashes being computed."),
		waiting: desc("hashes_waiting", "Password hashes waiting to be computed."),
		slots:   desc("hashes_slots", "Password hashes that may currently be computed at the same time."),

		connections:  desc("connections", "Open connections, by listener.", "listener"),
		inFlight:     desc("requests_in_flight", "Requests being served, including those that wait for changes."),
		noConnection: desc("connections_refused_total", "Connections closed because there were too many."),
		noRequest:    desc("requests_refused_total", "Requests refused because too many were being served."),

		applied: desc("store_revision_applied", "Revision of the store that this process has applied."),
		newest: desc("store_revision_newest", "Newest revision of the store; absent if the store does not return it "+
			"in time."),
		lag: desc("store_watch_lag", "Number of revisions that this process is behind the store."),
		lagTime: desc("store_lag_seconds", "Upper bound on how long this process is behind a shared store; absent if "+
			"it is not known."),
	})
}

// Describe implements prometheus.Collector.
func (s *sampler) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		s.sessions, s.limit, s.largest, s.certificate, s.ready, s.hashes, s.refused, s.running, s.waiting, s.slots,
		s.connections, s.inFlight, s.noConnection, s.noRequest, s.applied, s.newest, s.lag, s.lagTime,
	} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (s *sampler) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	counter := func(d *prometheus.Desc, v uint64) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v))
	}
	for method, n := range s.byMethod() {
		gauge(s.sessions, float64(n), method)
	}
	all, user := s.Limits()
	gauge(s.limit, float64(all), "all")
	gauge(s.limit, float64(user), "user")
	gauge(s.largest, float64(s.Largest()))
	for front, end := range s.Certificates() {
		gauge(s.certificate, float64(end.Unix()), front)
	}
	ready := 0.
	if s.Ready() == nil {
		ready = 1
	}
	gauge(s.ready, ready)

	h := s.Hashing()
	counter(s.hashes, h.Hashes)
	counter(s.refused, h.Refused)
	gauge(s.running, float64(h.Running))
	gauge(s.waiting, float64(h.Waiting))
	gauge(s.slots, float64(h.Slots))

	l := s.Serving()
	for name, n := range l.Connections {
		gauge(s.connections, float64(n), name)
	}
	gauge(s.inFlight, float64(l.InFlight))
	counter(s.noConnection, l.RefusedConnections)
	counter(s.noRequest, l.RefusedRequests)

	if s.Lag != nil {
		if lag, known := s.Lag(); known {
			gauge(s.lagTime, lag.Seconds())
		}
	}
	// The newest revision is read first. Otherwise a revision that is applied in between would look
	// like a lag.
	ctx, cancel := context.WithTimeout(context.Background(), newestWithin)
	defer cancel()
	newest, err := s.Newest(ctx)
	applied := s.Applied()
	gauge(s.applied, float64(applied))
	if err == nil {
		gauge(s.newest, float64(newest))
		gauge(s.lag, float64(max(newest, applied)-applied))
	}
}

// byMethod returns the number of live sessions by login method. Sessions in the store may have
// login methods that this process does not have; these count as other.
func (s *sampler) byMethod() map[string]int {
	all := map[string]int{}
	for m := range s.methods {
		all[m] = 0
	}
	for m, n := range s.Sessions() {
		all[known(s.methods, m)] += n
	}
	return all
}
