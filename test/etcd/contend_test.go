package etcd_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/store/storetest"
)

func TestTenThousandAppendsOfTwoNodesEachHaveANumber(t *testing.T) {
	const workers, appends = 100, 100
	opts := space()
	nodes := [2]store.Store{opened(t, opts), opened(t, opts)}
	watch := follow(t, opened(t, opts))
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range appends {
				id := fmt.Sprint(w, "-", i)
				_, err := nodes[w%2].Commit(t.Context(), store.Append(store.Event, []byte(id), never),
					store.Create(store.Session, id, nil, never))
				if err != nil {
					t.Errorf("Commit: %v", err)
					return
				}
			}
		})
	}
	wg.Wait()
	newest, err := nodes[0].Newest(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if state, _ := watch.upTo(t, newest); len(state) != 2*workers*appends {
		t.Errorf("%d records, want %d", len(state), 2*workers*appends)
	}
	seen := map[string]bool{}
	numbers := store.Numbering{}.Numberer()
	for i, r := range storetest.Appended(t, nodes[1], store.Event) {
		if n := numbers.Next(r.ID); n != uint64(i+1) || seen[string(r.Value)] {
			t.Fatalf("number %d is %+v", n, r)
		}
		seen[string(r.Value)] = true
	}
	if len(seen) != workers*appends {
		t.Errorf("%d events, want %d", len(seen), workers*appends)
	}
}

// hand is a clock that calls read when a store reads it.
type hand struct {
	at   time.Time
	read func()
}

func (h *hand) now() time.Time {
	if h.read != nil {
		h.read()
	}
	return h.at
}

func TestOneNodeSweepsAtATime(t *testing.T) {
	clock := &hand{at: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)}
	opts := space()
	opts.Now = clock.now
	a, b := open(t, opts), opened(t, opts)
	past := clock.at.Add(-time.Hour)
	for i := range 300 {
		must(t, b, store.Put(store.Ticket, fmt.Sprint(i), nil, past))
	}
	sweep := func(s store.Store, limit, want int) {
		t.Helper()
		if n, err := s.Sweep(t.Context(), limit, store.Ticket); err != nil || n != want {
			t.Fatalf("Sweep = %d, %v, want %d", n, err, want)
		}
	}
	sweep(a, 150, 150)
	sweep(b, 150, 0)
	sweep(a, 10, 10)
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	sweep(b, 10, 10)
	sweep(b, 1000, 130)
}

// The node is the leader when it looks for expired records, but not any more when it removes them.
func TestANodeThatWasReplacedAsSweeperRemovesNothing(t *testing.T) {
	clock := &hand{at: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)}
	opts := space()
	b := opened(t, opts)
	etcd := client(t, shared)
	opts.Now = clock.now
	a := opened(t, opts)
	must(t, a, store.Put(store.Ticket, "t", nil, clock.at.Add(-time.Hour)))
	clock.read = func() {
		clock.read = nil
		if resp, err := etcd.Delete(t.Context(), opts.Prefix+"/sweep"); err != nil || resp.Deleted != 1 {
			t.Errorf("Delete = %+v, %v", resp, err)
		}
		if n, err := b.Sweep(t.Context(), 1, store.Session); err != nil || n != 0 {
			t.Errorf("Sweep = %d, %v", n, err)
		}
	}
	for range 2 {
		if n, err := a.Sweep(t.Context(), 1, store.Ticket); err != nil || n != 0 {
			t.Errorf("Sweep = %d, %v, but another is the leader", n, err)
		}
	}
	if resp, err := etcd.Get(t.Context(), opts.Prefix+"/r/02/t"); err != nil || len(resp.Kvs) != 1 {
		t.Errorf("the ticket is gone: %+v, %v", resp, err)
	}
}

func TestAStoreOutlivesItsLease(t *testing.T) {
	opts := space()
	opts.NodeName = "one"
	s := opened(t, opts)
	etcd := client(t, shared)
	for i := range 3 {
		must(t, s, store.Put(store.Setting, "s", []byte{byte(i)}, never))
		if n, err := s.Sweep(t.Context(), 1, store.Setting); err != nil || n != 0 {
			t.Errorf("Sweep = %d, %v", n, err)
		}
		resp, err := etcd.Get(t.Context(), opts.Prefix+"/lease/", clientv3.WithPrefix())
		if err != nil || len(resp.Kvs) != 1 || string(resp.Kvs[0].Value) != "one" {
			t.Fatalf("leases: %+v, %v", resp, err)
		}
		if _, err := etcd.Revoke(t.Context(), clientv3.LeaseID(resp.Kvs[0].Lease)); err != nil {
			t.Fatal(err)
		}
	}
	rev := must(t, s, store.Put(store.Setting, "s", nil, never))
	revs, err := s.Touch(t.Context(), store.Record{Kind: store.Setting, ID: "s", Revision: rev})
	if err != nil || revs[0] == 0 {
		t.Errorf("Touch = %v, %v", revs, err)
	}
}

