package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/store/storetest"
)

// site is a store that nodes share, and a clock that the test sets.
type site struct {
	t     *testing.T
	now   time.Time
	store store.Store
}

func newSite(t *testing.T) *site {
	s := &site{t: t, now: time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)}
	s.store = storetest.NewMemory(func() time.Time { return s.now })
	t.Cleanup(func() { s.store.Close() })
	return s
}

// server starts a node that has not reported yet.
func (s *site) server(o Options) *Cluster {
	s.t.Helper()
	if o.Now == nil {
		o.Now = func() time.Time { return s.now }
	}
	o.Logger = slog.New(slog.DiscardHandler)
	c, err := New(o)
	if err != nil {
		s.t.Fatal(err)
	}
	m := store.NewMirror(s.store, c.View())
	c.Attach(m)
	ctx, stop := context.WithCancel(s.t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = m.Run(ctx) }()
	s.t.Cleanup(func() { stop(); <-done })
	if err := m.Wait(ctx, 0); err != nil {
		s.t.Fatal(err)
	}
	return c
}

func (s *site) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// sees fails the test unless the node sees nodes with these names.
func (s *site) sees(c *Cluster, names ...string) []Node {
	s.t.Helper()
	s.must(c.mirror.Sync(s.t.Context()))
	var got []string
	nodes := c.Nodes()
	for _, n := range nodes {
		got = append(got, n.Name)
	}
	if !slices.Equal(got, names) {
		s.t.Errorf("%s sees %q, want %q", c.self.Name, got, names)
	}
	return nodes
}

func TestEachServerSeesAllThatReport(t *testing.T) {
	s := newSite(t)
	lag, known := 1234*time.Millisecond, true
	b := s.server(Options{
		Name: "b", Version: "2", Sessions: func() int { return 7 },
		Lag: func() (time.Duration, bool) { return lag, known },
	})
	a := s.server(Options{Name: "a", Version: "1"})
	s.sees(a)
	a.Listens("https://192.0.2.1:443", "http://192.0.2.1:80")
	s.must(b.Report(t.Context()))
	started := s.now
	s.now = s.now.Add(3 * time.Second)
	s.must(a.Report(t.Context()))
	for _, c := range []*Cluster{a, b} {
		got := s.sees(c, "a", "b")
		urls := []string{"https://192.0.2.1:443", "http://192.0.2.1:80"}
		if n := got[0]; !slices.Equal(n.Addresses, urls) || n.Version != "1" || n.Sessions != 0 ||
			!n.Started.Equal(started) || !n.Reported.Equal(s.now) || n.Lag == nil || *n.Lag != 0 {
			t.Errorf("a is %+v", n)
		}
		if n := got[1]; n.Sessions != 7 || *n.Lag != lag || n.Key != b.self.Key || !n.Reported.Equal(started) {
			t.Errorf("b is %+v", n)
		}
	}
	known = false
	s.must(b.Report(t.Context()))
	if n := s.sees(a, "a", "b")[1]; n.Lag != nil {
		t.Errorf("b reports a lag that it does not know: %v", *n.Lag)
	}
}

func TestTwoServersOfOneNameAreTwo(t *testing.T) {
	s := newSite(t)
	a, b := s.server(Options{Name: "n"}), s.server(Options{Name: "n"})
	s.must(a.Report(t.Context()))
	s.must(b.Report(t.Context()))
	if got := s.sees(a, "n", "n"); got[0].Key == got[1].Key {
		t.Errorf("both have the key %s", got[0].Key)
	}
}

func TestAServerThatIsSilentIsShownNoMore(t *testing.T) {
	s := newSite(t)
	a, b := s.server(Options{Name: "a"}), s.server(Options{Name: "b"})
	s.must(a.Report(t.Context()))
	s.must(b.Report(t.Context()))
	for range 10 {
		s.now = s.now.Add(ReportEvery)
		s.must(a.Report(t.Context()))
		if want := s.now.Before(b.self.Started.Add(lifetime)); want {
			s.sees(a, "a", "b")
		} else {
			s.sees(a, "a")
		}
	}
	live, err := Live(t.Context(), s.store, s.now)
	if err != nil || len(live) != 1 || live[0].Key != a.self.Key {
		t.Errorf("Live = %+v, %v", live, err)
	}
	s.must(b.Report(t.Context())) // it was only paused
	s.sees(a, "a", "b")
}

func TestAServerThatEndsIsGoneAtOnce(t *testing.T) {
	s := newSite(t)
	a, b := s.server(Options{Name: "a"}), s.server(Options{Name: "b"})
	s.must(a.Leave(t.Context())) // it never reported
	s.must(a.Report(t.Context()))
	s.must(b.Report(t.Context()))
	s.sees(a, "a", "b")
	changed := a.Changed()
	s.must(b.Leave(t.Context()))
	s.sees(a, "a")
	select {
	case <-changed:
	default:
		t.Error("a change does not wake its waiters")
	}
}

func TestARecordThatCantBeReadHidesNoOther(t *testing.T) {
	s := newSite(t)
	a := s.server(Options{Name: "a"})
	s.must(a.Report(t.Context()))
	for i, value := range []string{
		"", "{}", "nonsense", `{"v":2,"name":"newer"}`, `{"v":1,"name":5}`, `{"v":1,"name":"odd","new":{"a":1}}`,
	} {
		_, err := s.store.Commit(t.Context(), store.Put(store.Node, fmt.Sprint(i), []byte(value), s.now.Add(time.Hour)))
		s.must(err)
	}
	s.sees(a, "a", "odd")
	s.sees(s.server(Options{Name: "later"}), "a", "odd")
	// A record that can't be read any more replaces the one from before.
	_, err := s.store.Commit(t.Context(), store.Put(store.Node, "5", []byte("{"), s.now.Add(time.Hour)))
	s.must(err)
	s.sees(a, "a")
}

func TestAStoreThatFailsIsAnError(t *testing.T) {
	s := newSite(t)
	a := s.server(Options{Name: "a"})
	s.must(s.store.Close())
	_, live := Live(t.Context(), s.store, s.now)
	for _, err := range []error{a.Report(t.Context()), a.Leave(t.Context()), live} {
		if !errors.Is(err, store.ErrClosed) {
			t.Errorf("a closed store gives %v", err)
		}
	}
	if _, err := New(Options{Random: bytes.NewReader(nil)}); err == nil {
		t.Error("a key was made without random bytes")
	}
}

func FuzzRecordsDecode(f *testing.F) {
	lag := 5 * time.Millisecond
	good, err := encode(Node{Name: "a", Addresses: []string{"https://[::]:443"}, Started: time.Unix(1, 2), Lag: &lag})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"v":1}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := decode(store.Record{ID: "k", Value: b})
		if err != nil {
			return
		}
		again, err := encode(n)
		if err != nil {
			return // a year that JSON's times don't have, or too large when quoted
		}
		if _, err := decode(store.Record{ID: "k", Value: again}); err != nil {
			t.Errorf("%+v is written as %s: %v", n, again, err)
		}
	})
}
