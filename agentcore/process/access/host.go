package access

import (
	"net/netip"
	"slices"
	"strings"
)

// knows reports whether a share may be asked for by this Host header. A web page
// can have its own name lead to this computer (DNS rebinding), and would be
// taken for the share's by the visitor's browser; it can't have an address as its
// name, nor one of this computer's.
func (g *Guard) knows(hostport string) bool {
	host := hostOf(hostport)
	if host == "" || host == "localhost" || strings.HasSuffix(host, ".localhost") { // none is HTTP/1.0: no browser
		return true
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	if slices.Contains(g.rules.Local, host) {
		return true
	}
	return slices.ContainsFunc(g.rules.Hosts, func(h string) bool {
		below, wild := strings.CutPrefix(h, "*")
		return h == host || wild && strings.HasSuffix(host, below) && len(host) > len(below)
	})
}

// hostOf is the name in a Host header: without port, brackets, zone and dot at
// the end.
func hostOf(hostport string) string {
	host := strings.ToLower(hostport)
	if inner, ok := strings.CutPrefix(host, "["); ok {
		host, _, _ = strings.Cut(inner, "]")
	} else if i := strings.LastIndexByte(host, ':'); i >= 0 && strings.IndexByte(host, ':') == i {
		host = host[:i]
	}
	return strings.TrimSuffix(host, ".")
}
