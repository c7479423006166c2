//go:build !linux

package platform

// Waiting can't be told on this system.
func (s *Socket) Waiting() int { return 0 }
