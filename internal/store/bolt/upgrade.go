package bolt

import (
	bolt "go.etcd.io/bbolt"

	"github.com/vigate/vigate/internal/store"
)

// A file of schema 1 has counters, from which Append took the ids of its records. Readers get the
// state of a counter as the store.Numbering of the kind. The first commit writes that Numbering,
// and makes the file one of schema 2. So a file that is only read is not changed.

// counted returns the Numberings that a file of schema 1 does not hold as records. It returns none
// for a newer file.
func counted(tx *bolt.Tx) ([]store.Record, error) {
	n, _, err := number(tx, schemaKey)
	if err != nil || n != countedSchema {
		return nil, err
	}
	var all []store.Record
	for k := store.Kind(1); k != 0; k++ {
		last, ok, err := number(tx, sequenceKey(k))
		if err != nil {
			return nil, err
		}
		if ok && k.Appended() {
			all = append(all, store.Numbering{Counted: last}.Record(k))
		}
	}
	return all, nil
}

// upgrade turns a file of schema 1 into one of the current schema. It is a commit of its own in the
// transaction.
func (g *group) upgrade() error {
	n, _, err := number(g.tx, schemaKey)
	if err != nil || n != countedSchema {
		return err
	}
	records, err := counted(g.tx)
	if err != nil {
		return err
	}
	for _, r := range records {
		if err := g.put(r, old{}); err != nil {
			return err
		}
	}
	for k := store.Kind(1); k != 0; k++ {
		if err := g.tx.Bucket(metaBucket).Delete(sequenceKey(k)); err != nil {
			return err
		}
	}
	g.end(0)
	return putNumber(g.tx, schemaKey, schema)
}
