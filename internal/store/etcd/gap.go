//go:build !mutant_watch

package etcd

import "context"

// afterGap is from which revision a stream goes on after changes that it can't
// have any more: 0, which begins it anew with a snapshot.
func (s *Store) afterGap(context.Context) int64 { return 0 }
