package platform

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// claimVar makes the test binary claim the listening socket that it inherited,
// and say so.
const claimVar = "SHARETRAY_TEST_CLAIM"

func init() {
	if os.Getenv(claimVar) == "" {
		return
	}
	claimListener(3)
	fmt.Println("claimed")
	_, _ = os.Stdin.Read(make([]byte, 1)) // until the test lets go
	os.Exit(0)
}

// TestListens: the kernel says who listens, whatever is said on the socket.
func TestListens(t *testing.T) {
	t.Parallel()
	path := filepath.Join(shortDir(t), "l")
	ln, err := listenPrivate(path)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	dial := func() net.Conn {
		c, err := DialControl(context.Background(), path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	stranger, _ := sleeper(t)
	before := dial()
	if !Listens(os.Getpid(), before) || Listens(stranger, before) {
		t.Error("it is not this process that listens, or everybody")
	}

	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = []string{claimVar + "=1"}
	cmd.ExtraFiles = []*os.File{ln}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	after := dial()
	if pid := cmd.Process.Pid; !Listens(pid, after) || Listens(os.Getpid(), after) || Listens(stranger, after) {
		t.Error("the process that has claimed the socket is not the one that listens")
	}
	in.Close()
	_ = cmd.Wait()
	// Who listens is dead: nothing speaks against anybody.
	if !Listens(stranger, after) {
		t.Error("a dead process is taken for the one that listens")
	}
}
