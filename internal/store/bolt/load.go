package bolt

import (
	"bytes"
	"context"

	bolt "go.etcd.io/bbolt"

	"github.com/vigate/vigate/internal/store"
)

// These bound one piece of the state, in records and in bytes.
const (
	pieceRecords = 4096
	pieceBytes   = 4 << 20
)

// piece is a part of the state. One transaction reads it.
type piece struct {
	deltas []store.Delta
	at     store.Revision // the newest revision in the transaction
	last   bool
	err    error
}

// load applies the state, except records that were written after the queue began. It returns a
// revision: the state is whole once the queue was applied up to that revision. If the revision is
// not later than the beginning of the queue, the state is whole already, and the last batch had
// Whole.
func (s *Store) load(ctx context.Context, q *queue, apply func(store.Batch) error) (store.Revision, error) {
	ctx, cancel := context.WithCancel(ctx)
	pieces := make(chan piece, 1) // the next piece is read while one is applied
	ended := make(chan struct{})
	defer func() {
		cancel()
		<-ended
		s.release()
	}()
	go func() {
		defer close(ended)
		s.readPieces(ctx, q.since, pieces)
	}()
	batch := store.Batch{Revision: q.since, Reset: true}
	for {
		var p piece
		select {
		case p = <-pieces:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
		if p.err != nil {
			return 0, p.err
		}
		batch.Deltas = p.deltas
		batch.Whole = p.last && p.at <= q.since
		if err := apply(batch); err != nil {
			return 0, err
		}
		if p.last {
			return p.at, nil
		}
		batch.Reset = false
		if s.closing.Load() {
			return 0, store.ErrClosed
		}
	}
}

// readPieces sends the state in pieces, until the last piece, an error, or the end of ctx.
func (s *Store) readPieces(ctx context.Context, since store.Revision, pieces chan<- piece) {
	s.prefetch()
	r := reader{since: since, kind: 1}
	for {
		var p piece
		p.err = s.view(func(tx *bolt.Tx) (err error) {
			if p.at, err = newest(tx); err == nil {
				p.deltas, p.last, err = r.next(tx)
			}
			return err
		})
		select {
		case pieces <- p:
		case <-ctx.Done():
			return
		}
		if p.last || p.err != nil {
			return
		}
	}
}

// reader reads the state piece by piece, and remembers where the next piece begins.
type reader struct {
	since store.Revision
	kind  int    // the kind to read next; up to maxKind
	after []byte // the last id of the kind that was read; nil: none yet
}

const maxKind = 255

// next reads one piece.
func (r *reader) next(tx *bolt.Tx) (deltas []store.Delta, last bool, err error) {
	deltas = make([]store.Delta, 0, pieceRecords)
	size, read := 0, 0
	for ; r.kind <= maxKind; r.kind, r.after = r.kind+1, nil {
		k := store.Kind(r.kind)
		if k == store.Numbers && r.after == nil {
			records, err := counted(tx)
			if err != nil {
				return nil, false, err
			}
			for _, record := range records {
				deltas = append(deltas, store.Delta{Record: record})
			}
		}
		b := tx.Bucket(recordBucket(k))
		if b == nil {
			continue
		}
		c := b.Cursor()
		for id, v := r.seek(c); id != nil; id, v = c.Next() {
			if read == pieceRecords || size >= pieceBytes {
				return deltas, false, nil
			}
			record, err := decode(k, id, v)
			if err != nil {
				return nil, false, damaged(tx.DB().Path(), k, id, err)
			}
			r.after = append(r.after[:0], id...)
			size += len(v)
			read++
			if record.Revision > r.since {
				continue
			}
			record.ID, record.Value = string(id), bytes.Clone(record.Value)
			deltas = append(deltas, store.Delta{Record: record})
		}
	}
	return deltas, true, nil
}

func (r *reader) seek(c *bolt.Cursor) (id, v []byte) {
	if len(r.after) == 0 {
		return c.First()
	}
	if id, v = c.Seek(r.after); bytes.Equal(id, r.after) {
		return c.Next()
	}
	return id, v
}
