//go:build unix

package platform

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// sleeper is a process that is none of ours. Its end is sent once.
func sleeper(t *testing.T) (pid int, ended <-chan error) {
	t.Helper()
	cmd := exec.Command("sleep", "1000")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // a group of its own, as share processes have
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	over := make(chan error, 1)
	done := make(chan struct{})
	go func() { over <- cmd.Wait(); close(done) }()
	t.Cleanup(func() { _ = cmd.Process.Kill(); <-done })
	return cmd.Process.Pid, over
}

// unharmed ends the process by a signal of its own, and wants it to have died of
// that, not of an earlier one.
func unharmed(t *testing.T, pid int, ended <-chan error) {
	t.Helper()
	_ = syscall.Kill(pid, syscall.SIGTERM)
	if got := diedOf(<-ended); got != syscall.SIGTERM {
		t.Errorf("process %d was sent %v", pid, got)
	}
}

func diedOf(err error) syscall.Signal {
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.Sys().(syscall.WaitStatus).Signal()
	}
	return -1
}

func start(t *testing.T, pid int) string {
	t.Helper()
	began, err := ProcessStart(pid)
	if err != nil {
		t.Fatal(err)
	}
	return began
}

func TestFindProcessIsNobodyElse(t *testing.T) {
	t.Parallel()
	pid, ended := sleeper(t)
	began := start(t, pid)
	for _, wrong := range []string{"", "0", began + "0", "other-boot/1", start(t, os.Getpid())} {
		if p, err := FindProcess(pid, wrong); err == nil {
			t.Errorf("found %+v, which began at %q, not %q", p, began, wrong)
		}
	}
	for _, nobody := range []int{-1, 0, 1, -pid} {
		if p, err := FindProcess(nobody, began); err == nil {
			t.Errorf("found %+v by pid %d", p, nobody)
		}
	}
	unharmed(t, pid, ended)
}

// TestFoundProcessNeverSignalsItsSuccessor: a handle of a process whose pid is
// another's by now.
func TestFoundProcessNeverSignalsItsSuccessor(t *testing.T) {
	t.Parallel()
	pid, ended := sleeper(t)
	p, err := FindProcess(pid, start(t, pid))
	if err != nil {
		t.Fatal(err)
	}
	p.started = "another boot/1"
	for name, err := range map[string]error{"ask to stop": p.AskToStop(), "kill": p.Kill()} {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	began := time.Now()
	p.Wait(time.Hour)
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("waited %v for a process that has ended", took)
	}
	unharmed(t, pid, ended)
}

func TestFoundProcessEnds(t *testing.T) {
	t.Parallel()
	pid, ended := sleeper(t)
	p, err := FindProcess(pid, start(t, pid))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	if got := diedOf(<-ended); got != syscall.SIGKILL {
		t.Errorf("it ended by %v", got)
	}
	// All of it again, now that nobody is there.
	for name, err := range map[string]error{"ask to stop": p.AskToStop(), "kill": p.Kill()} {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	p.Wait(time.Hour)
	for name, err := range map[string]error{"ask to stop": p.AskToStop(), "kill": p.Kill()} {
		if err != nil {
			t.Errorf("%s, after the wait: %v", name, err)
		}
	}
}

func TestFindChildToNobody(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	listen := func(path string) net.Listener {
		ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		ln.SetUnlinkOnClose(false)
		t.Cleanup(func() { ln.Close() })
		return ln
	}
	nobody := func(what, path string) {
		t.Helper()
		if link, _, err := FindChild(path); !IsNobodyThere(err) || link != nil {
			t.Errorf("%s: %v, %v", what, link, err)
		}
	}
	path := filepath.Join(dir, "a")
	nobody("no file", path)
	ln := listen(path)
	life := listen(path + LifeSuffix)
	link, line, err := FindChild(path) // nobody accepts, and still
	if err != nil {
		t.Fatal(err)
	}
	link.Close()
	line.Close()

	life.Close()
	if link, line, err = FindChild(path); err != nil {
		t.Fatalf("a dead lifeline: %v", err)
	}
	link.Close()
	line.Close()
	RemoveLink(path + LifeSuffix)
	if link, line, err = FindChild(path); err != nil {
		t.Fatalf("no lifeline: %v", err)
	}
	link.Close()
	ln.Close() // it dies
	_ = line.SetReadDeadline(time.Now().Add(10 * time.Second))
	if n, err := line.Read(make([]byte, 1)); n != 0 || err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("what stands in for the lifeline says %d, %v after the end", n, err)
	}
	nobody("a dead process's link", path)
	plain := filepath.Join(dir, "plain")
	if err := os.WriteFile(plain, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	nobody("a file", plain)
}

func TestIsOwn(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	own := func() bool {
		t.Helper()
		info, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		return IsOwn(info)
	}
	for mode, want := range map[os.FileMode]bool{0o600: true, 0o644: true, 0o400: true, 0o700: true, 0o620: false, 0o602: false, 0o666: false, 0o777: false} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if got := own(); got != want {
			t.Errorf("mode %o: %t, want %t", mode, got, want)
		}
	}
	if os.Geteuid() != 0 {
		t.Log("giving a file away takes root: only its mode was looked at")
		return
	}
	if err := errors.Join(os.Chmod(path, 0o600), os.Chown(path, 65534, 65534)); err != nil {
		t.Fatal(err)
	}
	if own() {
		t.Error("another user's file is taken for this one's")
	}
}

// TestControlCloseLeavesWhatIsNotItsOwn: whoever bound there meanwhile, because
// the file was gone, keeps his socket.
func TestControlCloseLeavesWhatIsNotItsOwn(t *testing.T) {
	t.Parallel()
	path := filepath.Join(shortDir(t), "control")
	first := greet(t, path)
	second := greet(t, path)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	c, err := DialControl(t.Context(), path)
	if err != nil {
		t.Fatalf("the second listener can't be reached any more: %v", err)
	}
	defer c.Close()
	if n, err := c.Read(make([]byte, 1)); n != 1 || err != nil {
		t.Errorf("read: %d, %v", n, err)
	}
	second.Close()
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the second one leaves its file: %v", err)
	}
	if err := second.Close(); err == nil {
		t.Error("a second Close does not say so")
	}
}

// shortDir is a folder whose path leaves room for a socket's.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "st")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}
