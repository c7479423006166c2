//go:build !linux

package platform

import (
	"context"
	"time"
)

// PortHolder returns the process that listens for connections on a port of this
// computer, as far as this user may see it. Of datagrams it can't tell here.
func PortHolder(port uint16, udp bool) (pid int, name string, ok bool) {
	if udp {
		return 0, "", false
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	all, err := listening(ctx)
	if err != nil {
		return 0, "", false
	}
	for _, s := range all {
		if s.Addr.Port() == port && s.PID != 0 {
			return s.PID, s.Program, true
		}
	}
	return 0, "", false
}
