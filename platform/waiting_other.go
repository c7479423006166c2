//go:build !linux

package platform

// ShowsWaiting: see there.
const ShowsWaiting = false

// Waiting can't be told on this system.
func (s *Socket) Waiting() int { return 0 }
