package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// insideNetwork is set in a test's second process, which has a network of its own.
const insideNetwork = "SHARETRAY_TEST_NETWORK"

// TestAPhoneInTheNetwork: a share is opened to a network, its code is scanned, and the
// page tells that another device has come through. The network is one that this test
// has to itself, with another host in it.
func TestAPhoneInTheNetwork(t *testing.T) { // not beside others, which its load would disturb
	if os.Getenv(insideNetwork) == "" {
		inOwnNetwork(t)
		return
	}
	phone := exec.Command("unshare", "-n", "sleep", "1000")
	if err := phone.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = phone.Process.Kill(); _ = phone.Wait() }()
	network := func() string { ns, _ := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", phone.Process.Pid)); return ns }
	own, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	if err := waitFor(func() bool { return network() != own && network() != "" }); err != nil {
		t.Fatal("the phone has no network of its own")
	}
	onPhone := func(args ...string) *exec.Cmd {
		return exec.Command("nsenter", append([]string{"-t", fmt.Sprint(phone.Process.Pid), "-n"}, args...)...)
	}
	pid := fmt.Sprint(phone.Process.Pid)
	for _, cmd := range []*exec.Cmd{
		exec.Command("ip", "link", "set", "lo", "up"),
		exec.Command("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "wlan0"),
		exec.Command("ip", "link", "set", "wlan0", "netns", pid),
		exec.Command("ip", "addr", "add", "192.168.77.1/24", "dev", "eth0"),
		exec.Command("ip", "link", "set", "eth0", "up"),
		onPhone("ip", "addr", "add", "192.168.77.2/24", "dev", "wlan0"),
		onPhone("ip", "link", "set", "wlan0", "up"),
	} {
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", cmd.Args, err, out)
		}
	}
	h := newHome(t)
	h.types("share", "web", h.folder("Pictures", "cat.txt"))
	p := open(t, startBrowser(t), h, "/shares/Pictures/qr")
	p.reads("Only this computer can open it so far.")
	p.send("button.main")
	p.reads("Other devices in your network can open Pictures now.", "192.168.77.1", "answers on this computer", "Scan the code")
	png := filepath.Join(t.TempDir(), "code.png")
	if err := os.WriteFile(png, p.picture(), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("zbarimg", "-q", "--raw", png).Output()
	link := strings.TrimSpace(string(out))
	if err != nil || !strings.HasPrefix(link, "http://192.168.77.1:") {
		t.Fatalf("the code says %q (%v)", out, err)
	}
	// A visitor from this computer is no phone.
	if _, err := fetch(link); err != nil {
		t.Fatal(err)
	}
	if out, err := onPhone("curl", "-sS", "--max-time", "20", link+"cat.txt").Output(); err != nil || string(out) != "cat.txt" {
		t.Fatalf("the phone got %q, %v", out, err)
	}
	p.reads("Your phone has reached it: 192.168.77.2 was here.")
	p.clean()
}

// inOwnNetwork runs the calling test again, in a network of its own.
func inOwnNetwork(t *testing.T) {
	t.Helper()
	args := []string{"-n"}
	if os.Geteuid() != 0 {
		args = []string{"-rn"}
	}
	if out, err := exec.Command("unshare", append(args, "true")...).CombinedOutput(); err != nil {
		t.Skipf("this system gives this user no network of his own: %v, %s", err, out)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("unshare", append(args, exe, "-test.run", "^"+t.Name()+"$", "-test.v")...)
	cmd.Env = append(os.Environ(), insideNetwork+"=1")
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "PASS: "+t.Name()) {
		t.Fatalf("%v\n%s", err, out)
	}
}
