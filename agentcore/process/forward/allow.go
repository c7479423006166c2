package forward

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Allow is a list of destinations that may be connected to. The zero value
// allows none.
//
// A name that is allowed is not yet an address that is: whoever keeps a name may
// point it at this computer or at its neighbours. So an address that is not
// public (RFC 6890), or that is this computer's or of a network it is on, has to
// be allowed as such, by an entry that covers nothing else.
type Allow struct{ rules []allowRule }

type allowRule struct {
	any         bool         // "*": every name, and every public address
	name        string       // "host"; or ".domain" for "*.domain"
	net         netip.Prefix // valid, or a name
	first, last uint16       // ports
}

// ParseAllow reads entries, each a destination with or without ports:
//
//	example.com        a name; localhost is this computer
//	*.example.com      every name below it, but not the name itself
//	192.168.1.7        an address
//	192.168.1.0/24     a network
//	*                  every name and every public address
//
// followed by ":443" or ":8000-8099", else every port. IPv6 with ports needs
// brackets: [fd00::/8]:443.
func ParseAllow(entries ...string) (Allow, error) {
	var a Allow
	for _, e := range entries {
		r, err := parseRule(e)
		if err != nil {
			return Allow{}, fmt.Errorf("allow %q: %w", e, err)
		}
		a.rules = append(a.rules, r)
	}
	return a, nil
}

func parseRule(entry string) (r allowRule, err error) {
	dest, ports := entry, ""
	if inner, ok := strings.CutPrefix(entry, "["); ok {
		var after string
		if dest, after, ok = strings.Cut(inner, "]"); !ok {
			return r, fmt.Errorf("a bracket is not closed")
		}
		if ports, ok = strings.CutPrefix(after, ":"); !ok && after != "" {
			return r, fmt.Errorf("after the bracket comes a colon and a port")
		}
		if !strings.Contains(dest, ":") {
			return r, fmt.Errorf("brackets are for IPv6 addresses")
		}
		if ok && ports == "" {
			return r, fmt.Errorf("after the colon comes a port")
		}
	} else if strings.Count(entry, ":") == 1 {
		if dest, ports, _ = strings.Cut(entry, ":"); ports == "" {
			return r, fmt.Errorf("after the colon comes a port")
		}
	}
	if r.first, r.last, err = parsePorts(ports); err != nil {
		return r, err
	}
	if addr, err := netip.ParseAddr(dest); err == nil {
		if addr.Zone() != "" {
			return r, fmt.Errorf("an address with a zone can't be asked for")
		}
		addr = addr.Unmap()
		r.net = netip.PrefixFrom(addr, addr.BitLen())
		return r, nil
	}
	if strings.ContainsAny(dest, "/:") {
		net, err := netip.ParsePrefix(dest)
		switch {
		case err != nil:
			return r, fmt.Errorf("it is no network, as 192.168.1.0/24 is one")
		case net != net.Masked():
			return r, fmt.Errorf("the network is %s", net.Masked())
		case net.Addr().Is4In6():
			return r, fmt.Errorf("write the IPv4 network as such")
		}
		r.net = net
		return r, nil
	}
	if dest == "*" {
		r.any = true
		return r, nil
	}
	below, wild := strings.CutPrefix(dest, "*.")
	name, ok := cleanName(below)
	if !ok {
		return r, fmt.Errorf("it is no name, address or network")
	}
	r.name = name
	if wild {
		r.name = "." + name
	}
	return r, nil
}

func parsePorts(s string) (first, last uint16, err error) {
	if s == "" {
		return 1, 65535, nil
	}
	from, to, isRange := strings.Cut(s, "-")
	if !isRange {
		to = from
	}
	a, err1 := strconv.ParseUint(from, 10, 16)
	b, err2 := strconv.ParseUint(to, 10, 16)
	if err1 != nil || err2 != nil || a == 0 || b < a {
		return 0, 0, fmt.Errorf("%q is no port, nor a range as 8000-8099 is one", s)
	}
	return uint16(a), uint16(b), nil
}

// cleanName returns the name as it is compared: in lower case, without a final
// dot. Only names as RFC 1123 has them pass, with underscores, and none that
// some system reads as an address: those end in a number ("127.1", "0x7f.1").
func cleanName(s string) (string, bool) {
	s = strings.ToLower(strings.TrimSuffix(s, "."))
	if len(s) == 0 || len(s) > 253 {
		return "", false
	}
	labels := strings.Split(s, ".")
	for _, l := range labels {
		if len(l) == 0 || len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-' {
			return "", false
		}
		for _, c := range []byte(l) {
			if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
				return "", false
			}
		}
	}
	last := labels[len(labels)-1]
	if _, err := strconv.ParseUint(last, 10, 64); err == nil || strings.HasPrefix(last, "0x") || strings.Trim(last, "0123456789") == "" {
		return "", false
	}
	return s, true
}

