package platform

import "golang.org/x/sys/unix"

// ShowsWaiting says whether this system tells how many connections nobody has
// accepted yet.
const ShowsWaiting = true

// Waiting is how many connections nobody has accepted yet, 0 if that can't be
// told. For a listening socket, what TCP_INFO counts as unacknowledged is its
// queue (net/ipv4/tcp.c, tcp_get_info). It may be called by anybody at any time.
func (s *Socket) Waiting() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone {
		return 0
	}
	info, err := unix.GetsockoptTCPInfo(s.fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return 0
	}
	return int(info.Unacked)
}
