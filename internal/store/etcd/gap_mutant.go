//go:build mutant_watch

package etcd

import "context"

// afterGap has a planted bug, for the proof that it is found: the stream goes on
// with what comes next, and what was compacted is skipped.
func (s *Store) afterGap(ctx context.Context) int64 {
	_, at, err := s.newest(ctx)
	if err != nil {
		return 0
	}
	return int64(at) + 1
}
