package metrics

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/account"
	"github.com/vigate/vigate/internal/server"
	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/store/storetest"
)

// newRecorder returns a Recorder with two rows and two login methods.
func newRecorder() *Recorder {
	r := New(Options{Version: "1.2.3", Logger: slog.New(slog.DiscardHandler)})
	r.DefineCalls([]Row{
		{Object: "SessionManager", Name: "Login", Login: true},
		{Object: "SessionManager", Name: "currentSession"},
	}, []string{"password", "clone"})
	return r
}

// read returns the handler's response, one line for each time series.
func read(t testing.TB, r *Recorder) []string {
	t.Helper()
	w := httptest.NewRecorder()
	r.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("%d: %s", w.Code, w.Body)
	}
	return strings.Split(w.Body.String(), "\n")
}

// want checks that the response contains each of the lines.
func want(t *testing.T, r *Recorder, lines ...string) {
	t.Helper()
	has := map[string]bool{}
	for _, l := range read(t, r) {
		has[l] = true
	}
	for _, l := range lines {
		if !has[l] {
			t.Errorf("no %s", l)
		}
	}
}

func TestCallsAreCountedByRowAndFault(t *testing.T) {
	r := newRecorder()
	r.Observe("SessionManager", "currentSession", "", 50*time.Microsecond)
	r.Observe("SessionManager", "currentSession", "", 2*time.Millisecond)
	r.Observe("SessionManager", "Login", "", time.Second)
	r.Observe("SessionManager", "Login", "InvalidLogin", time.Second)
	want(t, r,
		`vigate_calls_total{fault="",name="currentSession",object="SessionManager"} 2`,
		`vigate_calls_total{fault="InvalidLogin",name="Login",object="SessionManager"} 1`,
		`vigate_call_seconds_bucket{name="currentSession",object="SessionManager",le="0.0001"} 1`,
		`vigate_call_seconds_count{name="currentSession",object="SessionManager"} 2`,
		`vigate_logins_total{outcome="success"} 1`,
		`vigate_logins_total{outcome="InvalidLogin"} 1`,
	)
}

func TestClientsCannotCreateTimeSeries(t *testing.T) {
	r := newRecorder()
	r.Observe("SessionManager", "Login", "InvalidLogin", 0)
	r.Observe("Nonsense", "x", "InvalidType", 0)
	before := len(read(t, r))
	for i := range 1000 {
		r.Observe(fmt.Sprint("Type", i), "Login", "InvalidType", 0)
		r.Observe("SessionManager", fmt.Sprint("method", i), "InvalidType", 0)
	}
	if got := len(read(t, r)); got != before {
		t.Errorf("%d lines became %d", before, got)
	}
	want(t, r, `vigate_calls_total{fault="InvalidType",name="other",object="other"} 2001`)

	for i := range 2 * maxKinds {
		r.Observe("SessionManager", "currentSession", fmt.Sprint("Fault", i), 0)
		r.Started(fmt.Sprint("way", i))
	}
	if got := len(read(t, r)); got > before+maxKinds+2 {
		t.Errorf("%d lines became %d", before, got)
	}
	want(t, r, fmt.Sprintf(`vigate_sessions_started_total{login="other"} %d`, 2*maxKinds))
}

