// Package etcd_test holds the store of a cluster to its contract on a real etcd,
// in a module of its own that keeps etcd's server out of the program's.
package etcd_test

import (
	"context"
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
	shared   *member.Member // for tests that leave it alone
	prefixes atomic.Int64   // counts the prefixes given out on it
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	// Directories that tests make are data directories, in which a group may not write.
	syscall.Umask(0o022)
	dir, err := os.MkdirTemp("", "etcd")
	if err == nil {
		defer os.RemoveAll(dir)
		program, err = member.Build(context.Background(), dir)
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

// slow is how long etcd may take for an answer on a machine that has much else to
// do. Tests that wait for a time-out set a shorter one.
const slow = time.Minute

// space is a prefix of its own on the shared member.
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

// opened is closed with the test.
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

// data is the suite's: any number of handles on one prefix.
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
