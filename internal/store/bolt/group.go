package bolt

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	bolt "go.etcd.io/bbolt"

	"github.com/vigate/vigate/internal/store"
)

// group is one write transaction and the changes that its commits have made so far.
type group struct {
	s        *Store
	tx       *bolt.Tx
	revision store.Revision // of the last commit
	deltas   []store.Delta
	writing  bool // the current request has begun to write
}

func (s *Store) newGroup(tx *bolt.Tx) (*group, error) {
	rev, err := newest(tx)
	if err != nil {
		return nil, err
	}
	g := &group{s: s, tx: tx, revision: rev}
	return g, g.upgrade()
}

// guarded runs one request. It returns an error if bbolt fails on damaged pages.
func (g *group) guarded(run func(*group) error) error {
	return guard(g.s.path, func() error { return run(g) })
}

// Commit implements store.Store.
func (s *Store) Commit(ctx context.Context, changes ...store.Change) (rev store.Revision, err error) {
	if err := store.Validate(changes); err != nil {
		return 0, err
	}
	err = s.submit(ctx, func(g *group) error {
		rev, err = g.commit(changes)
		return err
	})
	if err != nil {
		return 0, err
	}
	return rev, nil
}

// Touch implements store.Store. Each call is one commit.
func (s *Store) Touch(ctx context.Context, records ...store.Record) (revs []store.Revision, err error) {
	err = s.submit(ctx, func(g *group) error {
		revs, err = g.touch(records)
		return err
	})
	if err != nil {
		return nil, err
	}
	return revs, nil
}

