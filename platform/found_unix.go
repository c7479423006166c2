//go:build unix

package platform

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"
	"time"
)

// FoundProcess is a share process that another process of ours has started. It
// is known for certain: whatever becomes of its pid, nobody else is signalled.
type FoundProcess struct {
	pid     int
	started string
	process *os.Process // on Linux it holds a pidfd
}

// FindProcess returns the process with that pid, if it is the one that began
// then: ProcessStart. Otherwise the error says so.
func FindProcess(pid int, started string) (*FoundProcess, error) {
	if pid < 2 {
		return nil, fmt.Errorf("there is no share process with pid %d", pid)
	}
	p, err := os.FindProcess(pid)
	if err != nil {
		return nil, err
	}
	// The handle first: if the start is right now, the handle is the right one.
	now, err := ProcessStart(pid)
	if err == nil && now != started {
		err = fmt.Errorf("pid %d is another process by now", pid)
	}
	if err != nil {
		_ = p.Release()
		return nil, err
	}
	return &FoundProcess{pid, started, p}, nil
}

// AskToStop asks the process to finish what is in flight and to exit.
func (p *FoundProcess) AskToStop() error { return p.signal(syscall.SIGQUIT) }

// Kill ends the process and all in its process group, at once.
func (p *FoundProcess) Kill() error {
	// The group has the pid's number until all in it are gone, so that it can't be
	// a stranger's while the process lives.
	if now, err := ProcessStart(p.pid); err == nil && now == p.started {
		_ = KillGroup(p.pid)
	}
	return p.signal(syscall.SIGKILL)
}

func (p *FoundProcess) signal(s syscall.Signal) error {
	if now, err := ProcessStart(p.pid); err != nil || now != p.started {
		return nil // it has ended
	}
	if err := p.process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signal %s to %d: %w", s, p.pid, err)
	}
	return nil
}

// goneLook is how often Wait looks whether the process is gone.
const goneLook = 5 * time.Millisecond

// Wait waits until the process is gone, or limit is over.
func (p *FoundProcess) Wait(limit time.Duration) {
	defer p.process.Release()
	// It may be this process's own child, of before it became another program.
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(goneLook) {
		var status syscall.WaitStatus
		if got, err := syscall.Wait4(p.pid, &status, syscall.WNOHANG, nil); err == nil && got == p.pid {
			return
		}
		if now, err := ProcessStart(p.pid); err != nil || now != p.started {
			return
		}
	}
}

// FindChild connects to a share process that runs already: its link, and its
// lifeline. One that does not come to accept is connected to all the same.
// Where the lifeline's file is gone, a second connection to the link stands in
// for it: it is closed by the system, too, if later.
func FindChild(linkPath string) (link, life net.Conn, err error) {
	link, err = net.DialTimeout("unix", linkPath, time.Second)
	if err != nil {
		return nil, nil, err
	}
	life, err = net.DialTimeout("unix", linkPath+LifeSuffix, time.Second)
	if IsNobodyThere(err) {
		life, err = net.DialTimeout("unix", linkPath, time.Second)
	}
	if err != nil {
		link.Close()
		return nil, nil, err
	}
	return link, life, nil
}

// IsOwn reports whether a file belongs to this user, and nobody else may write
// it.
func IsOwn(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(st.Uid) == os.Geteuid() && info.Mode().Perm()&0o022 == 0
}

// fileNumber is the file's own number among all of this computer.
func fileNumber(info fs.FileInfo) string {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return "?"
	}
	return fmt.Sprintf("%d:%d", st.Dev, st.Ino)
}
