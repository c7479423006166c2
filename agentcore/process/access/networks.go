package access

import (
	"fmt"
	"net/netip"
)

// Networks are those from which a share may be reached; none: from all.
type Networks []netip.Prefix

// ParseNetworks reads networks as files have them, "192.168.1.0/24".
func ParseNetworks(texts []string) (Networks, error) {
	var ns Networks
	for _, text := range texts {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("%q is no network: write one such as 192.168.1.0/24", text)
		}
		ns = append(ns, p.Masked())
	}
	return ns, nil
}

// Allow reports whether somebody at addr may come in.
func (ns Networks) Allow(addr netip.Addr) bool {
	if len(ns) == 0 {
		return true
	}
	addr = addr.Unmap().WithZone("")
	for _, p := range ns {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}
