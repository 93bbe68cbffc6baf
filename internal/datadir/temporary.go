package datadir

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
)

const (
	// temporaryPrefix begins the names of temporary data directories.
	temporaryPrefix = "vigate-dev-"
	// inUse is the file in a temporary data directory that is locked as long as its server runs.
	inUse = "in-use"
)

// Temporary makes a data directory for one server in the directory parent. remove removes it. A server that
// is killed can't remove its directory. So Temporary first removes those directories in parent that such
// servers have left: directories of this account, with a lock that no process holds.
func Temporary(parent string, logger *slog.Logger) (dir string, remove func(), err error) {
	self().clearTemporary(parent, logger)
	if dir, err = os.MkdirTemp(parent, temporaryPrefix); err != nil { // mode 0700
		return "", nil, fmt.Errorf("make temporary data directory: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return "", nil, errors.Join(fmt.Errorf("make temporary data directory: %w", err), os.Remove(dir))
	}
	held, err := hold(dir)
	if err != nil {
		return "", nil, errors.Join(fmt.Errorf("make temporary data directory: %w", err), empty(root), root.Close(),
			os.Remove(dir))
	}
	return dir, func() {
		_ = empty(root) // the next run removes what is left
		_ = root.Close()
		_ = os.Remove(dir)
		if held != nil {
			_ = held.Close() // it was only read
		}
	}, nil
}

// empty removes what is in a temporary data directory, whatever its path leads to by now: if parent has no sticky
// bit, other accounts may put another directory in its place, even one of this account. What is at the path may
// then be removed with os.Remove, which removes no directory with content. The lock goes last, so that the next
// run can remove what this one could not.
func empty(root *os.Root) error {
	dir, err := root.Open(".")
	if err != nil {
		return err
	}
	names, err := dir.Readdirnames(-1)
	err = errors.Join(err, dir.Close())
	for _, name := range names {
		if name != inUse {
			err = errors.Join(err, root.RemoveAll(name))
		}
	}
	if err != nil {
		return err
	}
	return root.RemoveAll(inUse)
}

// hold makes the lock of a temporary data directory and holds it. The file appears under its name when it is
// locked, so that no other process finds it free. It returns nil on systems without locks: there the
// directories that are left stay.
func hold(dir string) (*os.File, error) {
	f, err := os.CreateTemp(dir, ".in-use-*")
	if err != nil {
		return nil, err
	}
	err = TryLock(f)
	if errors.Is(err, errors.ErrUnsupported) {
		return nil, errors.Join(f.Close(), os.Remove(f.Name()))
	}
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(dir, inUse))
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// clearTemporary removes the temporary data directories in parent whose servers were killed. A directory that
// can't be removed is no reason not to start.
func (j judge) clearTemporary(parent string, logger *slog.Logger) {
	entries, err := os.ReadDir(parent)
	if err != nil {
		return // the caller finds out why when it makes its own
	}
	for _, e := range entries {
		if !e.IsDir() || !strings.HasPrefix(e.Name(), temporaryPrefix) {
			continue
		}
		path := filepath.Join(parent, e.Name())
		if removed, err := j.removeAbandoned(path); err != nil {
			logger.Warn("the data directory of an earlier run with --dev stays", "data", path, "err", err)
		} else if removed {
			logger.Info("removed the data directory of an earlier run with --dev that was killed", "data", path)
		}
	}
}

// removeAbandoned removes a temporary data directory if it is this account's and no process holds its lock. It
// judges the directory that it has opened, and removes what is in that one.
func (j judge) removeAbandoned(path string) (removed bool, err error) {
	found, err := os.Lstat(path)
	if err != nil || !found.IsDir() {
		return false, nil
	}
	root, err := os.OpenRoot(path)
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) {
		return false, nil // it is of another account, or was removed meanwhile
	}
	if err != nil {
		return false, err
	}
	defer root.Close()
	info, err := root.Stat(".")
	if err != nil || !os.SameFile(found, info) || info.Mode().Perm()&0o077 != 0 {
		return false, nil
	}
	if uid, _, known := j.owner(info); !known || uid != j.uid {
		return false, nil
	}
	// A server that was started with this directory as its own holds only the lock of the store.
	for _, name := range []string{inUse, Store} {
		lock, err := root.Open(name)
		if name == Store && errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return false, nil // it is being made or removed, or something else
		}
		defer lock.Close()
		if TryLock(lock) != nil {
			return false, nil // its server runs
		}
	}
	if err := empty(root); err != nil {
		return true, err
	}
	return true, os.Remove(path)
}
