package platform

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// keepLifeline accepts on the listening socket fd for the rest of the process's
// life, and holds what it accepts until its death.
//
// It does so on a thread of its own, with a table of open files of its own. When
// a process is killed, each of its threads first lets go of the memory, then of
// its files; the last to let go of the memory tears it down, which takes
// milliseconds for a process that maps a large executable. Files that all
// threads share are closed only after that. Those of this thread are closed as
// soon as it is scheduled, which is a fraction of a millisecond after the kill.
func keepLifeline(fd int) {
	unix.CloseOnExec(fd)
	own := make(chan bool)
	go func() {
		runtime.LockOSThread() // for good: Go makes no threads from a locked one
		err := unix.Unshare(unix.CLONE_FILES)
		own <- err == nil
		if err != nil {
			return
		}
		if fd > 0 {
			_ = unix.CloseRange(0, uint(fd-1), 0)
		}
		_ = unix.CloseRange(uint(fd+1), ^uint(0)>>1, 0)
		for {
			// The accepted descriptor stays in this thread's table, on purpose.
			if _, _, err := unix.Accept4(fd, unix.SOCK_CLOEXEC); err != nil && err != unix.EINTR && err != unix.EAGAIN && err != unix.ECONNABORTED {
				return
			} else if err == unix.EAGAIN { // Go has made the socket non-blocking
				_, _ = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, -1)
			}
		}
	}()
	if <-own {
		unix.Close(fd) // the shared table's
	} // else a sandbox forbids it: the lifeline ends with all the other files
}