// Sweep implements store.Store. Each call is one commit.
func (s *Store) Sweep(ctx context.Context, limit int, kinds ...store.Kind) (n int, err error) {
	if err := store.ValidateSweep(kinds); err != nil {
		return 0, err
	}
	err = s.submit(ctx, func(g *group) error {
		n, err = g.sweep(limit, kinds)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("sweep expired records: %w", err)
	}
	return n, nil
}

// old is a record before a change. It may have expired.
type old struct {
	store.Record
	found bool
}

func (g *group) commit(changes []store.Change) (store.Revision, error) {
	now := g.s.now()
	before := make([]old, len(changes))
	for i, c := range changes {
		if c.Op == store.OpAppend {
			continue
		}
		o, err := g.read(c.Record.Kind, c.Record.ID)
		if err != nil {
			return 0, err
		}
		if !c.If.Holds(o.found && !o.Expired(now), o.Revision) {
			return 0, &store.ConflictError{Index: i}
		}
		before[i] = o
	}
	done := len(g.deltas)
	g.writing = true
	for i, c := range changes {
		if err := g.change(i, c, before[i]); err != nil {
			return 0, err
		}
	}
	return g.end(done), nil
}

// end ends a commit. done is the number of deltas before the commit. The commit gets a revision
// only if it changed anything.
func (g *group) end(done int) store.Revision {
	if len(g.deltas) > done {
		g.revision++
	}
	return g.revision
}

func (g *group) read(k store.Kind, id string) (old, error) {
	r, found, err := read(g.tx, k, []byte(id))
	return old{r, found}, err
}

// change applies the change at index i of a commit.
func (g *group) change(i int, c store.Change, before old) error {
	switch r := c.Record; c.Op {
	case store.OpPut:
		return g.put(r, before)
	case store.OpAppend:
		r.ID = store.AppendedID(g.revision+1, i)
		before, err := g.read(r.Kind, r.ID)
		if err == nil && before.found {
			err = damaged(g.s.path, r.Kind, []byte(r.ID), errBehind)
		}
		if err != nil {
			return err
		}
		return g.put(r, old{})
	case store.OpDelete:
		if before.found {
			return g.remove(r.Kind, r.ID, before)
		}
	}
	return nil
}

// put writes a record at the next revision.
func (g *group) put(r store.Record, before old) error {
	records, err := g.tx.CreateBucketIfNotExists(recordBucket(r.Kind))
	if err != nil {
		return err
	}
	id := []byte(r.ID)
	if err := g.index(r, id, before); err != nil {
		return err
	}
	r.Revision = g.revision + 1
	encoded := encode(r, id)
	if err := records.Put(id, encoded); err != nil {
		return err
	}
	r.Value = encoded[recordHeader:]
	g.deltas = append(g.deltas, store.Delta{Record: r})
	return nil
}

// index updates the record's entry in the expiry bucket.
func (g *group) index(r store.Record, id []byte, before old) error {
	if before.found && before.Expires.Equal(r.Expires) {
		return nil
	}
	if err := g.unindex(r.Kind, id, before); err != nil || r.Expires.IsZero() {
		return err
	}
	b, err := g.tx.CreateBucketIfNotExists(expiryBucket(r.Kind))
	if err != nil {
		return err
	}
	return b.Put(expiryKey(r.Expires, id), nil)
}

func (g *group) unindex(k store.Kind, id []byte, before old) error {
	if !before.found || before.Expires.IsZero() {
		return nil
	}
	b := g.tx.Bucket(expiryBucket(k))
	if b == nil {
		return damaged(g.s.path, k, id, errNoEntry)
	}
	return b.Delete(expiryKey(before.Expires, id))
}

func (g *group) remove(k store.Kind, id string, before old) error {
	key := []byte(id)
	if err := g.unindex(k, key, before); err != nil {
		return err
	}
	if err := g.tx.Bucket(recordBucket(k)).Delete(key); err != nil {
		return err
	}
	r := store.Record{Kind: k, ID: id, Revision: g.revision + 1}
	g.deltas = append(g.deltas, store.Delta{Record: r, Deleted: true})
	return nil
}

func (g *group) touch(records []store.Record) ([]store.Revision, error) {
	now := g.s.now()
	revs := make([]store.Revision, len(records))
	done := len(g.deltas)
	for i, r := range records {
		o, err := g.read(r.Kind, r.ID)
		if err != nil {
			// A record that fails must not keep the others from being touched.
			g.s.logger.Error("touch record failed", "err", err)
			continue
		}
		// A touch only overwrites the record at the revision that its caller has read.
		if !o.found || o.Expired(now) || o.Revision != r.Revision {
			continue
		}
		g.writing = true
		if err := g.put(r, o); err != nil {
			return nil, err
		}
		revs[i] = g.revision + 1
	}
	g.end(done)
	return revs, nil
}

var (
	errNoRecord = errors.New("the index of expiries names a record that is not there")
	errNoEntry  = errors.New("the index of expiries lacks the record")
	errBehind   = errors.New("the newest revision is behind the record")
)

func (g *group) sweep(limit int, kinds []store.Kind) (int, error) {
	type victim struct {
		id  []byte
		old old
	}
	upTo := appendExpiry(nil, g.s.now())
	done := len(g.deltas)
	left := limit
	for _, k := range kinds {
		b := g.tx.Bucket(expiryBucket(k))
		if b == nil {
			continue
		}
		var victims []victim
		c := b.Cursor()
		for key, _ := c.First(); key != nil && left > 0; key, _ = c.Next() {
			if len(key) < expiryLen || bytes.Compare(key[:expiryLen], upTo) > 0 {
				break
			}
			id := bytes.Clone(key[expiryLen:])
			o, err := g.read(k, string(id))
			if err == nil && (!o.found || !o.Expires.Equal(parseExpiry(key))) {
				err = damaged(g.s.path, k, id, errNoRecord)
			}
			if err != nil {
				return 0, err
			}
			victims = append(victims, victim{id, o})
			left--
		}
		// A cursor is invalid after a change of its bucket.
		for _, v := range victims {
			g.writing = true
			if err := g.remove(k, string(v.id), v.old); err != nil {
				return 0, err
			}
		}
	}
	g.end(done)
	return len(g.deltas) - done, nil
}
