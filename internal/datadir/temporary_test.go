package datadir

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
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
