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

// TestStopNew: who was there before is accepted, who comes later is not.
func TestStopNew(t *testing.T) {
	t.Parallel()
	held, err := Listen(netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	own, err := held.Dup()
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	ln, err := own.Listener()
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	before, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer before.Close()
	if err := held.StopNew(); err != nil {
		t.Fatal(err)
	}
	late := make(chan error, 1)
	go func() {
		c, err := net.DialTimeout("tcp", ln.Addr().String(), 10*time.Second)
		if err == nil {
			c.Close()
		}
		late <- err
	}()
	c, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if c.RemoteAddr().String() != before.LocalAddr().String() {
		t.Errorf("accepted %s, not the one that was there", c.RemoteAddr())
	}
	if err := ln.SetDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if c, err := ln.Accept(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("accepted %v, %v", c, err)
	}
	// What was made before goes on working, both ways.
	if _, err := before.Write([]byte("x")); err != nil {
		t.Error(err)
	}
	if n, err := c.Read(make([]byte, 1)); n != 1 {
		t.Error(err)
	}
	ln.Close()
	held.Close()
	if err := <-late; !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("who came late got %v, want refused", err)
	}
}
