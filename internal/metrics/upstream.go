package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/vigate/vigate/internal/upstream"
)

// passThrough replaces the names of users that clients bring.
const passThrough = "pass-through"

// queues are what a call can wait for.
var queues = []string{"request", "wait"}

// upstreams is a prometheus.Collector that reads the states of the upstreams.
type upstreams struct {
	states func() []upstream.State

	up, sessions, places, ghosts, requests, waits, queued, owned *prometheus.Desc
	served, logins, failed, lost, refused                        *prometheus.Desc
}

// Upstreams adds metrics for the upstreams. states returns their current states; their names must not
// change. It must be called at most once, before Queued.
func (r *Recorder) Upstreams(states func() []upstream.State) {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(prometheus.BuildFQName(namespace, "upstream", name), help,
			append([]string{"upstream"}, labels...), nil)
	}
	r.registry.MustRegister(&upstreams{
		states:   states,
		up:       desc("up", "1 if the upstream can be reached."),
		sessions: desc("sessions", "SOAP sessions at the upstream that serve calls, by account.", "account"),
		places: desc("places", "Sessions that count towards max-sessions: also those that are being opened or ended, "+
			"those of the Automation API, and ghosts."),
		ghosts:   desc("ghosts", "Sessions that may be left at the upstream, and that this process can't use."),
		requests: desc("requests_in_flight", "Requests in flight at the upstream, without those that wait."),
		waits:    desc("waits_in_flight", "Requests in flight at the upstream that wait for changes."),
		queued:   desc("queued", "Calls that wait for their turn, by kind of call.", "what"),
		owned:    desc("owned", "Client sessions and objects that are tied to a session at the upstream."),
		served:   desc("requests_total", "Requests that got a session at the upstream."),
		logins:   desc("logins_total", "Logins tried at the upstream."),
		failed:   desc("logins_failed_total", "Logins at the upstream that failed."),
		lost:     desc("sessions_lost_total", "Sessions that the upstream has ended."),
		refused:  desc("refused_total", "Calls refused because no place was free in time."),
	})
	waited := r.histogram("upstream_queue_seconds", "Time that calls waited for their turn, by kind of call.", seconds,
		"upstream", "what")
	r.waited = map[[2]string]prometheus.Observer{}
	for _, s := range states() {
		for _, what := range queues {
			r.waited[[2]string{s.Name, what}] = waited.WithLabelValues(s.Name, what)
		}
	}
}

// Queued records how long a call waited for its turn. what is one of "request" and "wait".
func (r *Recorder) Queued(upstream, what string, waited time.Duration) {
	if o := r.waited[[2]string{upstream, what}]; o != nil {
		o.Observe(waited.Seconds())
	}
}

// Describe implements prometheus.Collector.
func (u *upstreams) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		u.up, u.sessions, u.places, u.ghosts, u.requests, u.waits, u.queued, u.owned,
		u.served, u.logins, u.failed, u.lost, u.refused,
	} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (u *upstreams) Collect(ch chan<- prometheus.Metric) {
	for _, s := range u.states() {
		gauge := func(d *prometheus.Desc, v int, labels ...string) {
			labels = append([]string{s.Name}, labels...)
			ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(v), labels...)
		}
		counter := func(d *prometheus.Desc, v uint64) {
			ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), s.Name)
		}
		up := 0
		if s.Err == nil {
			up = 1
		}
		gauge(u.up, up)
		accounts := map[string]int{}
		for _, a := range s.Accounts {
			if a.PassThrough {
				a.Name = passThrough
			}
			accounts[a.Name] += a.Sessions
		}
		for name, n := range accounts {
			gauge(u.sessions, n, name)
		}
		owned := 0
		for _, x := range s.Sessions {
			owned += x.Pins
		}
		gauge(u.places, s.Places)
		gauge(u.ghosts, s.Ghosts)
		gauge(u.requests, s.InFlight)
		gauge(u.waits, s.Waits)
		gauge(u.queued, s.Queued, queues[0])
		gauge(u.queued, s.QueuedWaits, queues[1])
		gauge(u.owned, owned)
		counter(u.served, s.Served)
		counter(u.logins, s.Logins)
		counter(u.failed, s.Failures)
		counter(u.lost, s.Lost)
		counter(u.refused, s.Full)
	}
}
