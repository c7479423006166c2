package platform

import (
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// LimitStall makes the system drop each connection accepted from ln whose other
// end takes no byte for d while there are some to send. The system does it for
// nothing; a timer in this process would keep sendfile from being used.
func LimitStall(ln *net.TCPListener, d time.Duration) error {
	raw, err := ln.SyscallConn()
	if err != nil {
		return err
	}
	var serr error
	err = raw.Control(func(fd uintptr) {
		// What is accepted inherits it (tcp(7)).
		serr = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(d.Milliseconds()))
	})
	if err != nil {
		return err
	}
	return serr
}
