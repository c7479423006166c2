//go:build unix

package platform

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"
)

func listenPacket(t *testing.T) *Socket {
	t.Helper()
	s, err := ListenPacket(netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// TestPacketsWait: what is sent while nobody takes it waits, is seen to wait, and
// is taken by whoever got the socket over a link. It is known there as what it is.
func TestPacketsWait(t *testing.T) {
	t.Parallel()
	held := listenPacket(t)
	visitor, err := net.Dial("udp", held.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer visitor.Close()
	if held.Waiting() {
		t.Error("somebody waits before anybody came")
	}
	const many = 200
	for i := range many {
		if _, err := visitor.Write([]byte{byte(i)}); err != nil {
			t.Fatal(err)
		}
	}
	if !held.Waiting() {
		t.Error("nobody is seen to wait")
	}
	if err := held.StopNew(); err != nil && !errors.Is(err, ErrUnsupported) { // that is about connections
		t.Error(err)
	}

	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	var ends [2]net.Conn
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "end")
		if ends[i], err = net.FileConn(f); err != nil {
			t.Fatal(err)
		}
		f.Close()
		defer ends[i].Close()
	}
	tcp, err := Listen(netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	if err := WriteFrame(ends[0], []byte("x"), []*Socket{held, tcp}); err != nil {
		t.Fatal(err)
	}
	_, got, err := ReadFrame(ends[1])
	if err != nil || len(got) != 2 {
		t.Fatal(got, err)
	}
	if !got[0].IsUDP() || got[0].Addr() != held.Addr() || got[1].IsUDP() {
		t.Fatalf("came as %v, %v", got[0], got[1])
	}
	if d, err := got[0].Dup(); err != nil || !d.IsUDP() {
		t.Errorf("held twice: %v, %v", d, err)
	} else {
		d.Close()
	}
	conn, err := got[0].PacketConn()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	b := make([]byte, 10)
	for i := range many {
		if n, err := conn.Read(b); err != nil || n != 1 || b[0] != byte(i) {
			t.Fatalf("datagram %d: %v, %v", i, b[:n], err)
		}
	}
	if _, err := got[1].PacketConn(); err == nil {
		t.Error("datagrams can be had from a TCP socket")
	}
	if _, err := held.Listener(); err == nil {
		t.Error("connections can be accepted on a UDP socket")
	}
	again, err := HoldPacketConn(conn)
	if err != nil || again.Addr() != held.Addr() || !again.IsUDP() {
		t.Fatal(again, err)
	}
	again.Close()
}

// TestBindSource: from where a connection comes is known before it does.
func TestBindSource(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	var from netip.AddrPort
	d := net.Dialer{Control: func(_, _ string, c syscall.RawConn) (err error) {
		from, err = BindSource(c)
		return err
	}}
	c, err := d.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	got, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer got.Close()
	if got.RemoteAddr().String() != from.String() || !from.Addr().IsLoopback() {
		t.Errorf("said to come from %s, it comes from %s", from, got.RemoteAddr())
	}
}
