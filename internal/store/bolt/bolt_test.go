package bolt

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/store/storetest"
)

// file is the data of one test of the suite: one file, which only one store at a time can open.
type file struct {
	path string
	opts Options
}

func (f file) Open(t *testing.T) store.Store {
	t.Helper()
	s, err := Open(f.path, f.opts)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	return s
}

func (f file) Second(_ *testing.T, first store.Store) store.Store { return first }

func TestBoltIsAStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T, now func() time.Time) storetest.Data {
		return file{filepath.Join(t.TempDir(), "store.db"), Options{Now: now, Logger: slog.New(slog.DiscardHandler)}}
	})
}

func TestAStoreIsNotWrittenThroughALink(t *testing.T) {
	dir := t.TempDir()
	path, link, none := filepath.Join(dir, "store.db"), filepath.Join(dir, "link.db"), filepath.Join(dir, "none.db")
	opts := Options{Logger: slog.New(slog.DiscardHandler)}
	s, err := Open(path, opts)
	if err == nil {
		err = s.Close()
	}
	if err = errors.Join(err, os.Symlink("store.db", link), os.Symlink("missing", none)); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range []string{link, none} {
		if _, err := Open(link, opts); err == nil || !strings.Contains(err.Error(), "is not a regular file") {
			t.Errorf("open %s: %v", link, err)
		}
		if err := Seal(link, time.Now()); err == nil || !strings.Contains(err.Error(), "is not a regular file") {
			t.Errorf("seal %s: %v", link, err)
		}
	}
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the file has changed, %v", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 3 {
		t.Errorf("the directory has %v, %v", left, err)
	}
	opts.ReadOnly = true // as for reading a backup
	if s, err = Open(link, opts); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
