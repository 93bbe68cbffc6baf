package bolt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/vigate/vigate/internal/store"
)

func TestASecondOpenIsRefusedAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	s := openTest(t, path, Options{})
	if _, err := Open(path, Options{}); !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), path) {
		t.Errorf("second Open: %v", err)
	}
	if _, err := Check(path); !errors.Is(err, ErrLocked) {
		t.Errorf("Check of an open store: %v", err)
	}
	if _, err := s.Commit(t.Context(), store.Put(store.Session, "a", nil, time.Time{})); err != nil {
		t.Errorf("the first was harmed: %v", err)
	}
}

func TestTheFileIsTheOwnersOnlyAndAlone(t *testing.T) {
	dir := t.TempDir()
	openTest(t, filepath.Join(dir, "store.db"), Options{})
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 || entries[0].Name() != "store.db" {
		t.Fatalf("the directory has %v, %v", entries, err)
	}
	if info, err := entries[0].Info(); err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func TestStoresOpenedAtOnceMakeOneFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	var wg sync.WaitGroup
	opened := make(chan *Store, 8)
	for range cap(opened) {
		wg.Go(func() {
			s, err := Open(path, Options{})
			if err == nil {
				opened <- s
			} else if !errors.Is(err, ErrLocked) {
				t.Errorf("Open: %v", err)
			}
		})
	}
	wg.Wait()
	close(opened)
	n := 0
	for s := range opened {
		n++
		s.Close()
	}
	if n != 1 {
		t.Errorf("%d opened the store", n)
	}
}

// hold blocks the writer until the test calls the returned function.
func hold(t *testing.T, s *Store) (free func()) {
	t.Helper()
	began, free1 := make(chan struct{}), make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		ended <- s.submit(context.Background(), func(*group) error {
			close(began)
			<-free1
			return nil
		})
	}()
	<-began
	return func() {
		close(free1)
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// queued waits until n requests are in the queue of the writer.
func queued(t *testing.T, s *Store, n int) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Minute); ; {
		s.writer.mu.Lock()
		got := len(s.writer.queue)
		s.writer.mu.Unlock()
		if got == n {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d requests wait, want %d", got, n)
		}
	}
}

// A commit that comes while the writer is busy shares a transaction with all others that wait.
func TestConcurrentCommitsShareAnFsync(t *testing.T) {
	s := openTest(t, filepath.Join(t.TempDir(), "store.db"), Options{})
	const committers, rounds = 64, 5
	for round := range rounds {
		free := hold(t, s)
		before := transactions(t, s)
		var wg sync.WaitGroup
		for w := range committers {
			wg.Go(func() {
				create := store.Create(store.Session, fmt.Sprint(w, "-", round), nil, time.Time{})
				if _, err := s.Commit(t.Context(), create); err != nil {
					t.Error(err)
				}
			})
		}
		queued(t, s, committers)
		free()
		wg.Wait()
		if n := transactions(t, s) - before; n != 1 {
			t.Errorf("%d waiting commits took %d transactions, want 1", committers, n)
		}
	}
}

func TestEachCommitOfAGroupHasItsOwnConditions(t *testing.T) {
	s := openTest(t, filepath.Join(t.TempDir(), "store.db"), Options{})
	free := hold(t, s)
	before := transactions(t, s)
	var wg sync.WaitGroup
	first := store.Create(store.Session, "a", []byte("first"), time.Time{})
	second := store.Create(store.Session, "a", []byte("second"), time.Time{})
	errs, revs := make([]error, 4), make([]store.Revision, 4)
	for i, changes := range [][]store.Change{
		{first},
		{store.Put(store.Session, "b", nil, time.Time{}), second},
		{store.Require(store.Session, "a")},
		{store.Delete(store.Session, "a"), store.Put(store.Session, "c", nil, time.Time{})},
	} {
		wg.Go(func() { revs[i], errs[i] = s.Commit(t.Context(), changes...) })
		queued(t, s, i+1)
	}
	free()
	wg.Wait()
	var conflict *store.ConflictError
	if errs[0] != nil || !errors.As(errs[1], &conflict) || conflict.Index != 1 || errs[2] != nil || errs[3] != nil {
		t.Fatalf("errors %v", errs)
	}
	if revs[0] == 0 || revs[2] != revs[0] || revs[3] != revs[0]+1 {
		t.Errorf("revisions %v", revs)
	}
	if n := transactions(t, s) - before; n != 1 {
		t.Errorf("%d transactions, want 1", n)
	}
	for id, want := range map[string]bool{"a": false, "b": false, "c": true} {
		if _, err := s.Get(t.Context(), store.Session, id); (err == nil) != want {
			t.Errorf("Get %q: %v", id, err)
		}
	}
}