func TestAClosedStoreLeavesNoLease(t *testing.T) {
	opts := space()
	s := open(t, opts)
	must(t, s, store.Put(store.Setting, "s", nil, never))
	if _, err := s.Sweep(t.Context(), 1, store.Setting); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	resp, err := client(t, shared).Get(t.Context(), opts.Prefix+"/", clientv3.WithPrefix())
	if err != nil {
		t.Fatal(err)
	}
	var left []string
	for _, kv := range resp.Kvs {
		left = append(left, string(kv.Key[len(opts.Prefix):]))
	}
	if want := []string{"/format", "/r/08/s", "/r/head"}; !slices.Equal(left, want) {
		t.Errorf("the keys are %v, want %v", left, want)
	}
}

func TestManyChangesAreOneCommit(t *testing.T) {
	opts := space()
	s := opened(t, opts)
	watch := follow(t, s)
	var create, clear []store.Change
	for i := range 1000 {
		id := fmt.Sprintf("%04d", i)
		create = append(create, store.Put(store.Session, id, nil, never))
		clear = append(clear, store.Clear(store.Session, id))
	}
	rev := must(t, s, create...)
	if state, _ := watch.upTo(t, rev); len(state) != 1000 {
		t.Fatalf("%d records, want 1000", len(state))
	}
	var update, remove []store.Change
	for i := range 120 {
		update = append(update, store.Update(store.Session, fmt.Sprintf("%04d", i), rev, nil, never))
	}
	var conflict *store.ConflictError
	bad := append(slices.Clone(update), store.Update(store.Session, "0500", rev-1, nil, never))
	if _, err := s.Commit(t.Context(), bad...); !errors.As(err, &conflict) || conflict.Index != 120 {
		t.Errorf("Commit = %v, want a conflict at change 120", err)
	}
	must(t, s, update...)
	// Sixty sessions that end at once, each with its event.
	for i := range 60 {
		remove = append(remove, store.Delete(store.Session, fmt.Sprintf("%04d", i)),
			store.Append(store.Event, nil, never))
	}
	must(t, s, remove...)
	if state, _ := watch.upTo(t, must(t, s, clear...)); len(state) != 60 {
		t.Errorf("%d records remain, want the events", len(state))
	}
}

func TestACommitTooLargeForEtcdIsRefusedAlone(t *testing.T) {
	s := opened(t, space())
	var many []store.Change
	for i := range 200 {
		many = append(many, store.Create(store.Session, fmt.Sprint(i), nil, never))
	}
	huge := store.Put(store.Session, "huge", make([]byte, 2<<20), never)
	for name, changes := range map[string][]store.Change{
		"conditions": many, "bytes": {huge},
	} {
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				create := store.Create(store.Role, fmt.Sprint(name, i), nil, never)
				if _, err := s.Commit(t.Context(), create); err != nil {
					t.Errorf("beside a commit with too many %s: %v", name, err)
				}
			})
			if i == 4 {
				wg.Go(func() {
					_, err := s.Commit(t.Context(), changes...)
					if err == nil || errors.Is(err, store.ErrUncertain) || errors.Is(err, store.ErrConflict) {
						t.Errorf("Commit of too many %s = %v", name, err)
					}
				})
			}
		}
		wg.Wait()
	}
	for _, id := range []string{"0", "huge"} {
		if _, err := s.Get(t.Context(), store.Session, id); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s was written: %v", id, err)
		}
	}
}

func TestTouchesOfThousandsEachHaveTheirCondition(t *testing.T) {
	const n = 1050
	s := opened(t, space())
	var records []store.Record
	for i := range n {
		id := fmt.Sprint(i)
		rev := must(t, s, store.Put(store.Session, id, nil, never))
		records = append(records, store.Record{Kind: store.Session, ID: id, Revision: rev, Value: []byte("touched")})
	}
	for i := 0; i < n; i += 7 {
		must(t, s, store.Delete(store.Session, fmt.Sprint(i)))
	}
	records = append(records, records[1]) // not at that revision any more
	revs, err := s.Touch(t.Context(), records...)
	if err != nil || len(revs) != n+1 {
		t.Fatalf("Touch = %d revisions, %v", len(revs), err)
	}
	for i, rev := range revs {
		if (rev == 0) != (i%7 == 0 || i == n) {
			t.Errorf("touch %d gave %d", i, rev)
		}
	}
}
