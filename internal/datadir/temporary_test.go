package datadir

import (
	"bytes"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestOnlyDirectoriesOfKilledServersAreRemoved(t *testing.T) {
	t.Parallel()
	parent := t.TempDir()
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	running, remove, err := Temporary(parent, logger)
	if err != nil {
		t.Fatal(err)
	}
	defer remove()

	// mkdir creates a directory with a file like that of a lock.
	mkdir := func(name, lock string, mode os.FileMode) string {
		t.Helper()
		dir := filepath.Join(parent, name)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, lock), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	killed := mkdir(temporaryPrefix+"1", inUse, 0o700)
	stay := []string{
		running,
		mkdir(temporaryPrefix+"2", "vigate.db", 0o700), // without a lock
		mkdir(temporaryPrefix+"3", inUse, 0o755),       // not made by Temporary
		mkdir("another-4", inUse, 0o700),
		mkdir(temporaryPrefix+"4", inUse, 0o700), // a server has its store
	}
	store, err := os.Create(filepath.Join(stay[4], Store))
	if err == nil {
		err = TryLock(store)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	link := filepath.Join(parent, temporaryPrefix+"5")
	if err := os.Symlink(stay[3], link); err != nil {
		t.Fatal(err)
	}

	second, removeSecond, err := Temporary(parent, logger)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(killed); !os.IsNotExist(err) {
		t.Errorf("the directory of a killed server: %v", err)
	}
	for _, dir := range append(stay, link, second) {
		if _, err := os.Lstat(dir); err != nil {
			t.Error(err)
		}
	}
	if text := log.String(); strings.Count(text, "removed the data directory") != 1 || !strings.Contains(text, killed) {
		t.Errorf("logged: %s", text)
	}

	// Of another account, nothing is removed.
	stranger := self()
	stranger.uid++
	abandoned := mkdir(temporaryPrefix+"6", inUse, 0o700)
	if removed, err := stranger.removeAbandoned(abandoned); removed || err != nil {
		t.Errorf("a directory of another account: removed %t, %v", removed, err)
	}
	removeSecond()
	if _, err := os.Lstat(second); !os.IsNotExist(err) {
		t.Errorf("after remove: %v", err)
	}
}

// In a directory without the sticky bit, another account may rename the entries of this one.
func TestOnlyTheJudgedTemporaryDirectoryIsRemoved(t *testing.T) {
	t.Parallel()
	parent := t.TempDir()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	// exchange puts a directory of this account, with a file, in the place of another.
	exchange := func(path string) (moved, file string) {
		t.Helper()
		moved, file = path+"-moved", filepath.Join(path, "precious")
		must(os.Rename(path, moved))
		must(os.Mkdir(path, 0o700))
		must(os.WriteFile(file, nil, 0o600))
		must(os.WriteFile(filepath.Join(path, inUse), nil, 0o600))
		return moved, file
	}
	left := func(dir string) int {
		t.Helper()
		entries, err := os.ReadDir(dir)
		must(err)
		return len(entries)
	}

	dir, remove, err := Temporary(parent, slog.New(slog.DiscardHandler))
	must(err)
	must(os.WriteFile(filepath.Join(dir, Store), nil, 0o600))
	moved, file := exchange(dir)
	remove()
	if _, err := os.Lstat(file); err != nil || left(moved) != 0 {
		t.Errorf("at the end: %v, and %d files of the server are left", err, left(moved))
	}

	abandoned := filepath.Join(parent, temporaryPrefix+"abandoned")
	must(os.Mkdir(abandoned, 0o700))
	must(os.WriteFile(filepath.Join(abandoned, inUse), nil, 0o600))
	var once sync.Once
	slow := self()
	slow.owner = func(info fs.FileInfo) (uid, gid uint32, known bool) {
		once.Do(func() { moved, file = exchange(abandoned) }) // while the directory is judged
		return owner(info)
	}
	removed, err := slow.removeAbandoned(abandoned)
	if _, gone := os.Lstat(file); gone != nil || !removed || err == nil || left(moved) != 0 {
		t.Errorf("at the start: removed %t, %v, of another: %v, and %d files are left", removed, err, gone, left(moved))
	}
}
