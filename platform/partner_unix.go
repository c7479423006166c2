//go:build unix

package platform

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"

	"golang.org/x/sys/unix"
)

// partnerFD is where a process finds the channel to the one that started it.
const partnerFD = 3

// StartPartner starts cmd detached, with a channel to it. It is no pipe whose
// writer dies when nobody reads any more.
func StartPartner(cmd *exec.Cmd) (net.Conn, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return nil, fmt.Errorf("make a channel: %w", err)
	}
	for _, fd := range fds {
		unix.CloseOnExec(fd)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "partner"), os.NewFile(uintptr(fds[1]), "partner")
	defer ours.Close()
	defer theirs.Close()
	conn, err := net.FileConn(ours)
	if err != nil {
		return nil, fmt.Errorf("use a channel: %w", err)
	}
	cmd.ExtraFiles = []*os.File{theirs} // becomes partnerFD
	if cmd.Path == ownImage {
		cmd.Args[0] = os.Args[0]
	}
	if err := StartDetached(cmd); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// Partner is the other end of StartPartner's channel, in the process that was
// started. It is called once.
func Partner() (net.Conn, error) {
	unix.CloseOnExec(partnerFD)
	f := os.NewFile(partnerFD, "partner")
	defer f.Close()
	conn, err := net.FileConn(f)
	if err != nil {
		return nil, fmt.Errorf("use the channel to the process that started this one: %w", err)
	}
	return conn, nil
}

// CannotRun reports whether err says that a file is no program for this computer.
func CannotRun(err error) bool { return errors.Is(err, unix.ENOEXEC) }
