package etcd_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/store/etcd"
	"github.com/vigate/vigate/internal/store/storetest"
	"github.com/vigate/vigate/internal/store/transfer"
)

// epoch is a time before any event in testdata/counted.json expires.
var epoch = time.Date(2025, 3, 4, 5, 6, 7, 0, time.UTC)

// log is the event log of a node.
type log struct {
	*event.Log
	m *store.Mirror
}

func logOf(t *testing.T, s store.Store, keep int) log {
	t.Helper()
	l := log{Log: event.NewLog(event.Options{Now: func() time.Time { return epoch }, Keep: keep})}
	l.m = store.NewMirror(s, l.Log.View())
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = l.m.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return l
}

func (l log) post(t *testing.T, user string) {
	t.Helper()
	if _, err := l.m.Commit(t.Context(), l.Change(event.Event{Type: "UserLoginSessionEvent", User: user})); err != nil {
		t.Fatal(err)
	}
}

// has fails the test unless the log holds these events. Each number is also in the name of the
// event's user.
func (l log) has(t *testing.T, what string, want ...int) {
	t.Helper()
	if err := l.m.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := []string{}
	for _, e := range l.Query(event.Filter{}) {
		got = append(got, fmt.Sprint(e.Key, " ", e.User))
	}
	wanted := []string{}
	for _, n := range want {
		wanted = append(wanted, fmt.Sprintf("%d user-%d", n, n))
	}
	if !slices.Equal(got, wanted) {
		t.Errorf("%s: %q, want %q", what, got, wanted)
	}
}

func TestNumbersOutliveCompactionAndAreThoseOfEveryNode(t *testing.T) {
	opts := space()
	raw := client(t, shared)
	nodes := []log{logOf(t, opened(t, opts), 8), logOf(t, opened(t, opts), 8)}
	for i := range 12 {
		nodes[i%2].post(t, fmt.Sprint("user-", i+1))
	}
	for _, n := range nodes {
		n.has(t, "a node", 5, 6, 7, 8, 9, 10, 11, 12)
		if _, err := n.Trim(t.Context(), n.m, 3, false); err != nil {
			t.Fatal(err)
		}
	}
	resp, err := raw.Get(t.Context(), opts.Prefix)
	if err == nil {
		_, err = raw.Compact(t.Context(), resp.Header.Revision, clientv3.WithCompactPhysical())
	}
	if err != nil {
		t.Fatal(err)
	}
	logOf(t, opened(t, opts), 8).has(t, "a node that starts then", 5, 6, 7, 8, 9, 10, 11, 12)
	nodes[1].post(t, "user-13")
	for _, n := range append(nodes, logOf(t, opened(t, opts), 8)) {
		n.has(t, "after a further event", 6, 7, 8, 9, 10, 11, 12, 13)
	}
	if n := len(storetest.Appended(t, opened(t, opts), store.Event)); n != 9 {
		t.Errorf("%d events are in etcd, want those from 5 on", n)
	}
}

// counted fills a prefix as an earlier version did. There were ten events, each with a user that
// has the event's number in its name. That version had trimmed 1 and 2, and swept 5 and 10, which
// had expired.
func counted(t *testing.T) etcd.Options {
	t.Helper()
	opts := space()
	b, err := os.ReadFile("testdata/counted.json")
	if err != nil {
		t.Fatal(err)
	}
	var keys []struct {
		Key   string
		Value []byte
	}
	if err := json.Unmarshal(b, &keys); err != nil {
		t.Fatal(err)
	}
	raw := client(t, shared)
	for _, k := range keys {
		if _, err := raw.Put(t.Context(), opts.Prefix+"/"+k.Key, string(k.Value)); err != nil {
			t.Fatal(err)
		}
	}
	return opts
}

func TestEventsOfAnEarlierVersionKeepTheirNumbers(t *testing.T) {
	opts := counted(t)
	raw := client(t, shared)
	format := func() string {
		t.Helper()
		resp, err := raw.Get(t.Context(), opts.Prefix+"/format")
		if err != nil || len(resp.Kvs) != 1 {
			t.Fatal(resp, err)
		}
		return string(resp.Kvs[0].Value)
	}
	reading := opts
	reading.Purpose = etcd.Read
	source := opened(t, reading)
	logOf(t, source, 0).has(t, "read", 3, 4, 6, 7, 8, 9)
	other := space()
	into := filling(t, other)
	_, err := transfer.Copy(t.Context(), source, into, transfer.Options{})
	if err == nil {
		err = into.Finish(t.Context())
	}
	if err := errors.Join(err, into.Close()); err != nil {
		t.Fatal(err)
	}
	copied := logOf(t, opened(t, other), 0)
	copied.post(t, "user-11")
	copied.has(t, "a copy", 3, 4, 6, 7, 8, 9, 11)
	if f := format(); f != "vigate store 1" {
		t.Errorf("reading has changed it to %q", f)
	}
	// Nodes that start at the same time.
	stores := make([]*etcd.Store, 4)
	var wg sync.WaitGroup
	for i := range stores {
		wg.Go(func() {
			var err error
			if stores[i], err = etcd.Open(t.Context(), opts); err != nil {
				t.Errorf("Open: %v", err)
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
	if f := format(); f != "vigate store 2" {
		t.Errorf("the format is %q", f)
	}
	for i, s := range stores {
		t.Cleanup(func() { s.Close() })
		logOf(t, s, 0).post(t, fmt.Sprint("user-", 11+i))
	}
	for _, s := range stores {
		logOf(t, s, 0).has(t, "a node", 3, 4, 6, 7, 8, 9, 11, 12, 13, 14)
	}
	l := logOf(t, stores[0], 6)
	l.has(t, "a node that keeps few", 8, 9, 11, 12, 13, 14)
	if n, err := l.Trim(t.Context(), l.m, 100, false); n != 4 || err != nil {
		t.Errorf("trimmed %d, %v", n, err)
	}
	logOf(t, stores[1], 0).has(t, "after the trim", 8, 9, 11, 12, 13, 14)
}

func TestADamagedCounterOfAnEarlierVersionIsReported(t *testing.T) {
	opts := counted(t)
	if _, err := client(t, shared).Put(t.Context(), opts.Prefix+"/q/09", "damaged"); err != nil {
		t.Fatal(err)
	}
	if _, err := etcd.Open(t.Context(), opts); err == nil || !strings.Contains(err.Error(), opts.Prefix+"/q/09") {
		t.Errorf("Open = %v", err)
	}
}
