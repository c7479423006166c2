//go:build !linux

package platform

import "fmt"

// StopNew has no way to do it on this system: connections that are made in the
// instant between the last accept and the close are reset.
func (s *Socket) StopNew() error {
	return fmt.Errorf("take no further connection: %w", ErrUnsupported)
}
