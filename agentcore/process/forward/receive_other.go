//go:build !unix

package forward

import "net"

// receiver reads datagrams of one connected socket. On this system it can't wait
// for one without a buffer.
type receiver struct {
	conn *net.UDPConn
	buf  []byte
}

func newReceiver(conn *net.UDPConn) (*receiver, error) {
	return &receiver{conn, make([]byte, maxPacket)}, nil
}

// receive waits for a datagram and hands it to handle.
func (r *receiver) receive(handle func([]byte)) error {
	n, err := r.conn.Read(r.buf)
	if err == nil {
		handle(r.buf[:n])
	}
	return err
}
