package peer

import "golang.org/x/sys/unix"

// credential returns the user id of the socket's peer (SO_PEERCRED in unix(7)).
func credential(fd int) (uint32, error) {
	cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return 0, err
	}
	return cred.Uid, nil
}
