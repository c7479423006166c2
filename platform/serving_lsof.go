package platform

import (
	"net/netip"
	"strconv"
	"strings"
)

// lsofArgs have lsof print who listens: for each process a line p and one c, for
// each of its sockets a line f, one t and one n. +c0 is the whole name.
var lsofArgs = []string{"+c0", "-nP", "-iTCP", "-sTCP:LISTEN", "-Fpctn"}

// parseLsof reads what lsof printed.
func parseLsof(out string) (all []Serving) {
	var now Serving
	v6 := false
	for line := range strings.Lines(out) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" {
			continue
		}
		switch value := line[1:]; line[0] {
		case 'p':
			pid, _ := strconv.Atoi(value) // it prints a number
			now = Serving{PID: pid}
		case 'c':
			now.Program = printable(unescapeLsof(value), false)
		case 't':
			v6 = value == "IPv6"
		case 'n':
			if v6 {
				value = strings.Replace(value, "*", "[::]", 1)
			} else {
				value = strings.Replace(value, "*", "0.0.0.0", 1)
			}
			if addr, err := netip.ParseAddrPort(value); err == nil {
				now.Addr = netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
				all = append(all, now)
			}
		}
	}
	return all
}

// unescapeLsof undoes "\x20" for a space, and the like.
func unescapeLsof(s string) string {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(s, `\x`)
		b.WriteString(before)
		if !found {
			return b.String()
		}
		if len(after) >= 2 {
			if c, err := strconv.ParseUint(after[:2], 16, 8); err == nil {
				b.WriteByte(byte(c))
				s = after[2:]
				continue
			}
		}
		b.WriteString(`\x`)
		s = after
	}
}
