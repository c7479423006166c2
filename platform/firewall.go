package platform

import "context"

// Firewall is what may keep visitors from a port, as far as it can be found
// without administrator rights.
type Firewall struct {
	Name    string // "ufw", "firewalld", "nftables", "iptables", "Windows Firewall", "macOS firewall"; empty for none found
	Active  bool   // it is switched on
	Command string // what opens the port
	Note    string // what else is to know about the command; may be empty
}

// FirewallOf looks which firewall this computer has and how it would let visitors
// through to the port. It never changes anything.
func FirewallOf(ctx context.Context, port uint16, udp bool) Firewall {
	return firewallOf(ctx, port, udp)
}

func protocol(udp bool) string {
	if udp {
		return "udp"
	}
	return "tcp"
}
