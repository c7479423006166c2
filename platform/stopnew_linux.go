package platform

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// StopNew makes the system take no further connection on the socket, for all
// who hold it and for good, while those on their way arrive and can be accepted.
// Without it, connections that are made between the last accept and the close
// would be reset. Who comes now is neither taken nor turned away: their system
// asks again a second later, and is refused then. Datagrams know of nothing like
// it: of a socket for those, nothing changes.
//
// A socket filter (socket(7), SO_ATTACH_FILTER) drops what asks for a
// connection: segments with SYN and without ACK. It sees a segment from its TCP
// header on; the flags are in byte 13 (RFC 9293, 3.1).
func (s *Socket) StopNew() error {
	if s.udp {
		return nil
	}
	const syn, ack = 0x02, 0x10
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: 13},
		{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: syn | ack},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: syn, Jt: 0, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0xffffffff},
	}
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: unsafe.SliceData(filter)}
	return unix.SetsockoptSockFprog(s.fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &prog)
}
