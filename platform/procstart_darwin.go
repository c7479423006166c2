package platform

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// ProcessStart names the moment at which a process began, to the microsecond.
// Together with the pid it is the process's alone. It is an error when there is
// no such process.
func ProcessStart(pid int) (string, error) {
	p, err := unix.SysctlKinfoProc("kern.proc.pid", pid)
	if err != nil {
		return "", err
	}
	if int(p.Proc.P_pid) != pid {
		return "", fmt.Errorf("there is no process %d", pid)
	}
	t := p.Proc.P_starttime
	return fmt.Sprintf("%d.%06d", t.Sec, t.Usec), nil
}