func TestAWriteThatBreaksHarmsNoOtherOfItsGroup(t *testing.T) {
	s := openTest(t, filepath.Join(t.TempDir(), "store.db"), Options{})
	free := hold(t, s)
	var wg sync.WaitGroup
	errs := make([]error, 3)
	for i := range errs {
		wg.Go(func() {
			if i != 1 {
				_, errs[i] = s.Commit(t.Context(), store.Create(store.Session, fmt.Sprint(i), nil, time.Time{}))
				return
			}
			errs[i] = s.submit(t.Context(), func(g *group) error {
				if _, err := g.commit([]store.Change{store.Put(store.Session, "half", nil, time.Time{})}); err != nil {
					return err
				}
				panic("a page that can't be read")
			})
		})
		queued(t, s, i+1)
	}
	free()
	wg.Wait()
	if errs[0] != nil || !isDamage(errs[1], s.path) || errs[2] != nil {
		t.Fatalf("errors %v", errs)
	}
	for id, want := range map[string]bool{"0": true, "half": false, "2": true} {
		if _, err := s.Get(t.Context(), store.Session, id); (err == nil) != want {
			t.Errorf("Get %q: %v", id, err)
		}
	}
}

func TestACommitGivenUpInTheQueueIsNotWritten(t *testing.T) {
	s := openTest(t, filepath.Join(t.TempDir(), "store.db"), Options{})
	free := hold(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := s.Commit(ctx, store.Put(store.Session, "a", nil, time.Time{}))
		ended <- err
	}()
	queued(t, s, 1)
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("Commit: %v", err)
	}
	free()
	if _, err := s.Commit(t.Context(), store.Put(store.Session, "b", nil, time.Time{})); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(t.Context(), store.Session, "a"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Get: %v", err)
	}
}

func TestCloseFinishesWhatWasBegun(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	s := openTest(t, path, Options{})
	free := hold(t, s)
	ended := make(chan error, 1)
	go func() {
		_, err := s.Commit(context.Background(), store.Put(store.Session, "a", nil, time.Time{}))
		ended <- err
	}()
	queued(t, s, 1)
	closed := make(chan error, 1)
	go func() { closed <- s.Close() }()
	free()
	if err := errors.Join(<-ended, <-closed); err != nil {
		t.Fatal(err)
	}
	if _, err := openTest(t, path, Options{}).Get(t.Context(), store.Session, "a"); err != nil {
		t.Errorf("Get: %v", err)
	}
}

func TestAWatcherFarBehindGetsTheWholeStateAgain(t *testing.T) {
	s := openTest(t, filepath.Join(t.TempDir(), "store.db"), Options{lag: 10_000})
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	const commits = 1000
	entered, resume := make(chan struct{}), make(chan struct{})
	resets, state := 0, map[string]bool{}
	var at store.Revision
	ended := make(chan error, 1)
	go func() {
		ended <- s.Watch(ctx, func(b store.Batch) error {
			if b.Reset {
				resets++
				state = map[string]bool{}
			}
			for _, d := range b.Deltas {
				if state[d.Record.ID] = true; d.Deleted {
					delete(state, d.Record.ID)
				}
			}
			if b.Whole && resets == 1 {
				close(entered)
				<-resume
			}
			if at = b.Revision; resets > 1 && b.Revision == commits+1 {
				return errEnough
			}
			return nil
		})
	}()
	<-entered
	for i := range commits { // no commit waits for the watcher
		change := store.Put(store.Session, fmt.Sprint(i), make([]byte, 100), time.Time{})
		if i%2 == 1 {
			change = store.Delete(store.Session, fmt.Sprint(i-1))
		}
		if _, err := s.Commit(ctx, change); err != nil {
			t.Fatal(err)
		}
	}
	held := 0
	s.hub.mu.Lock()
	for q := range s.hub.queues {
		held += q.bytes
	}
	s.hub.mu.Unlock()
	if held > 10_000 {
		t.Errorf("%d bytes are held for the watcher", held)
	}
	close(resume)
	if _, err := s.Commit(ctx, store.Put(store.Session, "last", nil, time.Time{})); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, errEnough) {
		t.Fatalf("Watch: %v", err)
	}
	if resets != 2 || len(state) != 1 || !state["last"] || at != commits+1 {
		t.Errorf("%d resets, then %v at revision %d", resets, state, at)
	}
}

