package bolt

import (
	"syscall"

	bolt "go.etcd.io/bbolt"
)

// release gives the pages of the map that were read back to the system. They
// stay in its cache, but no longer count as this process's memory: else that
// would grow by the size of the file.
func (s *Store) release() { s.advise(syscall.MADV_DONTNEED) }

// prefetch has the file read ahead: bbolt has told the system not to.
func (s *Store) prefetch() { s.advise(syscall.MADV_WILLNEED) }

func (s *Store) advise(advice uintptr) {
	// The transaction keeps the map in its place.
	err := s.view(func(tx *bolt.Tx) error {
		_, _, errno := syscall.Syscall(syscall.SYS_MADVISE, s.db.Info().Data, uintptr(tx.Size()), advice)
		if errno != 0 {
			return errno
		}
		return nil
	})
	if err != nil && !s.closing.Load() {
		s.log.Debug("map of the store can't be advised on", "error", err)
	}
}
