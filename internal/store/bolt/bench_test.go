package bolt

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/vigate/vigate/internal/store"
)

// sessionID returns ids that are spread as the hashes of tokens are.
func sessionID(i int) string {
	h := sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(i)))
	return base64.RawURLEncoding.EncodeToString(h[:])
}

func BenchmarkCommit(b *testing.B) {
	for _, committers := range []int{1, 16, 64} {
		b.Run(fmt.Sprint("committers=", committers), func(b *testing.B) {
			s := openTest(b, filepath.Join(b.TempDir(), "store.db"), Options{})
			value, expires := make([]byte, 250), time.Now().Add(time.Hour)
			before := transactions(b, s)
			b.ReportAllocs()
			b.ResetTimer()
			var wg sync.WaitGroup
			for w := range committers {
				wg.Go(func() {
					for i := w; i < b.N; i += committers {
						create := store.Create(store.Session, sessionID(i), value, expires)
						if _, err := s.Commit(b.Context(), create); err != nil {
							b.Error(err)
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/float64(transactions(b, s)-before), "commits/fsync")
		})
	}
}

// BenchmarkLoad opens a store of sessions and reads all of it. VIGATE_BENCH_SESSIONS sets how many;
// the default is 100,000.
func BenchmarkLoad(b *testing.B) {
	sessions := 100_000
	if v := os.Getenv("VIGATE_BENCH_SESSIONS"); v != "" {
		var err error
		if sessions, err = strconv.Atoi(v); err != nil {
			b.Fatal(err)
		}
	}
	path := filepath.Join(b.TempDir(), "store.db")
	fill(b, path, sessions)
	b.ReportAllocs()
	b.ResetTimer()
	var opening, loading time.Duration
	for range b.N {
		start := time.Now()
		s := openTest(b, path, Options{})
		opened := time.Now()
		opening += opened.Sub(start)
		n := 0
		err := s.Watch(b.Context(), func(batch store.Batch) error {
			if n += len(batch.Deltas); batch.Whole {
				return errEnough
			}
			return nil
		})
		if !errors.Is(err, errEnough) || n != sessions {
			b.Fatalf("read %d of %d sessions: %v", n, sessions, err)
		}
		loading += time.Since(opened)
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(opening.Seconds()/float64(b.N), "s/open")
	b.ReportMetric(loading.Seconds()/float64(b.N), "s/load")
}

var errEnough = errors.New("enough")

func openTest(t testing.TB, path string, opts Options) *Store {
	t.Helper()
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	s, err := Open(path, opts)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

// fill makes a closed store with that many sessions. It syncs only once, at the end.
func fill(t testing.TB, path string, sessions int) {
	t.Helper()
	s := openTest(t, path, Options{noSync: true})
	value, expires := make([]byte, 180), time.Now().Add(time.Hour)
	for i := 0; i < sessions; {
		var changes []store.Change
		for ; i < sessions && len(changes) < 50_000; i++ {
			expires := expires.Add(time.Duration(i) * time.Millisecond)
			changes = append(changes, store.Create(store.Session, sessionID(i), value, expires))
		}
		if _, err := s.Commit(context.Background(), changes...); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.db.Sync(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// transactions returns how many transactions were ever committed to the file.
func transactions(t testing.TB, s *Store) int {
	t.Helper()
	var n int
	if err := s.view(func(tx *bolt.Tx) error { n = tx.ID(); return nil }); err != nil {
		t.Fatal(err)
	}
	return n
}
