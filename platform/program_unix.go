//go:build unix

package platform

import (
	"errors"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// GroupProgram has a program be started as the head of a process group.
func GroupProgram(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// ShellProgram runs a line in the system's shell.
func ShellProgram(line string) []string { return []string{"/bin/sh", "-c", line} }

// StopProgram asks the process group of a program, and those processes besides,
// to end; with force it ends them.
func StopProgram(pid int, others []int, force bool) error {
	sig := unix.SIGTERM
	if force {
		sig = unix.SIGKILL
	}
	err := unix.Kill(-pid, sig)
	if errors.Is(err, unix.ESRCH) {
		err = nil
	}
	for _, other := range others {
		_ = unix.Kill(other, sig)
	}
	return err
}

// GroupLives reports whether there is a process in the group of a program.
func GroupLives(pid int) bool { return !errors.Is(unix.Kill(-pid, 0), unix.ESRCH) }
