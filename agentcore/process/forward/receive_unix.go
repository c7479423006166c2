//go:build unix

package forward

import (
	"net"
	"sync"
	"syscall"
)

// atOnce is how many datagrams are read before others get their turn.
const atOnce = 64

// packets are buffers for answers, for as long as one is being handed on: a
// session that waits for an answer has none.
var packets = sync.Pool{New: func() any { return new([maxPacket]byte) }}

// receiver reads datagrams of one connected socket.
type receiver struct{ raw syscall.RawConn }

func newReceiver(conn *net.UDPConn) (receiver, error) {
	raw, err := conn.SyscallConn()
	return receiver{raw}, err
}

// receive waits for datagrams and hands each that is there to handle.
func (r receiver) receive(handle func([]byte)) error {
	var failed error
	err := r.raw.Read(func(fd uintptr) bool {
		buf := packets.Get().(*[maxPacket]byte)
		defer packets.Put(buf)
		for got := 0; got < atOnce; {
			n, err := syscall.Read(int(fd), buf[:])
			switch {
			case err == syscall.EINTR:
			case err == syscall.EAGAIN:
				return got > 0
			case err != nil:
				failed = err
				return true
			default:
				handle(buf[:n])
				got++
			}
		}
		return true
	})
	if err != nil {
		return err
	}
	return failed
}