func TestObservingACallThatSucceededAllocatesNothing(t *testing.T) {
	r := newRecorder()
	if n := testing.AllocsPerRun(100, func() {
		r.Observe("SessionManager", "currentSession", "", time.Millisecond)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkObserve(b *testing.B) {
	r := newRecorder()
	b.ReportAllocs()
	for b.Loop() {
		r.Observe("SessionManager", "currentSession", "", 50*time.Microsecond)
	}
}

// broken is a store that fails with a given error.
type broken struct {
	store.Store
	err error
}

func (b broken) Commit(context.Context, ...store.Change) (store.Revision, error) { return 0, b.err }

func TestWritesAreCountedByOutcomeAndTicketsAsTheyAreSpent(t *testing.T) {
	r, ctx := newRecorder(), t.Context()
	s := r.Store(storetest.NewMemory(nil))
	commit := func(changes ...store.Change) {
		t.Helper()
		if _, err := s.Commit(ctx, changes...); err != nil {
			t.Fatal(err)
		}
	}
	never := time.Time{}
	commit(store.Create(store.Session, "s", nil, never))
	commit(store.Require(store.Session, "s"), store.Create(store.Ticket, "clone/1", nil, never),
		store.Create(store.Ticket, "http/1", nil, never))
	commit(store.Delete(store.Ticket, "clone/1"), store.Create(store.Session, "c", nil, never))
	commit(store.Create(store.Ticket, "made-up/1", nil, never), store.Delete(store.Session, "s"))
	if _, err := s.Commit(ctx, store.Delete(store.Ticket, "clone/1")); !errors.Is(err, store.ErrConflict) {
		t.Fatal(err)
	}
	if _, err := s.Touch(ctx, store.Record{Kind: store.Session, ID: "c", Revision: 1}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Sweep(ctx, 10, store.Ticket); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{store.ErrUnavailable, store.ErrClosed, store.ErrUncertain, context.Canceled,
		errors.New("?")} {
		if _, got := r.Store(broken{err: fmt.Errorf("commit: %w", err)}).Commit(ctx); !errors.Is(got, err) {
			t.Fatal(got)
		}
	}
	want(t, r,
		`vigate_store_writes_total{outcome="success",write="commit"} 4`,
		`vigate_store_writes_total{outcome="conflict",write="commit"} 1`,
		`vigate_store_writes_total{outcome="unavailable",write="commit"} 2`,
		`vigate_store_writes_total{outcome="uncertain",write="commit"} 1`,
		`vigate_store_writes_total{outcome="canceled",write="commit"} 1`,
		`vigate_store_writes_total{outcome="other",write="commit"} 1`,
		`vigate_store_writes_total{outcome="success",write="touch"} 1`,
		`vigate_store_writes_total{outcome="success",write="sweep"} 1`,
		`vigate_store_write_seconds_count{write="commit"} 10`,
		`vigate_tickets_total{sort="clone",what="issued"} 1`,
		`vigate_tickets_total{sort="clone",what="used"} 1`,
		`vigate_tickets_total{sort="http",what="issued"} 1`,
		`vigate_tickets_total{sort="http",what="used"} 0`,
		`vigate_tickets_total{sort="other",what="issued"} 1`,
		`vigate_sessions_ended_total 1`,
	)
	r.Group(3, time.Millisecond, nil)
	r.Group(1, time.Second, errors.New("disk full"))
	want(t, r,
		`vigate_store_group_writes_sum 4`,
		`vigate_store_group_seconds_count 2`,
		`vigate_store_groups_failed_total 1`,
	)
}

func TestSourcesAreReadWhenMetricsAreRequested(t *testing.T) {
	r := newRecorder()
	var newest error
	lag, knows := 1500*time.Millisecond, true
	r.Sample(Sources{
		Sessions: func() map[string]int { return map[string]int{"password": 5, "of another release": 2} },
		Hashing: func() account.Load {
			return account.Load{Running: 1, Waiting: 2, Slots: 3, Queue: 4, Hashes: 50, Refused: 6}
		},
		Serving: func() server.Load {
			return server.Load{Connections: map[string]int64{"tls": 7}, InFlight: 8, RefusedConnections: 9,
				RefusedRequests: 10}
		},
		Ready:   func() error { return errors.New("not yet") },
		Applied: func() store.Revision { return 90 },
		Newest:  func(context.Context) (store.Revision, error) { return 95, newest },
		Limits:  func() (int, int) { return 1000, 20 },
		Largest: func() int { return 19 },
		Certificates: func() map[string]time.Time {
			return map[string]time.Time{"": time.Unix(1_800_000_000, 5), "lab": time.Unix(1_700_000_000, 0)}
		},
		Lag: func() (time.Duration, bool) { return lag, knows },
	})
	r.Started("clone")
	want(t, r,
		`vigate_build_info{goversion="`+runtime.Version()+`",version="1.2.3"} 1`,
		`vigate_sessions{login="password"} 5`,
		`vigate_sessions{login="clone"} 0`,
		`vigate_sessions{login="other"} 2`,
		`vigate_sessions_started_total{login="clone"} 1`,
		`vigate_sessions_started_total{login="password"} 0`,
		`vigate_ready 0`,
		`vigate_sessions_limit{of="all"} 1000`, `vigate_sessions_limit{of="user"} 20`,
		`vigate_sessions_largest_user 19`,
		`vigate_certificate_end_seconds{front=""} 1.8e+09`, `vigate_certificate_end_seconds{front="lab"} 1.7e+09`,
		`vigate_store_lag_seconds 1.5`,
		`vigate_hashes_total 50`, `vigate_hashes_refused_total 6`, `vigate_hashes_running 1`, `vigate_hashes_waiting 2`,
		`vigate_hashes_slots 3`,
		`vigate_connections{listener="tls"} 7`, `vigate_requests_in_flight 8`,
		`vigate_connections_refused_total 9`, `vigate_requests_refused_total 10`,
		`vigate_store_revision_applied 90`, `vigate_store_revision_newest 95`, `vigate_store_watch_lag 5`,
	)
	newest, knows = store.ErrUnavailable, false
	unknown := []string{"vigate_store_watch_lag", "vigate_store_revision_newest", "vigate_store_lag_seconds"}
	for _, l := range read(t, r) {
		for _, name := range unknown {
			if strings.HasPrefix(l, name) {
				t.Errorf("it is not known, but there is: %s", l)
			}
		}
	}
}
