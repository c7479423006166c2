//go:build unix

package platform

import "golang.org/x/sys/unix"

// Waiting reports whether somebody waits for being accepted, or a datagram for
// being taken, as far as can be told. It may be called by anybody at any time.
func (s *Socket) Waiting() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone {
		return false
	}
	fds := []unix.PollFd{{Fd: int32(s.fd), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, 0)
	return n == 1 && err == nil && fds[0].Revents == unix.POLLIN
}
