package bolt

import (
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/store/storetest"
)

// file is the suite's data: one file, which one store at a time can open.
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
