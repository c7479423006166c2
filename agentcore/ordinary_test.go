package agentcore_test

import (
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sharetray/agentcore"
	"sharetray/agentcore/share"
	"sharetray/agentcore/supervise"
)

// ordinaryRole makes this binary try what root may do and others may not.
const ordinaryRole = "as-ordinary-user"

func ordinary(dir string) {
	fmt.Println(agentcore.CheckTarget(share.Share{Kind: share.Web, Target: dir}))
	fmt.Println(supervise.TryBind(share.Web, []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:81")}))
}

// TestOrdinaryUser: a folder that can't be read and a port that needs rights
// are refused with a sentence that says what to do.
func TestOrdinaryUser(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	locked := filepath.Join(dir, "locked")
	if err := os.Mkdir(locked, 0o000); err != nil {
		t.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, ordinaryRole, locked)
	if os.Geteuid() == 0 {
		// The test's own folder is closed to others: they get a copy of the binary.
		public, err := os.MkdirTemp("", "st")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(public) })
		for _, d := range []string{public, filepath.Dir(dir), dir} {
			if err := os.Chmod(d, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		theirs := filepath.Join(public, "t")
		copyFile(t, exe, theirs)
		cmd = exec.Command("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", theirs, ordinaryRole, locked)
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	wants := []string{"the folder " + locked + " can't be read: give yourself the right"}
	if b, err := os.ReadFile("/proc/sys/net/ipv4/ip_unprivileged_port_start"); err == nil && strings.TrimSpace(string(b)) == "0" {
		t.Log("this system lets everybody have low ports: they need no sentence")
	} else {
		wants = append(wants, "port 81 needs administrator rights: choose a port from 1024 up")
	}
	for _, want := range wants {
		if !strings.Contains(string(out), want) {
			t.Errorf("%s\ndoes not say %q", out, want)
		}
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(out, in)
	if cerr := out.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		t.Fatal(err)
	}
}
