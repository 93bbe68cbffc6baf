package bolt

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/vigate/vigate/internal/store"
)

// sample makes a closed store with records of several kinds on many pages.
func sample(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "store.db")
	s := openTest(t, path, Options{noSync: true})
	for n := range 4 {
		var changes []store.Change
		for i := range 100 {
			id := sessionID(n*100 + i)
			changes = append(changes, store.Create(store.Session, id, []byte("session "+id), time.Now().Add(time.Hour)))
		}
		changes = append(changes, store.Create(store.Setting, fmt.Sprint(n), []byte("setting"), time.Time{}),
			store.Append(store.Event, []byte(strings.Repeat("event ", 2000)), time.Time{}))
		if _, err := s.Commit(t.Context(), changes...); err != nil {
			t.Fatal(err)
		}
	}
	return backUp(t, s)
}

// backUp makes a file of the store. It does not have the reserved space that bbolt keeps at the
// end.
func backUp(t testing.TB, s *Store) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "backup.db")
	var b bytes.Buffer
	if err := s.Backup(&b); err != nil {
		t.Fatal(err)
	}
	writeFile(t, path, b.Bytes())
	return path
}

// contents reads the whole store, through its stream and record by record.
func contents(t testing.TB, path string) (map[string]string, error) {
	t.Helper()
	s, err := Open(path, Options{noSync: true})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	all := map[string]string{}
	err = s.Watch(t.Context(), func(b store.Batch) error {
		for _, d := range b.Deltas {
			r := d.Record
			all[fmt.Sprint(r.Kind, " ", r.ID)] = fmt.Sprint(r.Revision, r.Expires, string(r.Value))
			if _, err := s.Get(t.Context(), r.Kind, r.ID); err != nil {
				return err
			}
		}
		if b.Whole {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return all, err
}

func isDamage(err error, where ...string) bool {
	var damage *store.DamagedError
	if !errors.As(err, &damage) {
		return false
	}
	for _, w := range where {
		if !strings.Contains(err.Error(), w) {
			return false
		}
	}
	return true
}

func TestAFlippedByteIsReportedOrChangesNothing(t *testing.T) {
	path := sample(t)
	whole, err := contents(t, path)
	if err != nil || len(whole) != 408 {
		t.Fatalf("%d records, %v", len(whole), err)
	}
	report, err := Check(path)
	if n := report.Records; err != nil || len(report.Damage) > 0 || n[store.Session] != 400 || n[store.Event] != 4 {
		t.Fatalf("Check of a sound file: %+v, %v", report, err)
	}
	sound, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	found, pageSize, bad := 0, os.Getpagesize(), filepath.Join(t.TempDir(), "bad.db")
	for i := range 400 {
		at := rng.IntN(len(sound))
		if i%3 == 0 { // at the beginning of a page, where elements begin
			at = at/pageSize*pageSize + rng.IntN(64)
		}
		flip := byte(1 + rng.IntN(255))
		sound[at] ^= flip
		writeFile(t, bad, sound)
		sound[at] ^= flip
		report, err := Check(bad)
		if err != nil {
			t.Fatalf("byte %d flipped by %#x: Check: %v", at, flip, err)
		}
		got, err := contents(t, bad)
		switch {
		case err != nil && !isDamage(err, bad):
			t.Fatalf("byte %d flipped by %#x: %v", at, flip, err)
		case err != nil && len(report.Damage) == 0:
			t.Fatalf("byte %d flipped by %#x: Check misses %v", at, flip, err)
		case err == nil:
			for id, r := range whole {
				if got[id] != r {
					t.Fatalf("byte %d flipped by %#x: %s is %q", at, flip, id, got[id])
				}
			}
			if len(got) != len(whole) {
				t.Fatalf("byte %d flipped by %#x: %d records", at, flip, len(got))
			}
		}
		if len(report.Damage) > 0 {
			found++
		}
	}
	if found < 40 {
		t.Errorf("only %d flips were found: are they where the data is?", found)
	}
}

func writeFile(t testing.TB, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestAShortFileIsNeverTakenForNew(t *testing.T) {
	sound, err := os.ReadFile(sample(t))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "short.db")
	for _, size := range []int{0, 1, 79, 4096, 8191, 8192, 16384, 65536} {
		writeFile(t, path, sound[:size])
		if _, err := contents(t, path); !isDamage(err, path) {
			t.Errorf("a file cut to %d bytes: %v", size, err)
		}
		if report, err := Check(path); err != nil || len(report.Damage) == 0 {
			t.Errorf("Check of a file cut to %d bytes: %+v, %v", size, report, err)
		}
		if info, err := os.Stat(path); err != nil || info.Size() != int64(size) {
			t.Errorf("the damaged file was changed: %v, %v", info, err)
		}
	}
	writeFile(t, path, []byte(strings.Repeat("no store at all ", 10_000)))
	if _, err := contents(t, path); !isDamage(err, path) {
		t.Errorf("another file: %v", err)
	}
	if _, err := Check(filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Check of no file: %v", err)
	}
}

func TestAPageOfTwoBucketsIsFound(t *testing.T) {
	path := sample(t)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// In a leaf, the bucket's root follows its name.
	roots := regexp.MustCompile(`(?s)x\x01(.\x00{7})\x00{8}`).FindAllSubmatchIndex(b, -1)
	other := regexp.MustCompile(`(?s)r\x01(.\x00{7})\x00{8}`).FindAllSubmatch(b, -1)
	if len(roots) == 0 || len(other) == 0 {
		t.Fatal("no bucket found in the file")
	}
	for _, at := range roots {
		copy(b[at[2]:at[3]], other[len(other)-1][1])
	}
	writeFile(t, path, b)
	if _, err := Open(path, Options{}); !isDamage(err, path, "used twice") {
		t.Errorf("Open: %v", err)
	}
}

// edit changes a closed store without the checks of package bolt.
func edit(t testing.TB, path string, fn func(*bolt.Tx) error) {
	t.Helper()
	db, err := bolt.Open(path, 0o600, &bolt.Options{NoFreelistSync: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.Update(fn), db.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestADamagedRecordIsNamedAndHarmsNoOther(t *testing.T) {
	path := sample(t)
	id := sessionID(7)
	edit(t, path, func(tx *bolt.Tx) error {
		b := tx.Bucket(recordBucket(store.Session))
		v := append([]byte(nil), b.Get([]byte(id))...)
		v[len(v)-1] ^= 1
		return b.Put([]byte(id), v)
	})
	s := openTest(t, path, Options{Now: func() time.Time { return time.Now().Add(2 * time.Hour) }})
	ctx := t.Context()
	where := []string{path, "kind 1", id}
	if _, err := s.Get(ctx, store.Session, id); !isDamage(err, where...) {
		t.Errorf("Get: %v", err)
	}
	if _, err := s.Commit(ctx, store.Create(store.Session, id, nil, time.Time{})); !isDamage(err, where...) {
		t.Errorf("Create: %v", err)
	}
	if _, err := s.Commit(ctx, store.Clear(store.Session, id)); !isDamage(err, where...) {
		t.Errorf("Clear: %v", err)
	}
	if n, err := s.Sweep(ctx, 1000, store.Session); n != 0 || !isDamage(err, where...) {
		t.Errorf("Sweep = %d, %v", n, err)
	}
	if err := s.Watch(ctx, func(store.Batch) error { return nil }); !isDamage(err, where...) {
		t.Errorf("Watch: %v", err)
	}
	rev, err := s.Commit(ctx, store.Put(store.Session, "other", []byte("1"), time.Time{}))
	if err != nil {
		t.Errorf("Commit of another record: %v", err)
	}
	revs, err := s.Touch(ctx, store.Record{Kind: store.Session, ID: id, Revision: 1},
		store.Record{Kind: store.Session, ID: "other", Revision: rev})
	if err != nil || revs[0] != 0 || revs[1] == 0 {
		t.Errorf("Touch = %v, %v", revs, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	report, err := Check(path)
	if n := report.Records[store.Session]; err != nil || len(report.Damage) != 1 || n != 400 ||
		!isDamage(report.Damage[0], where...) {
		t.Errorf("Check: %+v, %v", report, err)
	}
}

func TestADamagedIndexIsFound(t *testing.T) {
	for name, change := range map[string]func(b *bolt.Bucket, key []byte) error{
		"lacks the record": func(b *bolt.Bucket, key []byte) error { return b.Delete(key) },
		"not there": func(b *bolt.Bucket, key []byte) error {
			return b.Put(append(key[:len(key):len(key)], 'x'), nil)
		},
	} {
		path := sample(t)
		edit(t, path, func(tx *bolt.Tx) error {
			b := tx.Bucket(expiryBucket(store.Session))
			key, _ := b.Cursor().First()
			return change(b, append([]byte(nil), key...))
		})
		report, err := Check(path)
		if err != nil || len(report.Damage) != 1 || !isDamage(report.Damage[0], path, name) {
			t.Errorf("%s: Check: %+v, %v", name, report, err)
		}
	}
}

func TestDamagedNumbersAreFound(t *testing.T) {
	for _, key := range [][]byte{schemaKey, revisionKey, sequenceKey(store.Event)} {
		path := sample(t)
		edit(t, path, func(tx *bolt.Tx) error {
			return errors.Join(putNumber(tx, schemaKey, countedSchema), putNumber(tx, sequenceKey(store.Event), 4))
		})
		edit(t, path, func(tx *bolt.Tx) error {
			v := append([]byte(nil), tx.Bucket(metaBucket).Get(key)...)
			v[len(v)-1] ^= 1
			return tx.Bucket(metaBucket).Put(key, v)
		})
		s, err := Open(path, Options{})
		if err == nil {
			_, err = s.Commit(t.Context(), store.Append(store.Event, nil, time.Time{}))
			s.Close()
		}
		if !isDamage(err, path) {
			t.Errorf("%q: %v", key, err)
		}
		if report, err := Check(path); err != nil || len(report.Damage) == 0 {
			t.Errorf("%q: Check: %+v, %v", key, report, err)
		}
	}
	for _, key := range [][]byte{schemaKey, revisionKey} {
		path := sample(t)
		edit(t, path, func(tx *bolt.Tx) error { return tx.Bucket(metaBucket).Delete(key) })
		if report, err := Check(path); err != nil || len(report.Damage) == 0 {
			t.Errorf("%q missing: Check: %+v, %v", key, report, err)
		}
	}
}

func TestANewestRevisionThatIsBehindOverwritesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	s := openTest(t, path, Options{noSync: true})
	event := store.Append(store.Event, []byte("event"), time.Time{})
	rev, err := s.Commit(t.Context(), event)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	edit(t, path, func(tx *bolt.Tx) error { return putNumber(tx, revisionKey, uint64(rev-1)) })
	s = openTest(t, path, Options{})
	id := store.AppendedID(rev, 0)
	if _, err := s.Commit(t.Context(), event); !isDamage(err, path, id) {
		t.Errorf("Append: %v", err)
	}
	if r, err := s.Get(t.Context(), store.Event, id); err != nil || string(r.Value) != "event" {
		t.Errorf("Get = %+v, %v", r, err)
	}
}

func TestANewerSchemaIsRefused(t *testing.T) {
	path := sample(t)
	edit(t, path, func(tx *bolt.Tx) error { return putNumber(tx, schemaKey, schema+1) })
	_, err := Open(path, Options{})
	want := fmt.Sprint("schema ", schema+1)
	if err == nil || isDamage(err) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), want) {
		t.Errorf("Open: %v", err)
	}
	if _, err := Check(path); err == nil {
		t.Error("Check returned no error")
	}
}

func FuzzDecodeTakesOnlyWhatWasEncoded(f *testing.F) {
	r := store.Record{Kind: store.Session, Value: []byte("value"), Revision: 7, Expires: time.Unix(1, 2)}
	f.Add([]byte("id"), encode(r, []byte("id")))
	f.Add([]byte(""), []byte(nil))
	f.Fuzz(func(t *testing.T, id, b []byte) {
		r, err := decode(store.Session, id, b)
		if err == nil && r.Expires.Nanosecond() < 0 {
			t.Errorf("decoded %+v", r)
		}
		if other, err2 := decode(store.Ticket, id, b); err == nil && err2 == nil {
			t.Errorf("one record is of two kinds: %+v", other)
		}
	})
}

func FuzzPagesThatPassTheCheckCanBeRead(f *testing.F) {
	s := openTest(f, filepath.Join(f.TempDir(), "store.db"), Options{noSync: true})
	for i := range 60 {
		change := store.Put(store.Session, fmt.Sprint(i), make([]byte, 200), time.Now().Add(time.Hour))
		if _, err := s.Commit(f.Context(), change); err != nil {
			f.Fatal(err)
		}
	}
	sound, err := os.ReadFile(backUp(f, s))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(uint32(0), []byte(nil))
	f.Add(uint32(4096*3+10), []byte{0xff, 0xff})
	f.Add(uint32(8), []byte{1})
	f.Add(uint32(4096*3+10), []byte{1}) // the number of a page's elements
	f.Add(uint32(4096*3+10), []byte{0})
	f.Fuzz(func(t *testing.T, at uint32, patch []byte) {
		b := append([]byte(nil), sound...)
		copy(b[int(at)%len(b):], patch)
		bad := filepath.Join(t.TempDir(), "bad.db")
		writeFile(t, bad, b)
		if got, err := contents(t, bad); err == nil && len(got) != 60 || err != nil && !isDamage(err, bad) {
			t.Errorf("%d records, %v", len(got), err)
		}
	})
}
