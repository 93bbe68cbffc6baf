package bolt

import (
	"errors"
	"fmt"
	"io"
	"time"

	bolt "go.etcd.io/bbolt"
)

// ErrSealed: the file is a backup. It must be restored and not be served.
var ErrSealed = errors.New("file is a backup: restore it instead, because it may hold sessions that have since ended")

// sealKey is a key in the meta bucket of a backup. Its value is the time when the backup was made.
var sealKey = []byte("sealed")

// Backup writes a copy of the store to w. The copy is complete, of one instant, and has every
// commit that was acknowledged before the call. Commits go on during the copy. But until it ends,
// the pages that they free are not used again, and a commit waits if the file must outgrow its map.
// So w must not be slow.
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

// inTurn swaps the two meta pages at the beginning of a copy. bbolt always writes the newer one
// first. But transaction n writes meta page n%2. So after a transaction with an odd number, the
// next transaction of the copy would overwrite the newer page, and leave two pages that don't
// follow each other. That is the sign of a lost page, see metas.
type inTurn struct {
	w    io.Writer
	size int    // of a page
	head []byte // the beginning of the copy, until both pages are complete
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
	// The headers stay in their places, because they number the pages.
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

// Seal turns a file that is not open into a backup. It can then be checked and read, but not be
// opened to be served. at is the time when the copy was begun.
func Seal(path string, at time.Time) error {
	db, err := openBolt(path, false, false, soundPages)
	if err != nil {
		return fmt.Errorf("seal backup %s: %w", path, err)
	}
	db.AllocSize = 0 // no reserve at the end, because nothing more will be written
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

// sealed returns when the file was made as a backup, or zero if it is not a backup.
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
