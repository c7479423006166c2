//go:build unix

package forward

import (
	"net"
	"sync"
	"syscall"
)

// packets are buffers for answers, for as long as one is being handed on: a
// session that waits for an answer has none.
var packets = sync.Pool{New: func() any { return new([maxPacket]byte) }}

// receiver reads datagrams of one connected socket.
type receiver struct {
	raw  syscall.RawConn
	read func(fd uintptr) (done bool)

	buf *[maxPacket]byte // with a datagram in it
	n   int
	err error
}

func newReceiver(conn *net.UDPConn) (*receiver, error) {
	raw, err := conn.SyscallConn()
	r := &receiver{raw: raw}
	r.read = r.tryRead
	return r, err
}

// receive waits for a datagram and hands it to handle. That happens outside of
// the raw read: whoever closes a socket waits for it.
func (r *receiver) receive(handle func([]byte)) error {
	if err := r.raw.Read(r.read); err != nil {
		return err
	}
	defer packets.Put(r.buf)
	if r.err == nil {
		handle(r.buf[:r.n])
	}
	return r.err
}

func (r *receiver) tryRead(fd uintptr) (done bool) {
	r.buf = packets.Get().(*[maxPacket]byte)
	for {
		r.n, r.err = syscall.Read(int(fd), r.buf[:])
		switch r.err {
		case syscall.EINTR:
		case syscall.EAGAIN:
			packets.Put(r.buf)
			return false
		default:
			return true
		}
	}
}
