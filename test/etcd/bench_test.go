package etcd_test

import (
	"fmt"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/vigate/vigate/internal/store"
)

// BenchmarkLogin compares the commit of a login (a session and its event) with one bare transaction
// that puts one key. It measures them in turn on one connection, and reports the ratio.
func BenchmarkLogin(b *testing.B) {
	s := opened(b, space())
	etcd := client(b, shared)
	value := make([]byte, 400)
	expires := time.Now().Add(time.Hour)
	login := func(id string) {
		must(b, s, store.Create(store.Session, id, value, expires), store.Append(store.Event, value, never))
	}
	login("first")
	var bare, ours time.Duration
	for i := 0; b.Loop(); i++ {
		began := time.Now()
		key := fmt.Sprint("/bare/", i)
		if _, err := etcd.Txn(b.Context()).If(clientv3.Compare(clientv3.CreateRevision(key), "=", 0)).
			Then(clientv3.OpPut(key, string(value))).Commit(); err != nil {
			b.Fatal(err)
		}
		bare += time.Since(began)
		began = time.Now()
		login(fmt.Sprint(i))
		ours += time.Since(began)
	}
	b.ReportMetric(float64(ours)/float64(bare), "×bare")
	b.ReportMetric(float64(ours.Microseconds())/float64(b.N), "µs/login")
	b.ReportMetric(float64(bare.Microseconds())/float64(b.N), "µs/bare")
}

// BenchmarkLogins measures the logins of 64 concurrent callers of one node.
func BenchmarkLogins(b *testing.B) {
	s := opened(b, space())
	value := make([]byte, 400)
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		worker := fmt.Sprintf("%p", pb)
		for i := 0; pb.Next(); i++ {
			must(b, s, store.Create(store.Session, fmt.Sprint(worker, i), value, never),
				store.Append(store.Event, value, never))
		}
	})
}

// BenchmarkSnapshot reads a state of 20,000 records.
func BenchmarkSnapshot(b *testing.B) {
	s := opened(b, space())
	const records = 20_000
	for i := 0; i < records; i += 500 {
		var changes []store.Change
		for j := range 500 {
			changes = append(changes, store.Put(store.Session, fmt.Sprint(i+j), make([]byte, 400), never))
		}
		must(b, s, changes...)
	}
	for b.Loop() {
		n := 0
		if err := s.Watch(b.Context(), func(batch store.Batch) error {
			if n += len(batch.Deltas); batch.Whole {
				return errWhole
			}
			return nil
		}); err != errWhole || n != records {
			b.Fatalf("%d records, %v", n, err)
		}
	}
	b.ReportMetric(records*float64(b.N)/b.Elapsed().Seconds(), "records/s")
}

var errWhole = fmt.Errorf("whole")
