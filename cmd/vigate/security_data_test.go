package main

import (
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vigate/vigate/internal/config"
	"github.com/vigate/vigate/internal/datadir"
	"github.com/vigate/vigate/internal/serve"
	"github.com/vigate/vigate/internal/serve/logging"
)

// refusedData checks that a server refuses to start on the data directory and that the error names
// the path.
func refusedData(t *testing.T, dir, path string) {
	t.Helper()
	cfg := config.Default()
	cfg.Data = dir
	n, err := serve.Open(t.Context(), cfg, serve.Options{Logger: logging.New(cfg, io.Discard)})
	if err == nil {
		_ = n.Close()
	}
	if !errors.Is(err, datadir.ErrUnsafe) || !strings.Contains(err.Error(), path+" (") {
		t.Errorf("start: %v, want a refusal of %s", err, path)
	}
}

func TestADataDirectoryThatOthersCanWriteIsRefusedAndNothingBehindALinkIsTouched(t *testing.T) {
	t.Parallel()
	top := t.TempDir()
	dir, foreign := filepath.Join(top, "data"), filepath.Join(top, "foreign")
	precious := filepath.Join(foreign, "precious")
	err := errors.Join(
		os.Mkdir(dir, 0o700), os.Mkdir(foreign, 0o700), os.Chmod(dir, 0o777),
		os.WriteFile(precious, []byte("x"), 0o600), os.Symlink(foreign, filepath.Join(dir, "local")))
	if err != nil {
		t.Fatal(err)
	}
	refusedData(t, dir, dir)
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("a refused directory has %v, %v", left, err)
	}
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	refusedData(t, dir, filepath.Join(dir, "local"))
	if info, err := os.Stat(foreign); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the foreign directory: %v, %v", info.Mode(), err)
	}
	if _, err := os.Stat(precious); err != nil {
		t.Errorf("what was in it: %v", err)
	}
	if err := os.Remove(filepath.Join(dir, "local")); err != nil {
		t.Fatal(err)
	}
	start(t, dir, nil)
}

func TestADataDirectoryThatAnotherUserOwnsIsRefused(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		return // only root can give files away; internal/datadir tests the check without root
	}
	top := t.TempDir()
	dir := filepath.Join(top, "x", "data")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chown(path, 65534, 65534); err != nil {
			t.Fatal(err)
		}
		refusedData(t, dir, path)
		if err := os.Chown(path, 0, 0); err != nil {
			t.Fatal(err)
		}
	}
	start(t, dir, nil)
}

// TestWhatAServerMakesIsJudgedAtTheNextStart walks over all files that a server makes, so that new
// files are checked too.
func TestWhatAServerMakesIsJudgedAtTheNextStart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := start(t, dir, nil)
	made := map[string]fs.FileMode{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && path != dir {
			made[path] = d.Type()
		}
		return err
	})
	if err != nil || len(made) < 6 {
		t.Fatalf("found %v, %v", made, err)
	}
	r.stop()
	for path, kind := range made {
		if kind == fs.ModeSocket { // a socket is removed with its server
			l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
			if err != nil {
				t.Fatal(err)
			}
			l.SetUnlinkOnClose(false)
			l.Close()
		}
		info, err := os.Lstat(path)
		if err == nil {
			err = os.Chmod(path, info.Mode()|0o020)
		}
		if err != nil {
			t.Fatal(err)
		}
		refusedData(t, dir, path)
		if err := os.Chmod(path, info.Mode()); err != nil {
			t.Fatal(err)
		}
		aside := filepath.Join(t.TempDir(), "aside")
		err = errors.Join(os.Rename(path, aside), os.Symlink(aside, path))
		if err != nil {
			t.Fatal(err)
		}
		refusedData(t, dir, path)
		if err := errors.Join(os.Remove(path), os.Rename(aside, path)); err != nil {
			t.Fatal(err)
		}
	}
	start(t, dir, nil)
}
