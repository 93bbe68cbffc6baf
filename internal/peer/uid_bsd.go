//go:build darwin || freebsd

package peer

import "golang.org/x/sys/unix"

// credential returns the user id of the socket's peer (LOCAL_PEERCRED in unix(4)).
func credential(fd int) (uint32, error) {
	cred, err := unix.GetsockoptXucred(fd, 0, unix.LOCAL_PEERCRED)
	if err != nil {
		return 0, err
	}
	return cred.Uid, nil
}
