//go:build unix

package process

import "syscall"

// OpenFiles returns how many files and connections the process may have open at once. known is false if the
// system does not say.
func OpenFiles() (most uint64, known bool) {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return 0, false
	}
	return uint64(limit.Cur), true
}
