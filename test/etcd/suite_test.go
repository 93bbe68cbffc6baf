// Package etcd_test tests the etcd store with real etcd processes. It runs the suite of all stores,
// and tests of failures. It is in a module of its own, so that etcd's server is no dependency of
// vigate.
package etcd_test

import (
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/store/etcd"
	"github.com/vigate/vigate/internal/store/storetest"
	"github.com/vigate/vigate/test/etcd/member"
)

var (
	program  string         // etcd
	shared   *member.Member // for tests that don't disturb it
	prefixes atomic.Int64   // number of prefixes on it that were given out
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	// Tests make directories that are used as data directories. A group must not be able to write
	// into those.
	syscall.Umask(0o022)
	dir, err := os.MkdirTemp("", "etcd")
	if err == nil {
		defer os.RemoveAll(dir)
		program, err = member.Build(".", dir)
	}
	if err == nil {
		var members []*member.Member
		members, err = member.New(program, dir, 1, member.Options{})
		for _, m := range members {
			defer m.Kill()
			shared = m
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// slow is how long etcd may take to answer on a very busy machine. Tests that wait for a time-out
// set a shorter one.
const slow = time.Minute

// space returns options with a prefix of its own on the shared member.
func space() etcd.Options {
	return etcd.Options{
		StartTimeout: slow, Timeout: slow,
		Endpoints: []string{shared.Endpoint},
		Prefix:    fmt.Sprintf("/test/%d", prefixes.Add(1)),
		Logger:    slog.New(slog.DiscardHandler),
	}
}

func open(t testing.TB, opts etcd.Options) *etcd.Store {
	t.Helper()
	s, err := etcd.Open(t.Context(), opts)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	return s
}

// opened opens a store that is closed at the end of the test.
func opened(t testing.TB, opts etcd.Options) *etcd.Store {
	t.Helper()
	s := open(t, opts)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

func client(t testing.TB, m *member.Member) *clientv3.Client {
	t.Helper()
	c, err := m.Client()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// data is the data of one test of the suite: any number of handles on one prefix.
type data struct{ opts etcd.Options }

func (d data) Open(t *testing.T) store.Store { return open(t, d.opts) }

func (d data) Second(t *testing.T, _ store.Store) store.Store { return opened(t, d.opts) }

func TestEtcdIsAStore(t *testing.T) {
	storetest.Run(t, func(_ *testing.T, now func() time.Time) storetest.Data {
		opts := space()
		opts.Now = now
		return data{opts}
	})
}
