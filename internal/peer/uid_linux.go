package peer

import "golang.org/x/sys/unix"

// credential is SO_PEERCRED of unix(7).
func credential(fd int) (uint32, error) {
	cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return 0, err
	}
	return cred.Uid, nil
}
