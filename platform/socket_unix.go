//go:build unix

package platform

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// Socket is a listening TCP socket, or one for UDP, that is held, not used. It
// stays out of Go's poller, so that connections which another process accepts
// from the same socket do not wake this one.
type Socket struct {
	addr netip.AddrPort
	udp  bool
	fd   int // what is done with it while somebody else may give it up is done under mu

	mu   sync.Mutex
	gone bool // the hold was given up, or is a listener's now
}

// Listen binds addr and starts listening. With port 0 the system picks one.
func Listen(addr netip.AddrPort) (*Socket, error) {
	network := "tcp4"
	if addr.Addr().Is6() {
		network = "tcp6"
	}
	var lc net.ListenConfig
	lc.SetMultipathTCP(false) // such sockets take no filters: see StopNew
	ln, err := lc.Listen(context.Background(), network, addr.String())
	if err != nil {
		return nil, err
	}
	defer ln.Close() // the hold remains
	return HoldListener(ln.(*net.TCPListener))
}

// packetQueue is how many bytes of datagrams wait while no process takes them.
// The system may allow less.
const packetQueue = 4 << 20

// ListenPacket binds addr for datagrams. With port 0 the system picks one.
func ListenPacket(addr netip.AddrPort) (*Socket, error) {
	network := "udp4"
	if addr.Addr().Is6() {
		network = "udp6"
	}
	conn, err := net.ListenUDP(network, net.UDPAddrFromAddrPort(addr))
	if err != nil {
		return nil, err
	}
	defer conn.Close() // the hold remains
	_ = conn.SetReadBuffer(packetQueue)
	return HoldPacketConn(conn)
}

// Addr is the address the socket is bound to.
func (s *Socket) Addr() netip.AddrPort { return s.addr }

// Dup returns a second hold on the same socket.
func (s *Socket) Dup() (*Socket, error) {
	fd, err := unix.FcntlInt(uintptr(s.fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("hold the socket of %s twice: %w", s.addr, err)
	}
	return &Socket{addr: s.addr, udp: s.udp, fd: fd}, nil
}

// HoldListener returns a hold on the socket that ln accepts on.
func HoldListener(ln *net.TCPListener) (*Socket, error) {
	return hold(ln, &Socket{addr: ln.Addr().(*net.TCPAddr).AddrPort()})
}

// HoldPacketConn returns a hold on the socket of conn.
func HoldPacketConn(conn *net.UDPConn) (*Socket, error) {
	return hold(conn, &Socket{addr: conn.LocalAddr().(*net.UDPAddr).AddrPort(), udp: true})
}

func hold(conn syscall.Conn, s *Socket) (*Socket, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	var dupErr error
	if err := raw.Control(func(fd uintptr) {
		s.fd, dupErr = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0)
	}); err != nil {
		return nil, err
	}
	if dupErr != nil {
		return nil, fmt.Errorf("hold the socket: %w", dupErr)
	}
	return s, nil
}

// Close gives up this process's hold. Connections that wait in the kernel's
// queue live on while another process holds the socket too.
func (s *Socket) Close() error {
	if !s.give() {
		return nil
	}
	return unix.Close(s.fd)
}

// give reports whether the hold was there to be given up.
func (s *Socket) give() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := !s.gone
	s.gone = true
	return was
}

// Listener turns the socket into a listener to accept on, and gives up the hold.
func (s *Socket) Listener() (*net.TCPListener, error) {
	s.give()
	f := os.NewFile(uintptr(s.fd), s.addr.String())
	defer f.Close()
	ln, err := net.FileListener(f)
	if err != nil {
		return nil, fmt.Errorf("accept on the socket of %s: %w", s.addr, err)
	}
	tcp, ok := ln.(*net.TCPListener)
	if !ok {
		ln.Close()
		return nil, fmt.Errorf("the socket of %s is not for TCP", s.addr)
	}
	return tcp, nil
}

// PacketConn turns the socket into one to receive datagrams on, and gives up the
// hold.
func (s *Socket) PacketConn() (*net.UDPConn, error) {
	s.give()
	f := os.NewFile(uintptr(s.fd), s.addr.String())
	defer f.Close()
	conn, err := net.FilePacketConn(f)
	if err != nil {
		return nil, fmt.Errorf("receive on the socket of %s: %w", s.addr, err)
	}
	udp, ok := conn.(*net.UDPConn)
	if !ok {
		conn.Close()
		return nil, fmt.Errorf("the socket of %s is not for UDP", s.addr)
	}
	return udp, nil
}

// IsUDP reports whether the socket is for datagrams.
func (s *Socket) IsUDP() bool { return s.udp }

// frameHeader is the size of what goes before each frame: payload length and
// number of sockets, each a big-endian uint32.
const frameHeader = 8

// maxFrame bounds a frame's payload, in bytes, and maxFrameSockets the sockets
// that travel with it (SCM_MAX_FD is 253 on Linux).
const (
	maxFrame        = 1 << 20
	maxFrameSockets = 64
)

