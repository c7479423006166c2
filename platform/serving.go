package platform

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"os"
	"slices"
)

// Serving is a TCP port on which something of this computer listens.
type Serving struct {
	Addr    netip.AddrPort // where it can be had; of several addresses the one nearest to 127.0.0.1
	PID     int            // 0 if this user may not know
	Program string         // its name; empty if this user may not know
}

// ListServing lists the TCP ports on which other processes listen, each once,
// sorted. The sockets that this process has open are left out.
func ListServing(ctx context.Context) ([]Serving, error) {
	all, err := listening(ctx)
	if err != nil {
		return nil, fmt.Errorf("look which programs listen: %w", err)
	}
	all = slices.DeleteFunc(all, func(s Serving) bool { return s.PID == os.Getpid() })
	slices.SortFunc(all, func(a, b Serving) int {
		return cmp.Or(cmp.Compare(a.Addr.Port(), b.Addr.Port()), cmp.Compare(distance(a.Addr.Addr()), distance(b.Addr.Addr())),
			a.Addr.Compare(b.Addr), cmp.Compare(a.PID, b.PID))
	})
	return slices.CompactFunc(all, func(a, b Serving) bool { return a.Addr.Port() == b.Addr.Port() }), nil
}

// distance orders the addresses of one port by how surely a program of this
// computer reaches them.
func distance(a netip.Addr) int {
	far := 0
	switch {
	case a.IsLoopback():
	case a.IsUnspecified():
		far = 1
	default:
		far = 4
	}
	if !a.Is4() {
		far += 2
	}
	return far
}
