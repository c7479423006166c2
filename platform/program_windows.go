package platform

import (
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/windows"
)

// GroupProgram has a program be started as the head of a process group.
func GroupProgram(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: windows.CREATE_NEW_PROCESS_GROUP}
}

// ShellProgram runs a line in the system's shell.
func ShellProgram(line string) []string { return []string{"cmd", "/c", line} }

// StopProgram ends a program.
func StopProgram(pid int, _ []int, _ bool) error {
	p, err := os.FindProcess(pid)
	if err != nil {
		return err
	}
	return p.Kill()
}

// GroupLives reports whether there is a process in the group of a program: that is
// not known here.
func GroupLives(int) bool { return false }
