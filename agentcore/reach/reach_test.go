package reach

import (
	"fmt"
	"net/netip"
	"testing"
)

func TestBestFirst(t *testing.T) {
	t.Parallel()
	a := func(addr, name string) Addr { return Addr{netip.MustParseAddr(addr), name} }
	for _, c := range []struct {
		what string
		out  string
		in   []Addr
		want string
	}{
		{"the way out first", "192.168.1.5",
			[]Addr{a("172.17.0.1", "docker0"), a("10.0.0.2", "enp3s0"), a("fd00::5", "wlp2s0"), a("2001:db8::5", "wlp2s0"), a("192.168.1.5", "wlp2s0"), a("100.64.0.3", "tailscale0")},
			"192.168.1.5 2001:db8::5 fd00::5 10.0.0.2 172.17.0.1 100.64.0.3"},
		{"a VPN leads out", "10.8.0.2", []Addr{a("10.8.0.2", "tun0"), a("192.168.1.5", "eth0")}, "192.168.1.5 10.8.0.2"},
		{"no way out", "", []Addr{a("172.18.0.1", "br-12ab"), a("203.0.113.5", "eth1"), a("192.168.1.5", "eth0")}, "192.168.1.5 203.0.113.5 172.18.0.1"},
		{"only virtual ones", "", []Addr{a("fd00::1", "veth1"), a("10.1.1.1", "veth0")}, "10.1.1.1 fd00::1"},
	} {
		out, _ := netip.ParseAddr(c.out)
		sortBest(c.in, out)
		got := ""
		for _, a := range c.in {
			got += fmt.Sprint(a.Addr, " ")
		}
		if got != c.want+" " {
			t.Errorf("%s: %s, want %s", c.what, got, c.want)
		}
	}
	for _, a := range Addrs() {
		if a.IsLoopback() || a.IsLinkLocalUnicast() || a.Interface == "" {
			t.Errorf("%+v", a)
		}
	}
}
