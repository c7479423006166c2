//go:build unix

package platform

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Where a share process finds its link's listening socket, and that of its
// lifeline.
const (
	linkFD = 3
	lifeFD = 4
)

// StartChild starts a share process in a session of its own, with a link at
// linkPath that the process owns from then on, and with env besides this
// process's own environment. What it writes outside its log goes to stderr (nil:
// nowhere).
//
// The sockets are bound here and inherited, so that they can be dialled before
// the process has come up: nobody polls for a file to appear.
func StartChild(exe string, args, env []string, linkPath string, stderr *os.File) (_ *Child, err error) {
	defer func() {
		if err != nil {
			RemoveLink(linkPath)
		}
	}()
	link, err := listenPrivate(linkPath)
	if err != nil {
		return nil, fmt.Errorf("make the link: %w", err)
	}
	defer link.Close()
	life, err := listenPrivate(linkPath + LifeSuffix)
	if err != nil {
		return nil, fmt.Errorf("make the lifeline: %w", err)
	}
	defer life.Close()
	cmd := exec.Command(exe, args...)
	if exe == ownImage {
		cmd.Args[0] = os.Args[0] // for people who list processes
	}
	cmd.ExtraFiles = []*os.File{link, life} // become linkFD and lifeFD
	if stderr != nil {                      // a nil *os.File in an interface is not nil
		cmd.Stdout, cmd.Stderr = stderr, stderr
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), env...)
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start a share process: %w", err)
	}
	child := &Child{Cmd: cmd}
	if child.Link, err = net.Dial("unix", linkPath); err == nil {
		child.Life, err = net.Dial("unix", linkPath+LifeSuffix)
	}
	if err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if child.Link != nil {
			child.Link.Close()
		}
		return nil, fmt.Errorf("dial the link: %w", err)
	}
	return child, nil
}

// listenPrivate binds a Unix socket that only this user can reach, to be
// inherited.
func listenPrivate(path string) (*os.File, error) {
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	ln.SetUnlinkOnClose(false)
	defer ln.Close()
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, err
	}
	return ln.File()
}

// RemoveLink removes what a share process leaves in the folder of links.
func RemoveLink(linkPath string) {
	os.Remove(linkPath)
	os.Remove(linkPath + LifeSuffix)
}

// InheritedLink is the share process's side of StartChild: the listener on
// which agents come in. It takes the lifeline into its keeping, too.
func InheritedLink(string) (net.Listener, error) {
	f := os.NewFile(linkFD, "link")
	if f == nil {
		return nil, errors.New("no link was inherited")
	}
	defer f.Close()
	claimListener(linkFD)
	ln, err := net.FileListener(f)
	if err != nil {
		return nil, fmt.Errorf("use the inherited link: %w", err)
	}
	keepLifeline(lifeFD)
	return ln, nil
}

// StopSignals are the signals that ask a process of ours to end gently.
func StopSignals() []os.Signal {
	return []os.Signal{syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGHUP, os.Interrupt}
}

// AskToStop asks a share process to finish what is in flight and to exit.
func AskToStop(pid int) error { return signal(pid, syscall.SIGQUIT) }

// KillGroup ends the process and all in its process group, at once. The process
// must have been started by StartChild and not been waited for yet.
func KillGroup(pid int) error { return signal(-pid, syscall.SIGKILL) }

func signal(pid int, sig syscall.Signal) error {
	if pid == 0 || pid == 1 || pid == -1 {
		return fmt.Errorf("refusing to signal pid %d", pid)
	}
	if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("signal %s to %d: %w", unix.SignalName(sig), pid, err)
	}
	return nil
}

// ExitCause says in plain words how a process ended.
func ExitCause(ps *os.ProcessState) string {
	if ps == nil {
		return "it vanished"
	}
	if ws, ok := ps.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return fmt.Sprintf("it was killed by %s", unix.SignalName(ws.Signal()))
	}
	return fmt.Sprintf("it exited with code %d", ps.ExitCode())
}

// StartDetached starts cmd in a session of its own, so that it outlives the
// terminal and the process that started it.
func StartDetached(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.WaitDelay = time.Second
	return cmd.Start()
}

func checkPrivate(path string) error {
	fi, err := os.Lstat(path)
	if err != nil {
		return err
	}
	st, ok := fi.Sys().(*syscall.Stat_t)
	switch {
	case !fi.IsDir():
		return fmt.Errorf("%s is not a folder", path)
	case !ok || int(st.Uid) != os.Geteuid():
		return fmt.Errorf("%s belongs to another user", path)
	}
	if fi.Mode().Perm()&0o077 != 0 {
		if err := os.Chmod(path, 0o700); err != nil {
			return fmt.Errorf("close %s to others: %w", path, err)
		}
	}
	return nil
}
