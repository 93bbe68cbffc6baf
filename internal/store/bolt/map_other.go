//go:build !linux

package bolt

func (s *Store) release() {}

func (s *Store) prefetch() {}
