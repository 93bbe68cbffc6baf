//go:build unix

package sessionfile

import (
	"io/fs"
	"syscall"
)

// nonblocking opens a pipe without waiting for a writer.
const nonblocking = syscall.O_NONBLOCK

// belongsTo reports whether the user owns the file.
func belongsTo(info fs.FileInfo, uid int) bool {
	s, ok := info.Sys().(*syscall.Stat_t)
	return ok && uint64(s.Uid) == uint64(uid)
}
