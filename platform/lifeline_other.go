//go:build unix && !linux

package platform

import "golang.org/x/sys/unix"

// keepLifeline leaves the socket as it is: the system closes it with the link.
func keepLifeline(fd int) { unix.CloseOnExec(fd) }
