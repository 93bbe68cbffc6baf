// Package control lets a command on the same machine ask a running server for a copy of its store.
// The command can't make the copy itself, because only the server has the store open.
//
// The server side is [Listen], which opens a Unix socket in the server's data directory. The client
// side is [Backup] and [Running]. The socket serves only the server's own account and root. Two
// checks ensure that: the socket has mode 0600 in a directory with mode 0700, and the kernel tells
// the account of each caller. The protocol is HTTP, so that the client can tell a complete copy
// from a truncated one, and so that a refusal has a text.
//
// Sessions and other API operations are not served here; see package server for the listeners of
// the API.
package control

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
)

const (
	// directory is the name of the socket's directory in the data directory. Other accounts may
	// enter the data directory, but not this one.
	directory = "control"
	socket    = "sock"

	// maxName is the longest path that fits into a socket's address on all systems: 104 bytes with
	// the final NUL on BSD, 108 on Linux.
	maxName = 103

	backupPath = "/backup"
)

// errLong means that the socket's path is too long and that there is no other name for it.
var errLong = errors.New("the data directory's path is too long for a Unix socket")

// withAddress calls use with a path at which the data directory's socket can be bound or connected
// to.
func withAddress(data string, use func(name string) error) error {
	dir := filepath.Join(data, directory)
	if name := filepath.Join(dir, socket); len(name) <= maxName {
		return use(name)
	}
	if runtime.GOOS != "linux" {
		return fmt.Errorf("%w: %d bytes, at most %d are allowed", errLong, len(filepath.Join(dir, socket)), maxName)
	}
	// /proc has a short name for an open directory.
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = use(fmt.Sprintf("/proc/self/fd/%d/%s", d.Fd(), socket))
	return errors.Join(err, d.Close())
}
