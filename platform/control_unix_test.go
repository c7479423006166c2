//go:build unix

package platform

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// strangerVar makes the test binary dial the socket that it names, and say what
// comes of it.
const strangerVar = "SHARETRAY_TEST_STRANGER"

func init() {
	path := os.Getenv(strangerVar)
	if path == "" {
		return
	}
	c, err := DialControl(context.Background(), path)
	if err != nil {
		fmt.Println("dial:", err)
		os.Exit(0)
	}
	if n, err := c.Read(make([]byte, 1)); n == 0 && err != nil {
		fmt.Println("turned away")
	} else {
		fmt.Println("let in")
	}
	os.Exit(0)
}

// TestControlTurnsOthersAway opens the socket file to everybody, so that only
// the question who is calling is left to keep others out.
func TestControlTurnsOthersAway(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("becoming another user takes root")
	}
	dir, err := os.MkdirTemp("", "stranger")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	exe := filepath.Join(dir, "stranger")
	if err := copyFile(exe, os.Args[0], 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "control")
	ln := greet(t, path)
	defer ln.Close()
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	ask := func(uid uint32) string {
		t.Helper()
		cmd := exec.Command(exe)
		cmd.Env = []string{strangerVar + "=" + path}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("as user %d: %v: %s", uid, err, out)
		}
		return string(out)
	}
	for _, c := range []struct {
		uid  uint32
		want string
	}{{0, "let in\n"}, {65534, "turned away\n"}, {0, "let in\n"}} {
		if got := ask(c.uid); got != c.want {
			t.Errorf("user %d: %q, want %q", c.uid, got, c.want)
		}
	}
}

// TestControlIsClosedToOthers checks the other lock of the two: the file's mode.
func TestControlIsClosedToOthers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "control")
	ln := greet(t, path)
	fi, err := os.Stat(path)
	if err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("mode: %v, %v", fi.Mode(), err)
	}
	ln.Close()
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after the end: %v", err)
	}
	if _, err := DialControl(t.Context(), path); !IsNobodyThere(err) {
		t.Errorf("dial without a socket: %v", err)
	}
}

// TestControlReplacesAStaleSocket checks that a killed agent's socket is no obstacle.
func TestControlReplacesAStaleSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "control")
	old, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	old.SetUnlinkOnClose(false)
	old.Close()
	if _, err := DialControl(t.Context(), path); !IsNobodyThere(err) {
		t.Errorf("dial of a stale socket: %v", err)
	}
	defer greet(t, path).Close()
	c, err := DialControl(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if n, err := c.Read(make([]byte, 1)); n != 1 || err != nil {
		t.Errorf("read: %d, %v", n, err)
	}
}

// greet says a word to everyone it lets in.
func greet(t *testing.T, path string) net.Listener {
	t.Helper()
	ln, err := ListenControl(path)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(c, "!")
			c.Close()
		}
	}()
	return ln
}

func copyFile(to, from string, mode os.FileMode) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}
