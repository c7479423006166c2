package platform

import (
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"testing"
)

func TestParseLsof(t *testing.T) {
	t.Parallel()
	got := parseLsof("p12\ncMy\\x20App \\xzz\nf3\ntIPv4\nn*:8080\nf4\ntIPv6\nn*:8081\nf5\ntIPv6\nn[::1]:3000\n" +
		"p7\ncnode\nf20\ntIPv4\nn127.0.0.1:5173\nf21\ntIPv6\nn[fe80::1%lo0]:99\nf22\ntIPv4\nn*:*\n\n")
	want := []Serving{
		{netip.MustParseAddrPort("0.0.0.0:8080"), 12, `My App \xzz`},
		{netip.MustParseAddrPort("[::]:8081"), 12, `My App \xzz`},
		{netip.MustParseAddrPort("[::1]:3000"), 12, `My App \xzz`},
		{netip.MustParseAddrPort("127.0.0.1:5173"), 7, "node"},
		{netip.MustParseAddrPort("[fe80::1%lo0]:99"), 7, "node"},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	if got := parseLsof("\x00\nn\np\nnx"); len(got) != 0 {
		t.Errorf("of nonsense: %v", got)
	}
}

// TestLsof: what the real one prints is understood.
func TestLsof(t *testing.T) {
	t.Parallel()
	lsof, err := exec.LookPath("lsof")
	if err != nil {
		t.Skip("lsof is not installed; it matters on macOS, which has it")
	}
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Log(err) // no IPv6 here
			continue
		}
		defer l.Close()
		out, err := exec.Command(lsof, append(lsofArgs, "-a", "-p", strconv.Itoa(os.Getpid()))...).Output()
		if err != nil {
			t.Fatal(err)
		}
		addr := l.Addr().(*net.TCPAddr).AddrPort()
		if !slices.ContainsFunc(parseLsof(string(out)), func(s Serving) bool {
			return s.Addr == addr && s.PID == os.Getpid() && s.Program != ""
		}) {
			t.Errorf("%v is not in\n%s", addr, out)
		}
	}
}

func TestParseTCPTable(t *testing.T) {
	t.Parallel()
	number := func(b []byte, n uint32) []byte { return binary.LittleEndian.AppendUint32(b, n) }
	v4 := number(nil, 2)
	for _, row := range []struct {
		addr [4]byte
		port [2]byte
		pid  uint32
	}{{[4]byte{127, 0, 0, 1}, [2]byte{0x1f, 0x90}, 70000}, {[4]byte{}, [2]byte{0, 80}, 4}} {
		v4 = append(number(v4, 2), row.addr[:]...)
		v4 = append(v4, row.port[0], row.port[1], 0xee, 0xee) // what follows the port may be anything
		v4 = append(v4, make([]byte, 8)...)
		v4 = number(v4, row.pid)
	}
	want := []Serving{{Addr: netip.MustParseAddrPort("127.0.0.1:8080"), PID: 70000}, {Addr: netip.MustParseAddrPort("0.0.0.0:80"), PID: 4}}
	if got := parseTCPTable(append(v4, make([]byte, 100)...), false); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := parseTCPTable(v4[:len(v4)-1], false); !slices.Equal(got, want[:1]) {
		t.Errorf("a row that is cut off: %v", got)
	}
	addr := netip.MustParseAddr("fe80::1").As16()
	v6 := append(number(nil, 1), addr[:]...)
	v6 = append(number(v6, 12), 0x0b, 0xb8, 0, 0)
	v6 = append(v6, make([]byte, 24)...)
	v6 = number(number(v6, 2), 99)
	if got := parseTCPTable(v6, true); len(v6) != 4+56 || len(got) != 1 || got[0] != (Serving{Addr: netip.MustParseAddrPort("[fe80::1%12]:3000"), PID: 99}) {
		t.Errorf("%d bytes: %v", len(v6), got)
	}
	if got := parseTCPTable([]byte{1, 0}, true); got != nil {
		t.Errorf("of nothing: %v", got)
	}
}
