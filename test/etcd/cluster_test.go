package etcd_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/test/etcd/member"
)

// leader returns the member that is etcd's leader.
func leader(t *testing.T, members []*member.Member) *member.Member {
	t.Helper()
	var found *member.Member
	eventually(t, "there is a leader", func() bool {
		for _, m := range members {
			resp, err := client(t, m).Status(t.Context(), m.Endpoint)
			if err == nil && resp.Leader == resp.Header.MemberId {
				found = m
			}
		}
		return found != nil
	})
	return found
}

// Two nodes write while one leader after another of three members is killed. It must be known of
// every commit whether it happened: no acknowledged commit is lost, and no failed one is in the
// store.
func TestKilledLeadersBreakNoPromise(t *testing.T) {
	members := member.Started(t, program, 3, member.Options{})
	opts := space()
	opts.Endpoints = nil
	for _, m := range members {
		opts.Endpoints = append(opts.Endpoints, m.Endpoint)
	}
	nodes := [2]store.Store{opened(t, opts), opened(t, opts)}
	watch := follow(t, opened(t, opts))

	var stop atomic.Bool
	var mu sync.Mutex // guards the variables below
	wrote, failed, uncertain := map[string]bool{}, map[string]error{}, 0
	var slowest time.Duration
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := 0; !stop.Load(); i++ {
				id := fmt.Sprint(w, "-", i)
				began := time.Now()
				_, err := nodes[w%2].Commit(t.Context(), store.Create(store.Session, id, nil, never),
					store.Append(store.Event, []byte(id), never))
				mu.Lock()
				slowest = max(slowest, time.Since(began))
				switch {
				case err == nil:
					wrote[id] = true
				case errors.Is(err, store.ErrUncertain):
					uncertain++
				default:
					failed[id] = err
				}
				mu.Unlock()
			}
		})
	}
	for range 2 {
		m := leader(t, members)
		if err := m.Kill(); err != nil {
			t.Fatal(err)
		}
		must(t, nodes[0], store.Put(store.Setting, "s", nil, never))
		if err := m.Start(); err != nil {
			t.Fatal(err)
		}
	}
	stop.Store(true)
	wg.Wait()
	newest, err := nodes[1].Newest(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	state, resets := watch.upTo(t, newest)
	events := map[string]int{}
	for _, r := range state {
		if r.Kind == store.Event {
			events[string(r.Value)]++
		}
	}
	for id := range wrote {
		if _, ok := state[id]; !ok || events[id] != 1 {
			t.Errorf("%s was acknowledged: present: %v, with %d events", id, ok, events[id])
		}
	}
	for id, err := range failed {
		if _, ok := state[id]; ok || events[id] != 0 {
			t.Errorf("%s is present, but failed with %v", id, err)
		}
		if !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("%s failed with %v", id, err)
		}
	}
	if resets != 1 {
		t.Errorf("%d resets, want only the first", resets)
	}
	t.Logf("%d acknowledged, %d failed, %d uncertain, slowest %v", len(wrote), len(failed), uncertain, slowest)
}
