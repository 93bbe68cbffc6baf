package bolt

import (
	"bytes"
	"context"
	"errors"
	"os"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/vigate/vigate/internal/store"
)

// counting makes a closed file as schema 1 had it, with a counter of events.
func counting(t *testing.T, last uint64) string {
	t.Helper()
	path := sample(t)
	edit(t, path, func(tx *bolt.Tx) error {
		return errors.Join(putNumber(tx, schemaKey, countedSchema), putNumber(tx, sequenceKey(store.Event), last),
			putNumber(tx, sequenceKey(store.Spent), 3))
	})
	return path
}

// numberings returns the Numberings in the whole state of the stream.
func numberings(t *testing.T, s *Store) map[string]store.Numbering {
	t.Helper()
	found := map[string]store.Numbering{}
	whole := errors.New("whole")
	err := s.Watch(t.Context(), func(b store.Batch) error {
		for _, d := range b.Deltas {
			if d.Record.Kind == store.Numbers {
				n, err := store.ParseNumbering(d.Record)
				if err != nil {
					return err
				}
				found[d.Record.ID] = n
			}
		}
		if b.Whole {
			return whole
		}
		return nil
	})
	if !errors.Is(err, whole) {
		t.Fatal(err)
	}
	return found
}

func TestACounterOfAnEarlierSchemaIsReadAndKeptWithTheFirstCommit(t *testing.T) {
	path := counting(t, 42)
	was, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := store.Numbering{Counted: 42}
	is := func(s *Store, what string) {
		t.Helper()
		if got := numberings(t, s); len(got) != 1 || got[store.NumberingID(store.Event)] != want {
			t.Errorf("%s: %+v", what, got)
		}
	}
	for _, readOnly := range []bool{true, false} {
		s := openTest(t, path, Options{ReadOnly: readOnly})
		is(s, "read")
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now[:len(was)], was) {
			t.Errorf("reading has changed the file, %v", err)
		}
	}
	s := openTest(t, path, Options{noSync: true})
	ctx, cancel := context.WithCancel(t.Context())
	got := make(chan store.Record, 10)
	ended := make(chan error, 1)
	go func() {
		ended <- s.Watch(ctx, func(b store.Batch) error {
			for _, d := range b.Deltas {
				if d.Record.Kind == store.Numbers {
					got <- d.Record
				}
			}
			return nil
		})
	}()
	if first := <-got; first.Revision != 0 {
		t.Errorf("before the first commit: %+v", first)
	}
	rev, err := s.Commit(t.Context(), store.Put(store.Setting, "s", nil, time.Time{}))
	if err != nil {
		t.Fatal(err)
	}
	kept := <-got
	if n, err := store.ParseNumbering(kept); err != nil || n != want || kept.Revision == 0 || kept.Revision >= rev {
		t.Errorf("with the first commit, at %d: %+v, %v", rev, kept, err)
	}
	cancel()
	<-ended
	is(s, "afterwards")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openTest(t, path, Options{})
	is(s, "after reopening")
	if err := s.view(func(tx *bolt.Tx) error {
		n, _, err := number(tx, schemaKey)
		if n != schema || tx.Bucket(metaBucket).Get(sequenceKey(store.Event)) != nil {
			t.Errorf("schema %d, with the counters", n)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	trim := want.Trim(store.Event, kept.Revision, 43)
	if _, err := s.Commit(t.Context(), trim...); err != nil {
		t.Errorf("trim: %v", err)
	}
}