// WriteFrame sends one message over a link, with sockets attached to it by
// SCM_RIGHTS. The receiver gets its own hold on each; ours is kept.
func WriteFrame(c net.Conn, payload []byte, socks []*Socket) error {
	uc, ok := c.(*net.UnixConn)
	if !ok {
		return fmt.Errorf("a link is a Unix socket, not %T", c)
	}
	if len(payload) > maxFrame || len(socks) > maxFrameSockets {
		return fmt.Errorf("a frame of %d bytes and %d sockets is too large", len(payload), len(socks))
	}
	buf := make([]byte, frameHeader, frameHeader+len(payload))
	binary.BigEndian.PutUint32(buf, uint32(len(payload)))
	binary.BigEndian.PutUint32(buf[4:], uint32(len(socks)))
	buf = append(buf, payload...)
	var oob []byte
	if len(socks) > 0 {
		fds := make([]int, len(socks))
		for i, s := range socks {
			fds[i] = s.fd
		}
		oob = unix.UnixRights(fds...)
	}
	n, _, err := uc.WriteMsgUnix(buf, oob, nil)
	if err != nil {
		return err
	}
	// The rights went with the first byte; the rest is plain bytes.
	_, err = uc.Write(buf[n:])
	return err
}

// ReadFrame receives what WriteFrame sent. It returns io.EOF when the other
// side closed the link between two frames.
func ReadFrame(c net.Conn) ([]byte, []*Socket, error) {
	uc, ok := c.(*net.UnixConn)
	if !ok {
		return nil, nil, fmt.Errorf("a link is a Unix socket, not %T", c)
	}
	var header [frameHeader]byte
	oob := make([]byte, unix.CmsgSpace(4*maxFrameSockets))
	n, oobn, flags, _, err := uc.ReadMsgUnix(header[:], oob)
	if err != nil {
		return nil, nil, err
	}
	if n == 0 {
		return nil, nil, io.EOF
	}
	socks, err := receivedSockets(oob[:oobn])
	fail := func(err error) ([]byte, []*Socket, error) {
		for _, s := range socks {
			s.Close()
		}
		return nil, nil, err
	}
	if err == nil && flags&unix.MSG_CTRUNC != 0 {
		err = errors.New("sockets were lost on the way (too many open files?)")
	}
	if err != nil {
		return fail(err)
	}
	if _, err := io.ReadFull(uc, header[n:]); err != nil {
		return fail(noEOF(err))
	}
	size, count := binary.BigEndian.Uint32(header[:]), binary.BigEndian.Uint32(header[4:])
	if size > maxFrame || int(count) != len(socks) {
		return fail(fmt.Errorf("broken frame: %d bytes, %d of %d sockets", size, len(socks), count))
	}
	payload := make([]byte, size)
	if _, err := io.ReadFull(uc, payload); err != nil {
		return fail(noEOF(err))
	}
	return payload, socks, nil
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

func receivedSockets(oob []byte) (socks []*Socket, err error) {
	if len(oob) == 0 {
		return nil, nil
	}
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, fmt.Errorf("read what came with the frame: %w", err)
	}
	for _, m := range msgs {
		fds, err := unix.ParseUnixRights(&m)
		if err != nil {
			continue
		}
		for _, fd := range fds {
			unix.CloseOnExec(fd)
			s := &Socket{fd: fd}
			socks = append(socks, s)
			if sa, err := unix.Getsockname(fd); err == nil {
				s.addr = addrPort(sa)
			}
			kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
			s.udp = err == nil && kind == unix.SOCK_DGRAM
		}
	}
	return socks, nil
}

func addrPort(sa unix.Sockaddr) netip.AddrPort {
	switch a := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	case *unix.SockaddrInet6:
		ip := netip.AddrFrom16(a.Addr)
		if a.ZoneId != 0 {
			zone := strconv.Itoa(int(a.ZoneId))
			if ifi, err := net.InterfaceByIndex(int(a.ZoneId)); err == nil {
				zone = ifi.Name
			}
			ip = ip.WithZone(zone)
		}
		return netip.AddrPortFrom(ip, uint16(a.Port))
	}
	return netip.AddrPort{}
}

// IsAddrInUse reports whether err says that the address is taken.
func IsAddrInUse(err error) bool { return errors.Is(err, syscall.EADDRINUSE) }

// IsNoPermission reports whether err says that the rights are missing, as for a
// port below 1024.
func IsNoPermission(err error) bool {
	return errors.Is(err, syscall.EACCES) || errors.Is(err, syscall.EPERM)
}

// IsNoSuchAddr reports whether err says that this computer does not have the
// address: an interface went away, or there is no IPv6.
func IsNoSuchAddr(err error) bool {
	return errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT)
}

// IsConnRefused reports whether err says that nothing listens there.
func IsConnRefused(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }

// BindSource gives a socket that is about to connect over IPv4 a port of this
// computer's own address, so that it is known from where it will come before it
// does. It is for net.Dialer.Control.
func BindSource(c syscall.RawConn) (from netip.AddrPort, err error) {
	bad := c.Control(func(fd uintptr) {
		if err = unix.Bind(int(fd), &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
			return
		}
		var sa unix.Sockaddr
		if sa, err = unix.Getsockname(int(fd)); err == nil {
			from = addrPort(sa)
		}
	})
	if err = errors.Join(bad, err); err != nil {
		err = fmt.Errorf("choose from where to connect: %w", err)
	}
	return from, err
}
