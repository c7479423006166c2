package platform

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
)

// TestListServing: another process that listens is found, with its name; this one is
// left out.
func TestListServing(t *testing.T) {
	t.Parallel()
	own, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := uint16(other.Addr().(*net.TCPAddr).Port)
	file, err := other.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sleep", "1000")
	cmd.ExtraFiles = []*os.File{file}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	file.Close()
	other.Close()
	var found []Serving
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if found, err = ListServing(t.Context()); err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(found, func(s Serving) bool { return s.Addr.Port() == port })
		if i >= 0 && found[i].Program == "sleep" && found[i].PID == cmd.Process.Pid {
			break // after its exec
		}
		if time.Until(end) < time.Second {
			t.Fatalf("port %d is not in %v", port, found)
		}
	}
	for i, s := range found {
		if int(s.Addr.Port()) == own.Addr().(*net.TCPAddr).Port {
			t.Error("its own port is listed")
		}
		if i > 0 && found[i-1].Addr.Port() >= s.Addr.Port() {
			t.Errorf("not sorted: %v", found)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := ListServing(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestFirewalls(t *testing.T) {
	t.Parallel()
	nobody := func(context.Context) (*dbus.Conn, error) { return nil, errors.New("no bus") }
	const rules = "table inet filter {\n chain input {\n  type filter hook input priority 0; policy drop;\n }\n}\n"
	for _, c := range []struct {
		files map[string]string
		want  Firewall
	}{
		{nil, Firewall{}},
		{map[string]string{"etc/ufw/ufw.conf": "ENABLED=yes\n"}, Firewall{Name: "ufw", Active: true, Command: "sudo ufw allow 80/tcp"}},
		{map[string]string{"etc/ufw/ufw.conf": "# x\nENABLED=no\n"}, Firewall{Name: "ufw", Command: "sudo ufw allow 80/tcp"}},
		{map[string]string{"run/firewalld.pid": "7\n", "proc/7/comm": "x"}, Firewall{Name: "firewalld", Active: true,
			Command: "sudo firewall-cmd --add-port=80/tcp && sudo firewall-cmd --permanent --add-port=80/tcp"}},
		{map[string]string{"etc/nftables.conf": rules, "etc/systemd/system/multi-user.target.wants/nftables.service": ""}, Firewall{Name: "nftables", Active: true,
			Command: "sudo nft insert rule inet filter input tcp dport 80 accept",
			Note:    "It lasts until this computer restarts; add the rule to /etc/nftables.conf to keep it."}},
		{map[string]string{"etc/ufw/ufw.conf": "ENABLED=no\n", "run/firewalld.pid": "7\n", "proc/7/comm": "x"}, Firewall{Name: "firewalld", Active: true,
			Command: "sudo firewall-cmd --add-port=80/tcp && sudo firewall-cmd --permanent --add-port=80/tcp"}},
	} {
		root := t.TempDir()
		for name, text := range c.files {
			path := filepath.Join(root, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if got := firewallIn(t.Context(), root, nobody, 80, false); got != c.want {
			t.Errorf("%v:\n%+v, want\n%+v", c.files, got, c.want)
		}
	}
}

// TestFirewalldOnTheBus: it is on while it has its name there.
func TestFirewalldOnTheBus(t *testing.T) {
	conn := testBus(t)
	root := t.TempDir()
	bus := func(ctx context.Context) (*dbus.Conn, error) { return SessionBus(ctx) }
	if got := firewallIn(t.Context(), root, bus, 80, true); got != (Firewall{}) {
		t.Errorf("without it: %+v", got)
	}
	if _, err := conn.RequestName("org.fedoraproject.FirewallD1", dbus.NameFlagDoNotQueue); err != nil {
		t.Fatal(err)
	}
	if got := firewallIn(t.Context(), root, bus, 80, true); got.Name != "firewalld" || !got.Active ||
		got.Command != "sudo firewall-cmd --add-port=80/udp && sudo firewall-cmd --permanent --add-port=80/udp" {
		t.Errorf("%+v", got)
	}
}

func TestInputChain(t *testing.T) {
	t.Parallel()
	for rules, want := range map[string]struct {
		name   string
		closed bool
	}{
		"": {"", false},
		"table inet filter { chain input { type filter hook input priority 0; } }":                                                      {"inet filter input", false},
		"table ip f { chain in { type filter hook input priority 0; tcp dport 22 accept; reject; } }":                                   {"ip f in", true},
		"table f {\n chain in {\n  type filter hook input priority 0; # drop\n }\n chain out {\n  type filter hook output; drop\n }\n}": {"ip f in", false},
		"table inet x { chain output { type filter hook output priority 0; policy drop; } }":                                            {"", false},
		"hook input drop chain table": {"", false},
	} {
		if name, closed := inputChain(rules); name != want.name || closed != want.closed {
			t.Errorf("%s: %q, %v", rules, name, closed)
		}
	}
}

func TestProcAddr(t *testing.T) {
	t.Parallel()
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		t.Skip("the texts are of a little-endian machine")
	}
	for text, want := range map[string]string{
		"0100007F:1F90":                         "127.0.0.1:8080",
		"00000000000000000000000001000000:0050": "[::1]:80",
		"0000000000000000FFFF00000100007F:0050": "127.0.0.1:80",
		"00000000:0016":                         "0.0.0.0:22",
	} {
		if got, ok := procAddr(text); !ok || got.String() != want {
			t.Errorf("%s: %v", text, got)
		}
	}
	for _, text := range []string{"", "x", "0100007F", "0100007F:x", "01007F:1F90", "0100007F:1F90F"} {
		if got, ok := procAddr(text); ok {
			t.Errorf("%q is %v", text, got)
		}
	}
}