func (r allowRule) port(p uint16) bool { return r.first <= p && p <= r.last }

// name reports whether a clean name may be asked for, and whether an entry says
// so that is a name.
func (a Allow) name(name string, port uint16) (allowed, said bool) {
	for _, r := range a.rules {
		if !r.port(port) {
			continue
		}
		allowed = allowed || r.any
		said = said || r.name != "" && (r.name == name || r.name[0] == '.' && strings.HasSuffix(name, r.name))
	}
	return allowed || said, said
}

// nets reports whether some address may be connected to at the port, whatever
// name it has.
func (a Allow) nets(port uint16) bool {
	return slices.ContainsFunc(a.rules, func(r allowRule) bool { return r.port(port) && r.net.IsValid() })
}

// addr reports whether an address may be connected to. named says that it was
// asked for by a name that is allowed. near are the networks that this computer
// is on.
func (a Allow) addr(to netip.AddrPort, named bool, near []netip.Prefix) bool {
	ip := to.Addr().Unmap()
	if ip.Zone() != "" || !ip.IsValid() {
		return false
	}
	within := func(p netip.Prefix) bool { return p.Contains(ip) }
	private := slices.DeleteFunc(slices.Concat(notPublic, near), func(p netip.Prefix) bool { return !within(p) })
	if len(private) == 0 && named {
		return true
	}
	return slices.ContainsFunc(a.rules, func(r allowRule) bool {
		switch {
		case !r.port(to.Port()):
			return false
		case r.any:
			return len(private) == 0
		case !r.net.IsValid() || !within(r.net):
			return false
		}
		// Of what is not public, the entry must name a part: 0.0.0.0/0 says
		// nothing about 127.0.0.1.
		return len(private) == 0 || slices.ContainsFunc(private, func(p netip.Prefix) bool {
			return p.Bits() <= r.net.Bits()
		})
	})
}

// notPublic are the networks of IANA's special-purpose registries that are not
// reachable from everywhere (RFC 6890 and its updates), and those that have an
// IPv4 address in them, which may be any.
var notPublic = prefixes(
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
	"192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15",
	"198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
	"::/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "100:0:0:1::/64",
	"2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16", "fc00::/7",
	"fe80::/10", "fec0::/10", "ff00::/8",
)

func prefixes(list ...string) (out []netip.Prefix) {
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

// nearby returns the networks that this computer is on.
func nearby() (out []netip.Prefix, err error) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil, err
	}
	for _, a := range addrs {
		n, ok := a.(*net.IPNet)
		if !ok {
			continue
		}
		ip, _ := netip.AddrFromSlice(n.IP)
		ip = ip.Unmap()
		ones, _ := n.Mask.Size()
		out = append(out, netip.PrefixFrom(ip, ip.BitLen())) // whatever its network's size
		if p := netip.PrefixFrom(ip, ones).Masked(); p.IsValid() && ones > 0 {
			out = append(out, p)
		}
	}
	return out, nil
}

// resolve returns the addresses to connect to, in order, of a destination that
// was asked for. An error of the resolver is returned as it is; a destination
// that is not allowed is errDenied.
func (a Allow) resolve(ctx context.Context, host string, port uint16, lookup func(context.Context, string) ([]netip.Addr, error)) ([]netip.AddrPort, error) {
	near, err := nearby()
	if err != nil {
		return nil, err
	}
	ip, err := netip.ParseAddr(host)
	ips, named := []netip.Addr{ip}, false
	if err != nil {
		name, ok := cleanName(host)
		if !ok {
			return nil, errDenied
		}
		// A name is asked for only if that may lead somewhere: a question to
		// the DNS is a message to whoever keeps the name.
		var said bool
		named, said = a.name(name, port)
		if !named && !a.nets(port) {
			return nil, errDenied
		}
		if name == "localhost" || strings.HasSuffix(name, ".localhost") { // nobody is asked (RFC 6761)
			ips = []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.IPv6Loopback()}
			if said {
				return addrPorts(ips, port), nil
			}
		} else if ips, err = lookup(ctx, name); err != nil {
			if !named { // whether the name exists is nobody's business then
				err = errDenied
			}
			return nil, err
		}
	}
	var out []netip.AddrPort
	for _, to := range addrPorts(ips, port) {
		if a.addr(to, named, near) {
			out = append(out, to)
		}
	}
	if len(out) == 0 {
		return nil, errDenied
	}
	return out, nil
}

func addrPorts(ips []netip.Addr, port uint16) (out []netip.AddrPort) {
	for _, ip := range ips {
		out = append(out, netip.AddrPortFrom(ip.Unmap(), port))
	}
	return out
}
