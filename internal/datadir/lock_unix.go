//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package datadir

import (
	"errors"
	"os"
	"syscall"
)

// TryLock locks an open file for this process, without waiting. The lock ends when the file is closed, and
// with the process, however that ends. If another open file has the lock, the error is ErrLocked. On systems
// without such locks it is errors.ErrUnsupported.
func TryLock(f *os.File) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return ErrLocked
	}
	return err
}
