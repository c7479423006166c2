package platform

import (
	"net"

	"golang.org/x/sys/unix"
)

// claimListener makes this process the one that the kernel names to whoever
// connects to the listening socket fd, in place of the one that bound it.
func claimListener(fd int) { _ = unix.Listen(fd, unix.SOMAXCONN) }

// Listens reports whether process pid may be who listens at the other end of c:
// the kernel names no other one that lives.
func Listens(pid int, c net.Conn) bool {
	uc, ok := c.(*net.UnixConn)
	if !ok {
		return false
	}
	var who int
	err := onSocket(uc, func(fd int) error {
		cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
		if err == nil {
			who = int(cred.Pid)
		}
		return err
	})
	if err != nil || who == pid {
		return err == nil
	}
	// The agent that bound it is named as long as the process has not claimed it:
	// if that has died, nothing is known. 0 is a process of another container.
	_, err = ProcessStart(who)
	return who != 0 && err != nil
}
