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
//
// The thread's table starts as a copy, which stays: Go's runtime may use its
// poller from any thread. The poller must exist by now, as it does once package
// net has made a listener.
func keepLifeline(fd int) {
	unix.CloseOnExec(fd)
	own := make(chan bool)
	go func() {
		runtime.LockOSThread() // for good: Go makes no threads from a locked one
		// A signal that ends the process is to be handled by a thread that has
		// the file which the last words go to.
		var all unix.Sigset_t
		for i := range all.Val {
			all.Val[i] = ^all.Val[i]
		}
		_ = unix.PthreadSigmask(unix.SIG_SETMASK, &all, nil)
		err := unix.Unshare(unix.CLONE_FILES)
		own <- err == nil
		if err == nil {
			acceptForEver(fd)
		}
	}()
	if <-own {
		unix.Close(fd) // the shared table's
	} // else a sandbox forbids it: the lifeline ends with all the other files
}

// acceptForEver leaves what it accepts open. It makes bare system calls, because
// those that allocate memory may set the garbage collector going.
func acceptForEver(fd int) {
	readable := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	for {
		_, _, errno := unix.Syscall6(unix.SYS_ACCEPT4, uintptr(fd), 0, 0, unix.SOCK_CLOEXEC, 0, 0)
		switch errno {
		case 0, unix.EINTR, unix.ECONNABORTED:
		case unix.EAGAIN: // the agent's side had made the socket non-blocking
			_, _ = unix.Poll(readable, -1)
		default:
			return
		}
	}
}
