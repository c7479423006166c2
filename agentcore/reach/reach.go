// Package reach knows by which addresses other devices can reach this computer,
// and which of them is the best to give away.
//
// It must not know what is shared there.
package reach

import (
	"cmp"
	"net"
	"net/netip"
	"slices"
	"strings"
)

// Addr is an address of this computer in one of its networks.
type Addr struct {
	netip.Addr
	Interface string
}

// Addrs are those of interfaces that are up, the best one first, without loopback
// and IPv6's link-local ones (whose zone no link can carry).
func Addrs() []Addr {
	ifis, err := net.Interfaces()
	if err != nil {
		return nil
	}
	var found []Addr
	for _, ifi := range ifis {
		if ifi.Flags&net.FlagUp == 0 || ifi.Flags&net.FlagLoopback != 0 {
			continue
		}
		addrs, err := ifi.Addrs()
		if err != nil {
			continue
		}
		for _, a := range addrs {
			if ipnet, ok := a.(*net.IPNet); ok {
				if ip, ok := netip.AddrFromSlice(ipnet.IP); ok && !ip.IsLinkLocalUnicast() {
					found = append(found, Addr{ip.Unmap(), ifi.Name})
				}
			}
		}
	}
	if len(found) > 1 {
		sortBest(found, outgoing())
	}
	return found
}

// outgoing is the address from which this computer reaches the internet. Connecting
// a UDP socket only looks up a route: nothing is sent. The destination is one for
// documentation (RFC 5737).
func outgoing() netip.Addr {
	c, err := net.Dial("udp4", "192.0.2.1:9")
	if err != nil {
		return netip.Addr{}
	}
	defer c.Close()
	return c.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap()
}

// sortBest puts first what other devices are most likely to reach.
func sortBest(addrs []Addr, out netip.Addr) {
	main := ""
	for _, a := range addrs {
		if a.Addr == out && !isVirtual(a.Interface) {
			main = a.Interface
		}
	}
	slices.SortStableFunc(addrs, func(a, b Addr) int { return cmp.Compare(rank(a, main), rank(b, main)) })
}

// rank is the lower, the better an address is: of the interface that leads out,
// then of others that are real, then of those that programs have made; in each,
// IPv4 before IPv6, which is longer to type.
func rank(a Addr, main string) int {
	r := 0
	switch {
	case a.Interface == main:
	case !isVirtual(a.Interface):
		r = 10
	default:
		r = 20
	}
	switch {
	case a.Is4() && a.IsPrivate():
	case a.Is4():
		r++
	case a.IsPrivate(): // unique local
		r += 3
	default:
		r += 2
	}
	return r
}

// virtual are the beginnings of names of interfaces that lead to containers,
// virtual machines and private networks.
var virtual = []string{"docker", "br-", "veth", "virbr", "vmnet", "vmbr", "vboxnet", "lxc", "lxd", "cni", "flannel", "cali", "podman",
	"tun", "tap", "wg", "utun", "tailscale", "zt", "ppp", "ham", "vethernet", "bridge", "dummy", "ifb", "sit", "gre"}

func isVirtual(name string) bool {
	name = strings.ToLower(name)
	return slices.ContainsFunc(virtual, func(v string) bool { return strings.HasPrefix(name, v) })
}
