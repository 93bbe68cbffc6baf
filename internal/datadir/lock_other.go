//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package datadir

import (
	"errors"
	"os"
)

// TryLock returns errors.ErrUnsupported: this system has no locks that end with the process.
func TryLock(*os.File) error { return errors.ErrUnsupported }
