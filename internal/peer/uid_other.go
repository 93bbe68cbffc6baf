//go:build !linux && !darwin && !freebsd

package peer

import (
	"errors"
	"net"
)

// UID is not to be had here: no client of a Unix socket may be taken for
// any user.
func UID(*net.UnixConn) (uint32, error) {
	return 0, errors.ErrUnsupported
}
