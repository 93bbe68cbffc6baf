package bolt

import (
	"errors"
	"fmt"
	"io"
	"time"

	bolt "go.etcd.io/bbolt"
)

// ErrSealed: the file is a backup, which must not be served as it is.
var ErrSealed = errors.New("file is a backup and must be restored, not opened: it may hold sessions that have ended since")

// sealKey is in the meta bucket of a backup: when it was made.
var sealKey = []byte("sealed")

// Backup writes a copy of the store as of now, whole and of one instant, which
// has every commit that was acknowledged before the call. Commits go on
// meanwhile, but pages that they free are not used again, and a file that
// outgrows its map waits, until the copy has ended: w must not be slow.
func (s *Store) Backup(w io.Writer) error {
	err := s.view(func(tx *bolt.Tx) error {
		if tx.ID()%2 == 1 {
			w = &inTurn{w: w, size: s.db.Info().PageSize}
		}
		_, err := tx.WriteTo(w)
		return err
	})
	if err != nil {
		return fmt.Errorf("back up store %s: %w", s.path, err)
	}
	return nil
}

// inTurn exchanges the two meta pages that a copy begins with. bbolt puts the
// newer one first whatever its transaction. But transaction n writes page n%2:
// after an odd one, the next would overwrite the newer page and leave two that
// don't follow each other, which is how a lost one is found.
type inTurn struct {
	w    io.Writer
	size int    // of a page
	head []byte // what came of the two pages
	done bool
}

func (t *inTurn) Write(p []byte) (int, error) {
	if t.done {
		return t.w.Write(p)
	}
	t.head = append(t.head, p...)
	if len(t.head) < 2*t.size {
		return len(p), nil
	}
	// The headers, which number the pages, stay.
	first, second := t.head[pageHeader:][:metaLen], t.head[t.size+pageHeader:][:metaLen]
	for i := range first {
		first[i], second[i] = second[i], first[i]
	}
	t.done = true
	if _, err := t.w.Write(t.head); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Seal makes a backup of a file that nobody has open: from then on it can be
// checked and read, but not be opened in the place of the store that it is a
// copy of. at is when the copy was begun.
func Seal(path string, at time.Time) error {
	db, err := openBolt(path, false, false, soundPages)
	if err != nil {
		return fmt.Errorf("seal backup %s: %w", path, err)
	}
	db.AllocSize = 0 // no room at the end: nothing more will be written
	err = guard(path, func() error {
		return db.Update(func(tx *bolt.Tx) error {
			if _, err := checkSchema(tx); err != nil {
				return err
			}
			return putNumber(tx, sealKey, uint64(at.Unix()))
		})
	})
	if err = errors.Join(err, db.Close()); err != nil {
		return fmt.Errorf("seal backup %s: %w", path, err)
	}
	return nil
}

// sealed returns when the file was made as a backup; zero: it is none.
func sealed(tx *bolt.Tx) (time.Time, error) {
	n, ok, err := number(tx, sealKey)
	if err != nil || !ok {
		return time.Time{}, err
	}
	return time.Unix(int64(n), 0).UTC(), nil
}

func checkUnsealed(tx *bolt.Tx) error {
	at, err := sealed(tx)
	if err == nil && !at.IsZero() {
		err = fmt.Errorf("%w: it is of %s", ErrSealed, at.Format(time.RFC3339))
	}
	return err
}