func TestAStateReadInPiecesAmidCommitsIsWhole(t *testing.T) {
	s := openTest(t, filepath.Join(t.TempDir(), "store.db"), Options{noSync: true})
	const pieces, step = 3, 7
	var changes []store.Change
	for i := range pieces * pieceRecords {
		changes = append(changes, store.Create(store.Session, sessionID(i), []byte("old"), time.Time{}))
	}
	if _, err := s.Commit(t.Context(), changes...); err != nil {
		t.Fatal(err)
	}
	seen, times := map[string]store.Revision{}, map[string]int{}
	var last store.Revision
	batches, wholes := 0, 0
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	err := s.Watch(ctx, func(b store.Batch) error {
		batches++
		for i := 0; i < 30 && batches <= pieces; i++ { // change records that were read and records that were not
			id := sessionID(batches*1000 + i*step)
			change := store.Put(store.Session, id, []byte("new"), time.Time{})
			if i%3 == 0 {
				change = store.Clear(store.Session, id)
			}
			var err error
			if last, err = s.Commit(t.Context(), change); err != nil {
				return err
			}
		}
		for _, d := range b.Deltas {
			times[fmt.Sprint(d.Record.ID, d.Record.Revision)]++
			if seen[d.Record.ID] = d.Record.Revision; d.Deleted {
				delete(seen, d.Record.ID)
			}
		}
		if b.Whole {
			wholes++
		}
		if wholes > 0 && b.Revision == last {
			return errEnough
		}
		return nil
	})
	if !errors.Is(err, errEnough) || batches <= pieces || wholes != 1 {
		t.Fatalf("Watch after %d batches, %d of them whole: %v", batches, wholes, err)
	}
	for change, n := range times {
		if n != 1 {
			t.Errorf("%s was seen %d times", change, n)
		}
	}
	for i := range pieces * pieceRecords {
		id := sessionID(i)
		if r, err := s.Get(t.Context(), store.Session, id); r.Revision != seen[id] {
			t.Errorf("record %d is at revision %d (%v), the stream leads to %d", i, r.Revision, err, seen[id])
		}
	}
}

func TestABackupMadeAmidCommitsIsAStore(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, filepath.Join(dir, "store.db"), Options{noSync: true})
	var first store.Revision
	ctx, cancel := context.WithCancel(t.Context())
	began := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for i := 0; ctx.Err() == nil; i++ {
			change := store.Put(store.Session, sessionID(i), make([]byte, 300), time.Now().Add(time.Hour))
			if _, err := s.Commit(context.Background(), change); err != nil {
				t.Error(err)
			}
			if i == 200 {
				close(began)
			}
		}
	}()
	<-began
	first, err := s.Newest(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := s.Backup(&b); err != nil {
		t.Fatal(err)
	}
	cancel()
	<-ended
	path := filepath.Join(dir, "backup.db")
	writeFile(t, path, b.Bytes())
	report, err := Check(path)
	got := report.Records[store.Session]
	if err != nil || len(report.Damage) > 0 || report.Revision < first || got != int(report.Revision) {
		t.Fatalf("Check: %+v, %v; revision %d before the backup", report, err, first)
	}
	restored := openTest(t, path, Options{})
	rev, err := restored.Commit(t.Context(), store.Put(store.Session, "new", nil, time.Time{}))
	if err != nil || rev != report.Revision+1 {
		t.Errorf("Commit = %d, %v", rev, err)
	}
}

func TestAMetaPageThatWasWrittenButNotSyncedLeavesTheOutcomeOpen(t *testing.T) {
	s := openTest(t, filepath.Join(t.TempDir(), "store.db"), Options{})
	failed := errors.New("sync failed")
	err := s.submit(t.Context(), func(g *group) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	// The state after such a failure: the new revision can already be read.
	edited := s.db.Update(func(tx *bolt.Tx) error { return putNumber(tx, revisionKey, 9) })
	if edited != nil {
		t.Fatal(edited)
	}
	if err := s.failed(9, failed); !errors.Is(err, store.ErrUncertain) || !errors.Is(err, failed) {
		t.Errorf("failed = %v", err)
	}
	_, err = s.Commit(t.Context(), store.Put(store.Session, "a", nil, time.Time{}))
	if !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Commit: %v", err)
	}
	if _, err := s.Get(t.Context(), store.Session, "a"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Get: %v", err)
	}
}
