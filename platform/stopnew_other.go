//go:build !linux

package platform

import (
	"fmt"
	"net"
)

// StopNew has no way to do it on this system: connections that are made in the
// instant between the last accept and the close are reset.
func StopNew(*net.TCPListener) error {
	return fmt.Errorf("take no further connection: %w", ErrUnsupported)
}
