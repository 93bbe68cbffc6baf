package bolt

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/vigate/vigate/internal/store"
)

// maxDamage bounds how many damages a report lists.
const maxDamage = 1000

// Report is the result of Check.
type Report struct {
	Revision store.Revision     // of the newest commit
	Records  map[store.Kind]int // how many can be read, expired ones included
	Sealed   time.Time          // when the file was made as a backup; zero: it is not a backup
	Damage   []error            // *store.DamagedError each, at most 1,000
}

func (r *Report) add(err error) bool {
	if len(r.Damage) < maxDamage {
		r.Damage = append(r.Damage, err)
	}
	return len(r.Damage) < maxDamage
}

// Check reads everything in the file and changes nothing. It returns an error only if it can't do
// that, for example ErrLocked. To check the store of a running server, check a backup of it.
func Check(path string) (Report, error) {
	report := Report{Records: map[store.Kind]int{}}
	db, err := openBolt(path, true, false, func(f *os.File) error {
		checkPages(f, report.add)
		if len(report.Damage) > 0 {
			return errPages
		}
		return nil
	})
	if errors.Is(err, errPages) {
		return report, nil // damaged pages can't be searched for records
	}
	if err != nil {
		return report, fmt.Errorf("check store %s: %w", path, err)
	}
	err = guard(path, func() error { return db.View(report.read) })
	var damage *store.DamagedError
	if errors.As(err, &damage) {
		report.add(damage)
		err = nil
	}
	if err = errors.Join(err, db.Close()); err != nil {
		return report, fmt.Errorf("check store %s: %w", path, err)
	}
	return report, nil
}

var errPages = errors.New("pages are damaged")

func (r *Report) read(tx *bolt.Tx) (err error) {
	if r.Revision, err = checkSchema(tx); err != nil {
		return err
	}
	if r.Sealed, err = sealed(tx); err != nil {
		return err
	}
	for k := 1; k <= maxKind; k++ {
		r.kind(tx, store.Kind(k))
	}
	return nil
}

func (r *Report) kind(tx *bolt.Tx, k store.Kind) {
	path := tx.DB().Path()
	records, expiries := tx.Bucket(recordBucket(k)), tx.Bucket(expiryBucket(k))
	if _, _, err := number(tx, sequenceKey(k)); err != nil {
		r.add(err)
	}
	if records != nil {
		c := records.Cursor()
		for id, v := c.First(); id != nil; id, v = c.Next() {
			record, err := decode(k, id, v)
			if err == nil && record.Revision > r.Revision {
				err = fmt.Errorf("revision %d, the newest is %d", record.Revision, r.Revision)
			}
			if err == nil && !indexed(expiries, record, id) {
				err = errNoEntry
			}
			if err == nil {
				r.Records[k]++
			} else if !r.add(damaged(path, k, id, err)) {
				return
			}
		}
	}
	if expiries != nil {
		r.expiries(path, k, records, expiries)
	}
}

// indexed reports whether the index of expiries has the record, or need not have it.
func indexed(expiries *bolt.Bucket, r store.Record, id []byte) bool {
	return r.Expires.IsZero() || expiries != nil && expiries.Get(expiryKey(r.Expires, id)) != nil
}

// expiries checks that each entry of the index names a record that expires at the entry's time.
func (r *Report) expiries(path string, k store.Kind, records, expiries *bolt.Bucket) {
	c := expiries.Cursor()
	for key, _ := c.First(); key != nil; key, _ = c.Next() {
		err := errShort
		if len(key) > expiryLen {
			err = errNoRecord
			if records != nil {
				// A record that can't be read has been reported already.
				record, bad := decode(k, key[expiryLen:], records.Get(key[expiryLen:]))
				match := bad == nil && bytes.Equal(expiryKey(record.Expires, key[expiryLen:]), key)
				if match || errors.Is(bad, errSum) {
					err = nil
				}
			}
		}
		if err != nil && !r.add(damaged(path, k, key[min(len(key), expiryLen):], err)) {
			return
		}
	}
}
