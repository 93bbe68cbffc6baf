package metrics

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/vigate/vigate/internal/account"
	"github.com/vigate/vigate/internal/server"
	"github.com/vigate/vigate/internal/store"
)

// Sources are looked at whenever the metrics are asked for. All are needed, and
// none may be slow but Newest.
type Sources struct {
	Sessions func() map[string]int // live, by way in
	Hashing  func() account.Load
	Serving  func() server.Load
	Ready    func() error
	// Applied is the revision that this process shows, Newest that of the store.
	Applied func() store.Revision
	Newest  func(context.Context) (store.Revision, error)
}

// newestWithin is how long the store has to tell its newest revision.
const newestWithin = time.Second

// sampler is a prometheus.Collector.
type sampler struct {
	Sources
	methods map[string]bool

	sessions, ready                                *prometheus.Desc
	hashes, refused, running, waiting, slots       *prometheus.Desc
	connections, inFlight, noConnection, noRequest *prometheus.Desc
	applied, newest, lag                           *prometheus.Desc
}

// Sample adds the sources. It is called once.
func (r *Recorder) Sample(s Sources) {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(prometheus.BuildFQName(namespace, "", name), help, labels, nil)
	}
	r.registry.MustRegister(&sampler{
		Sources: s, methods: r.methods,
		sessions: desc("sessions", "Sessions that are live, or expired and not swept yet, by way in.", "login"),
		ready:    desc("ready", "1 if the server can serve."),
		hashes:   desc("hashes_total", "Password hashes asked for."),
		refused:  desc("hashes_refused_total", "Password hashes refused because too many were asked for."),
		running:  desc("hashes_running", "Password hashes being computed."),
		waiting:  desc("hashes_waiting", "Password hashes that wait for their turn."),
		slots:    desc("hashes_slots", "Password hashes that may be computed at once now."),

		connections:  desc("connections", "Open connections, by listener.", "listener"),
		inFlight:     desc("requests_in_flight", "Requests being served, those that wait for changes included."),
		noConnection: desc("connections_refused_total", "Connections closed because there were too many."),
		noRequest:    desc("requests_refused_total", "Requests refused because there were too many in flight."),

		applied: desc("store_revision_applied", "The revision of the store that this process shows."),
		newest:  desc("store_revision_newest", "The newest revision of the store; absent when the store doesn't tell."),
		lag:     desc("store_watch_lag", "How many revisions this process is behind the store."),
	})
}

// Describe is part of prometheus.Collector.
func (s *sampler) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		s.sessions, s.ready, s.hashes, s.refused, s.running, s.waiting, s.slots,
		s.connections, s.inFlight, s.noConnection, s.noRequest, s.applied, s.newest, s.lag,
	} {
		ch <- d
	}
}

// Collect is part of prometheus.Collector.
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

	// The newest first: what is applied meanwhile must not look like a lag.
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

// byMethod is the live sessions by way in. Sessions of a way in that this
// process doesn't have may be in the store.
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
