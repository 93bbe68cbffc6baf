package bolt

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/vigate/vigate/internal/store"
)

const (
	// mapSize is the address space that is reserved at opening. It is large so that the map seldom
	// has to grow, because bbolt then waits for all readers.
	mapSize = 1 << 30
	// lockTimeout only matters on systems where lock can't refuse at once.
	lockTimeout = 100 * time.Millisecond
)

// openFile opens the file and returns its newest revision. If the file does not exist, it creates
// it, unless readOnly is set.
func openFile(path string, readOnly, noSync bool) (*bolt.DB, store.Revision, error) {
	_, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) && !readOnly {
		err = create(path)
	}
	if err != nil {
		return nil, 0, err
	}
	db, err := openBolt(path, readOnly, noSync, soundPages)
	if err != nil {
		return nil, 0, err
	}
	var rev store.Revision
	err = guard(path, func() error {
		return db.View(func(tx *bolt.Tx) (err error) {
			if rev, err = checkSchema(tx); err != nil || readOnly {
				return err
			}
			return checkUnsealed(tx)
		})
	})
	if err != nil {
		return nil, 0, errors.Join(err, db.Close())
	}
	return db, rev, nil
}

// soundPages returns the first damage in the pages, or nil.
func soundPages(f *os.File) error {
	var first error
	checkPages(f, func(err error) bool { first = err; return false })
	return first
}

// openRegular opens an existing file. To be opened for writing it must be a regular file and not a
// link: a link may have been put there to make the process write to another file.
func openRegular(path string, flag int, mode os.FileMode, readOnly bool) (*os.File, error) {
	flag &^= os.O_CREATE
	if readOnly {
		return os.OpenFile(path, flag, mode)
	}
	found, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !found.Mode().IsRegular() {
		return nil, fmt.Errorf("%s (%s) is not a regular file", path, found.Mode())
	}
	f, err := os.OpenFile(path, flag, mode)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !os.SameFile(found, info) {
		err = fmt.Errorf("%s was replaced while it was opened", path)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// openBolt opens an existing file. It locks the file and calls check before bbolt reads the pages,
// because bbolt trusts them.
func openBolt(path string, readOnly, noSync bool, check func(*os.File) error) (db *bolt.DB, err error) {
	open := func(path string, flag int, mode os.FileMode) (*os.File, error) {
		f, err := openRegular(path, flag, mode, readOnly)
		if err != nil {
			return nil, err
		}
		if err = lock(f, !readOnly); err == nil {
			err = check(f)
		}
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		return f, nil
	}
	err = guard(path, func() error {
		db, err = bolt.Open(path, 0o600, options(readOnly, noSync, open))
		if errors.Is(err, bolterrors.ErrTimeout) {
			return ErrLocked
		}
		return err
	})
	return db, err
}

func options(readOnly, noSync bool, open func(string, int, os.FileMode) (*os.File, error)) *bolt.Options {
	o := &bolt.Options{
		OpenFile: open,
		ReadOnly: readOnly,
		NoSync:   noSync,
		Timeout:  lockTimeout,
		// The list of free pages is long after many sessions have ended. bbolt finds it again at
		// opening. That costs less than writing it with each commit.
		NoFreelistSync: true,
		FreelistType:   bolt.FreelistMapType,
		NoStatistics:   true,
	}
	if ^uint(0)>>63 == 1 {
		o.InitialMmapSize = mapSize
	}
	return o
}

// create makes an empty store at the path, in one step. A process that finds a file there finds a
// complete one, so an empty or short file is always a damaged one. If another process creates the
// file first, that file stays.
func create(path string) (err error) {
	dir := filepath.Dir(path)
	temp, err := os.CreateTemp(dir, filepath.Base(path)+".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, os.Remove(temp.Name()))
	}()
	if err := temp.Close(); err != nil {
		return err
	}
	db, err := bolt.Open(temp.Name(), 0o600, options(false, false, nil))
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bolt.Tx) error {
		if _, err := tx.CreateBucket(metaBucket); err != nil {
			return err
		}
		return errors.Join(putNumber(tx, schemaKey, schema), putNumber(tx, revisionKey, 0))
	})
	if err = errors.Join(err, db.Close()); err != nil {
		return err
	}
	if err := os.Link(temp.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(dir)
}

// syncDir makes the names in a directory durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// checkSchema returns the newest revision of the file. It returns an error if this version can't
// read the file's schema.
func checkSchema(tx *bolt.Tx) (store.Revision, error) {
	path := tx.DB().Path()
	n, ok, err := number(tx, schemaKey)
	switch {
	case err != nil:
		return 0, err
	case !ok:
		return 0, &store.DamagedError{Where: path, Cause: errors.New("no schema: not a store, or an incomplete one")}
	case n > schema:
		return 0, fmt.Errorf("file has schema %d, newer than %d: use a newer version of vigate", n, schema)
	case n < countedSchema:
		return 0, &store.DamagedError{Where: path, Cause: fmt.Errorf("schema %d does not exist", n)}
	}
	return newest(tx)
}
