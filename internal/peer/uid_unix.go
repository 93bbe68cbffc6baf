//go:build linux || darwin || freebsd

package peer

import (
	"fmt"
	"net"
)

// UID returns the user id of the process that connected to the Unix socket, as the kernel recorded
// it at the connect call.
func UID(c *net.UnixConn) (uint32, error) {
	raw, err := c.SyscallConn()
	var uid uint32
	var credErr error
	if err == nil {
		err = raw.Control(func(fd uintptr) { uid, credErr = credential(int(fd)) })
	}
	if err == nil {
		err = credErr
	}
	if err != nil {
		return 0, fmt.Errorf("read peer credentials: %w", err)
	}
	return uid, nil
}
