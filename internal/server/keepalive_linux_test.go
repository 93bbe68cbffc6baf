package server

import (
	"net"
	"syscall"
	"testing"
)

func TestDeadClientsAreFoundByKeepAliveWithinNinetySeconds(t *testing.T) {
	l, err := listenTCP(t.Context(), "test", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	far, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	near, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer near.Close()
	raw, err := near.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	option := func(level, name int) (value int) {
		t.Helper()
		if ctl := raw.Control(func(fd uintptr) {
			value,
				err = syscall.GetsockoptInt(int(fd), level, name)
		}); ctl != nil || err != nil {
			t.Fatal(ctl, err)
		}
		return value
	}
	if option(syscall.SOL_SOCKET, syscall.SO_KEEPALIVE) == 0 {
		t.Fatal("there is no keep-alive")
	}
	idle, every := option(syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE), option(syscall.IPPROTO_TCP, syscall.TCP_KEEPINTVL)
	if n := option(syscall.IPPROTO_TCP, syscall.TCP_KEEPCNT); idle+n*every != 90 {
		t.Errorf("a dead client is found after %d + %d × %d s", idle, n, every)
	}
}
