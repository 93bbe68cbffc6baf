package etcd_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/store/etcd"
	"github.com/vigate/vigate/test/etcd/member"
)

func TestADamagedRecordIsReportedWithItsKey(t *testing.T) {
	opts := space()
	s := opened(t, opts)
	raw := client(t, shared)
	must(t, s, store.Put(store.Session, "whole", nil, never), store.Put(store.Session, "bad", []byte("value"), never),
		store.Append(store.Event, nil, never))
	break1 := func(key string, change func([]byte) []byte) {
		t.Helper()
		resp, err := raw.Get(t.Context(), opts.Prefix+key)
		if err != nil || len(resp.Kvs) != 1 {
			t.Fatalf("Get = %+v, %v", resp, err)
		}
		if _, err := raw.Put(t.Context(), opts.Prefix+key, string(change(resp.Kvs[0].Value))); err != nil {
			t.Fatal(err)
		}
	}
	want := func(what, key string, err error) {
		t.Helper()
		var damage *store.DamagedError
		if !errors.As(err, &damage) || !strings.Contains(damage.Where, opts.Prefix+key) {
			t.Errorf("%s = %v, want damage at %s", what, err, key)
		}
	}
	break1("/r/01/bad", func(b []byte) []byte { b[len(b)-1] ^= 1; return b })
	_, err := s.Get(t.Context(), store.Session, "bad")
	want("Get", "/r/01/bad", err)
	want("Watch", "/r/01/bad", s.Watch(t.Context(), func(store.Batch) error { return nil }))
	_, err = s.Sweep(t.Context(), 10, store.Session)
	want("Sweep", "/r/01/bad", err)
	_, err = s.Commit(t.Context(), store.Create(store.Session, "bad", nil, never))
	want("Commit", "/r/01/bad", err)
	if _, err := s.Get(t.Context(), store.Session, "whole"); err != nil {
		t.Errorf("Get of another: %v", err)
	}

	must(t, s, store.Put(store.Session, "bad", nil, never)) // repairs it
	watching := make(chan error, 1)
	whole := make(chan bool, 1)
	go func() {
		watching <- s.Watch(context.Background(), func(b store.Batch) error {
			if b.Whole {
				whole <- true
			}
			return nil
		})
	}()
	<-whole
	break1("/r/01/whole", func([]byte) []byte { return nil })
	want("Watch", "/r/01/whole", <-watching)
}

func TestAPrefixThatHoldsSomethingElseIsRefused(t *testing.T) {
	opts := space()
	if _, err := client(t, shared).Put(t.Context(), opts.Prefix+"/format", "vigate store 3"); err != nil {
		t.Fatal(err)
	}
	if _, err := etcd.Open(t.Context(), opts); err == nil || !strings.Contains(err.Error(), "vigate store 3") {
		t.Errorf("Open = %v", err)
	}
}

func TestOpenSaysWhenEtcdIsNotThere(t *testing.T) {
	opts := space()
	opts.Endpoints = []string{"127.0.0.1:1"}
	opts.StartTimeout = 300 * time.Millisecond
	if _, err := etcd.Open(t.Context(), opts); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Open = %v", err)
	}
}

func TestAnEtcdWithoutSpaceIsUnavailableForWritesUntilThereIsSome(t *testing.T) {
	m := member.Started(t, program, 1, member.Options{Args: []string{"--quota-backend-bytes", fmt.Sprint(4 << 20)}})[0]
	opts := space()
	opts.Endpoints = []string{m.Endpoint}
	opts.Timeout = slow
	s := opened(t, opts)
	watch := follow(t, s)
	rev := must(t, s, store.Create(store.Session, "s", nil, never))
	last := rev
	wrote := map[string]bool{}
	var err error
	for i := 0; err == nil && i < 100; i++ {
		id := fmt.Sprint("event", i)
		var at store.Revision
		if at, err = s.Commit(t.Context(), store.Create(store.Setting, id, make([]byte, 256<<10), never)); err == nil {
			last = at
			wrote[id] = true
		}
	}
	if !errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrUncertain) {
		t.Fatalf("Commit into a full etcd = %v", err)
	}
	_, err = s.Touch(t.Context(), store.Record{Kind: store.Session, ID: "s", Revision: rev})
	if !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Touch in a full etcd = %v", err)
	}
	if _, err := s.Get(t.Context(), store.Session, "s"); err != nil {
		t.Errorf("Get from a full etcd = %v", err)
	}
	if state, _ := watch.upTo(t, last); len(state) != len(wrote)+1 {
		t.Errorf("%d records, but %d commits were acknowledged", len(state), len(wrote)+1)
	}

	raw := client(t, m)
	resp, err := raw.Delete(t.Context(), opts.Prefix+"/r/08/", clientv3.WithPrefix())
	if err == nil {
		_, err = raw.Compact(t.Context(), resp.Header.Revision, clientv3.WithCompactPhysical())
	}
	if err == nil {
		_, err = raw.Defragment(t.Context(), m.Endpoint)
	}
	if err == nil {
		_, err = raw.AlarmDisarm(t.Context(), &clientv3.AlarmMember{})
	}
	if err != nil {
		t.Fatal(err)
	}
	state, _ := watch.upTo(t, must(t, s, store.Put(store.Session, "healed", nil, never)))
	if len(state) != 2 {
		t.Errorf("%d records after the space was freed, want 2", len(state))
	}
}
