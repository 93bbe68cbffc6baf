package bolt

import (
	"context"
	"fmt"

	bolt "go.etcd.io/bbolt"

	"github.com/vigate/vigate/internal/store"
)

// Sequences is store.Sequencer's.
func (s *Store) Sequences(ctx context.Context) (map[store.Kind]uint64, error) {
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	all := map[store.Kind]uint64{}
	err := s.view(func(tx *bolt.Tx) error {
		for k := store.Kind(1); k != 0; k++ {
			n, ok, err := number(tx, sequenceKey(k))
			if err != nil {
				return err
			}
			if ok {
				all[k] = n
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read sequences: %w", err)
	}
	return all, nil
}

// Advance is store.Sequencer's. It takes a revision, as a commit without records
// would, by which a failure is found to have written it or not.
func (s *Store) Advance(ctx context.Context, k store.Kind, n uint64) error {
	err := s.submit(ctx, func(g *group) error {
		now, _, err := number(g.tx, sequenceKey(k))
		if err != nil || now >= n {
			return err
		}
		g.writing, g.advanced = true, true
		g.revision++
		return putNumber(g.tx, sequenceKey(k), n)
	})
	if err != nil {
		return fmt.Errorf("advance sequence of kind %d: %w", k, err)
	}
	return nil
}
