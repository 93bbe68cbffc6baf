// Package control is how commands on the same machine ask a running server for
// what only it can do, since it alone has its store open: a Unix socket in its
// data directory, which serves nobody but the server's own account and root.
//
// Two locks are on that door. The socket is 0600 in a directory that is 0700,
// and the kernel is asked who each caller is. It speaks HTTP, so that what was
// cut short is told from what is whole, and so that a refusal has a text.
package control

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
)

const (
	// directory is in the data directory, which others may pass through.
	directory = "control"
	socket    = "sock"

	// maxName is the longest path that a socket's address holds everywhere:
	// 104 bytes with a NUL on the BSDs, 108 on Linux.
	maxName = 103

	backupPath = "/backup"
)

// errLong: no other name for the socket could be found.
var errLong = errors.New("the data directory's path is too long for a Unix socket")

// withAddress calls use with a name under which the socket of a data directory
// can be bound and connected to.
func withAddress(data string, use func(name string) error) error {
	dir := filepath.Join(data, directory)
	if name := filepath.Join(dir, socket); len(name) <= maxName {
		return use(name)
	}
	if runtime.GOOS != "linux" {
		return fmt.Errorf("%w: %d bytes, not more than %d can be used", errLong, len(filepath.Join(dir, socket)), maxName)
	}
	// The kernel leads the short name of an open directory to the directory.
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = use(fmt.Sprintf("/proc/self/fd/%d/%s", d.Fd(), socket))
	return errors.Join(err, d.Close())
}
