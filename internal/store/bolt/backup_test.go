package bolt

import (
	"bytes"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/store"
)

// halting is a writer that blocks after its first bytes, until letGo is closed.
type halting struct {
	bytes.Buffer
	stuck, letGo chan struct{}
	then         error // the result of all writes after that
}

func newHalting(then error) *halting {
	return &halting{stuck: make(chan struct{}), letGo: make(chan struct{}), then: then}
}

func (h *halting) Write(p []byte) (int, error) {
	if h.Len() == 0 {
		close(h.stuck)
		<-h.letGo
	}
	n, _ := h.Buffer.Write(p)
	return n, h.then
}

func TestCommitsGoOnWhileABackupIsStuckAndAreNotInIt(t *testing.T) {
	s := openTest(t, filepath.Join(t.TempDir(), "store.db"), Options{noSync: true})
	put := func(from, to int) {
		t.Helper()
		for i := from; i < to; i++ {
			change := store.Put(store.Session, sessionID(i), make([]byte, 300), time.Time{})
			if _, err := s.Commit(t.Context(), change); err != nil {
				t.Fatal(err)
			}
		}
	}
	put(0, 100)
	if _, err := s.Commit(t.Context(), store.Delete(store.Session, sessionID(7))); err != nil {
		t.Fatal(err)
	}
	h := newHalting(nil)
	done := make(chan error, 1)
	go func() { done <- s.Backup(h) }()
	<-h.stuck
	put(50, 1000) // frees all pages of the backup's instant, many times
	if _, err := s.Commit(t.Context(), store.Delete(store.Session, sessionID(8))); err != nil {
		t.Fatal(err)
	}
	close(h.letGo)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "backup.db")
	writeFile(t, path, h.Bytes())
	report, err := Check(path)
	if err != nil || len(report.Damage) > 0 || report.Revision != 101 || report.Records[store.Session] != 99 {
		t.Errorf("Check: %+v, %v", report, err)
	}
	got, err := contents(t, path)
	if err != nil || got["1 "+sessionID(8)] == "" || got["1 "+sessionID(7)] != "" {
		t.Errorf("session 8 %q, session 7 %q, %v", got["1 "+sessionID(8)], got["1 "+sessionID(7)], err)
	}
}

func TestABackupThatBreaksOffHoldsNothingUp(t *testing.T) {
	s := openTest(t, filepath.Join(t.TempDir(), "store.db"), Options{noSync: true})
	h := newHalting(errors.New("the reader is gone"))
	close(h.letGo)
	if err := s.Backup(h); err == nil || !strings.Contains(err.Error(), "the reader is gone") {
		t.Errorf("Backup: %v", err)
	}
	if err := s.Close(); err != nil { // waits for readers
		t.Error(err)
	}
	if err := s.Backup(new(bytes.Buffer)); !errors.Is(err, store.ErrClosed) {
		t.Errorf("Backup of a closed store: %v", err)
	}
}

func TestABackupIsSoundAfterEachFurtherTransaction(t *testing.T) {
	s := openTest(t, filepath.Join(t.TempDir(), "store.db"), Options{noSync: true})
	for range 2 { // even and odd
		if _, err := s.Commit(t.Context(), store.Append(store.Event, nil, time.Time{})); err != nil {
			t.Fatal(err)
		}
		path := backUp(t, s)
		for range 3 {
			if report, err := Check(path); err != nil || len(report.Damage) > 0 {
				t.Fatalf("Check: %v, %v", report.Damage, err)
			}
			copied, err := Open(path, Options{Logger: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			_, err = copied.Commit(t.Context(), store.Append(store.Event, nil, time.Time{}))
			if err = errors.Join(err, copied.Close()); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestASealedFileIsReadAndCheckedButNotServed(t *testing.T) {
	path := sample(t)
	whole, err := contents(t, path)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)
	if err := Seal(path, at); err != nil {
		t.Fatal(err)
	}
	_, err = Open(path, Options{})
	if !errors.Is(err, ErrSealed) || !strings.Contains(err.Error(), "2026-05-04T03:02:01Z") {
		t.Errorf("Open: %v", err)
	}
	report, err := Check(path)
	if err != nil || len(report.Damage) > 0 || !report.Sealed.Equal(at) || report.Records[store.Session] != 400 {
		t.Errorf("Check: %+v, %v", report, err)
	}
	s := openTest(t, path, Options{ReadOnly: true})
	for key := range whole {
		kind, id, _ := strings.Cut(key, " ")
		if kind == "1" {
			if _, err := s.Get(t.Context(), store.Session, id); err != nil {
				t.Errorf("%s: %v", id, err)
			}
		}
	}
	if report, err := Check(sample(t)); err != nil || !report.Sealed.IsZero() {
		t.Errorf("a store that is no backup: %v, %v", report.Sealed, err)
	}
}

func TestADamagedFileIsNotSealed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	writeFile(t, path, []byte("not a store"))
	if err := Seal(path, time.Now()); !isDamage(err, path) {
		t.Errorf("Seal: %v", err)
	}
	if err := Seal(path+".none", time.Now()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Seal of nothing: %v", err)
	}
}

func TestAStoreOpenedToReadIsNotChangedNorMade(t *testing.T) {
	path := sample(t)
	was, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o400); err != nil {
		t.Fatal(err)
	}
	s := openTest(t, path, Options{ReadOnly: true})
	also := openTest(t, path, Options{ReadOnly: true})
	_, err = s.Commit(t.Context(), store.Put(store.Session, "new", nil, time.Time{}))
	if !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Commit: %v", err)
	}
	if _, err := Open(path, Options{}); !errors.Is(err, ErrLocked) {
		t.Errorf("Open to write meanwhile: %v", err)
	}
	if err := also.Backup(new(bytes.Buffer)); err != nil {
		t.Errorf("Backup: %v", err)
	}
	if is, err := os.ReadFile(path); err != nil || !bytes.Equal(is, was) {
		t.Errorf("the file was changed, %v", err)
	}
	none := filepath.Join(t.TempDir(), "none.db")
	if _, err := Open(none, Options{ReadOnly: true}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Open of nothing: %v", err)
	}
	if _, err := os.Stat(none); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it was made: %v", err)
	}
}
