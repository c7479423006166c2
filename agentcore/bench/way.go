package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"time"
)

// way is how a client reaches the file, if not by a plain connection.
type way struct {
	socks     netip.AddrPort // where a SOCKS5 server is to connect to
	datagrams bool           // the file is not asked for: what is sent comes back
}

func (w way) dial(addr string, timeout time.Duration) (net.Conn, error) {
	network := "tcp"
	if w.datagrams {
		network = "udp"
	}
	conn, err := net.DialTimeout(network, addr, timeout)
	if err != nil || !w.socks.IsValid() {
		return conn, err
	}
	if err = conn.SetDeadline(time.Now().Add(timeout)); err == nil {
		err = connectSOCKS(conn, w.socks)
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// connectSOCKS is CONNECT of RFC 1928, to an IPv4 address, without a password.
func connectSOCKS(conn net.Conn, to netip.AddrPort) error {
	ask := append([]byte{5, 1, 0, 5, 1, 0, 1}, to.Addr().AsSlice()...)
	if _, err := conn.Write(binary.BigEndian.AppendUint16(ask, to.Port())); err != nil {
		return err
	}
	answer := make([]byte, 2+10)
	if _, err := io.ReadFull(conn, answer); err != nil {
		return fmt.Errorf("%w: %w", io.EOF, err) // it was cut, not refused
	}
	if !bytes.Equal(answer[:4], []byte{5, 0, 5, 0}) {
		return fmt.Errorf("%w: SOCKS %x", errOdd, answer)
	}
	return nil
}

// resend is when a client gives a datagram up and sends another.
const resend = 50 * time.Millisecond

// echo sends a datagram of its own and awaits the same one. One that is lost is cut.
func (c *client) echo() error {
	if c.buf == nil {
		c.buf = make([]byte, 2048)
	}
	ask := binary.BigEndian.AppendUint64(nil, uint64(time.Now().UnixNano()))
	if err := c.conn.SetDeadline(time.Now().Add(resend)); err != nil {
		return err
	}
	if _, err := c.conn.Write(ask); err != nil {
		return err
	}
	for {
		n, err := c.conn.Read(c.buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return fmt.Errorf("%w: no datagram came back", io.EOF)
		}
		if err != nil || bytes.Equal(c.buf[:n], ask) {
			return err // else it answers what was given up before
		}
	}
}

// echoes serves every datagram its own bytes, until the socket is closed.
func echoes(conn net.PacketConn) {
	buf := make([]byte, 2048)
	for {
		n, from, err := conn.ReadFrom(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			_, _ = conn.WriteTo(buf[:n], from)
		}
	}
}
