package bolt

import (
	"syscall"

	bolt "go.etcd.io/bbolt"
)

// release lets the system drop the pages of the map that were read. They stay in the system's
// cache, but don't count as memory of this process any more. Without release that memory would grow
// to the size of the file.
func (s *Store) release() { s.advise(syscall.MADV_DONTNEED) }

// prefetch asks the system to read the file ahead. bbolt asks it not to.
func (s *Store) prefetch() { s.advise(syscall.MADV_WILLNEED) }

func (s *Store) advise(advice uintptr) {
	// While the transaction is open, bbolt does not move the map.
	err := s.view(func(tx *bolt.Tx) error {
		_, _, errno := syscall.Syscall(syscall.SYS_MADVISE, s.db.Info().Data, uintptr(tx.Size()), advice)
		if errno != 0 {
			return errno
		}
		return nil
	})
	if err != nil && !s.closing.Load() {
		s.logger.Debug("advise on the map of the store failed", "err", err)
	}
}
