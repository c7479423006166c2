package agentcore_test

import (
	"errors"
	"os"
	"syscall"
	"testing"
	"time"
)

// sigSTOP is SIGSTOP, which not every system's syscall package names.
const sigSTOP = syscall.Signal(19)

func signal(t *testing.T, pid int, sig os.Signal) {
	t.Helper()
	p, err := os.FindProcess(pid)
	if err == nil {
		err = p.Signal(sig)
	}
	if err != nil {
		t.Fatalf("signal %v to %d: %v", sig, pid, err)
	}
}

// untilGone waits until no process has the pid.
func untilGone(t *testing.T, pid int) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		p, err := os.FindProcess(pid)
		if err != nil {
			return
		}
		if err := p.Signal(syscall.Signal(0)); errors.Is(err, os.ErrProcessDone) || errors.Is(err, syscall.ESRCH) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("process %d still runs", pid)
		}
	}
}
