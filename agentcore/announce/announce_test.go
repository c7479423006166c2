package announce

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"sharetray/agentcore/reach"
)

// inside is set in the test's second process, which has a network of its own.
const inside = "SHARETRAY_TEST_NETWORK"

// TestAnnounced: a client that browses finds what is announced, in a network that
// nobody else is in.
func TestAnnounced(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has networks that a test can have to itself")
	}
	if os.Getenv(inside) == "" {
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
		cmd := exec.Command("unshare", append(args, exe, "-test.run", "^TestAnnounced$", "-test.v")...)
		cmd.Env = append(os.Environ(), inside+"=1", "DBUS_SYSTEM_BUS_ADDRESS=unix:path=/nonexistent")
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "PASS: TestAnnounced") {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	for _, line := range []string{"link set lo up", "link set lo multicast on", "route add 224.0.0.0/4 dev lo"} {
		if out, err := exec.Command("ip", strings.Fields(line)...).CombinedOutput(); err != nil {
			t.Fatalf("ip %s: %v, %s (the Debian package iproute2 has it)", line, err, out)
		}
	}
	addrs := []reach.Addr{{Addr: netip.MustParseAddr("127.0.0.1"), Interface: "lo"}}
	a := New(slog.Default())
	defer a.Close()
	photos := Service{"Photos of ü. v2", "_http._tcp", 8080, "/"}
	drive := Service{"Files", "_webdav._tcp", 8081, "/"}
	a.Set([]Service{photos, drive}, addrs)
	if !a.Answers() {
		t.Fatal("nothing is announced")
	}
	got := browse(t, "_http._tcp.local.")
	want := []string{`_http._tcp.local. PTR Photos\ of\ \195\188\.\ v2._http._tcp.local.`, "SRV 8080 " + Host() + ".", "A 127.0.0.1", "TXT path=/"}
	for _, w := range want {
		if !slices.ContainsFunc(got, func(g string) bool { return strings.Contains(g, w) }) {
			t.Errorf("%q lacks %s", got, w)
		}
	}
	if got := browse(t, "_webdav._tcp.local."); !strings.Contains(strings.Join(got, "\n"), "SRV 8081") {
		t.Errorf("%q", got)
	}
	a.Set([]Service{drive}, addrs)
	if got := browse(t, "_webdav._tcp.local."); len(got) == 0 {
		t.Error("the drive is announced no more")
	}
	if got := browse(t, "_http._tcp.local."); len(got) > 0 {
		t.Errorf("still there: %q", got)
	}
	a.Close()
	if got := browse(t, "_webdav._tcp.local."); len(got) > 0 || a.Answers() {
		t.Errorf("still there: %q", got)
	}
}

// browse asks the network for services, as a client does, until it is answered or
// a while has passed.
func browse(t *testing.T, service string) (found []string) {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	m := new(dns.Msg)
	m.SetQuestion(service, dns.TypePTR)
	m.RecursionDesired = false
	query, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 1<<16)
	for range 4 {
		if _, err := conn.WriteToUDP(query, &net.UDPAddr{IP: net.IPv4(224, 0, 0, 251), Port: 5353}); err != nil {
			t.Fatal(err)
		}
		_ = conn.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
		n, _, err := conn.ReadFromUDP(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		var answer dns.Msg
		if err := answer.Unpack(buf[:n]); err != nil {
			t.Fatal(err)
		}
		for _, r := range append(answer.Answer, answer.Extra...) {
			switch r := r.(type) {
			case *dns.PTR:
				found = append(found, r.Hdr.Name+" PTR "+r.Ptr)
			case *dns.SRV:
				found = append(found, fmt.Sprint("SRV ", r.Port, " ", r.Target))
			case *dns.A:
				found = append(found, "A "+r.A.String())
			case *dns.TXT:
				found = append(found, "TXT "+strings.Join(r.Txt, " "))
			}
		}
		return found
	}
	return nil
}

func TestUnique(t *testing.T) {
	t.Parallel()
	if unique("a", 0) != "a" || unique("a", 1) != "a (2)" {
		t.Error(unique("a", 1))
	}
	if got := escape(strings.Repeat(".", 100)); len(got) > 63 {
		t.Errorf("%d bytes", len(got))
	}
}
