package platform

import (
	"net"
	"net/netip"
	"testing"
)

func TestWaiting(t *testing.T) {
	t.Parallel()
	for _, host := range []string{"127.0.0.1:0", "[::1]:0"} {
		s, err := Listen(netip.MustParseAddrPort(host))
		if IsNoSuchAddr(err) {
			continue
		} else if err != nil {
			t.Fatal(err)
		}
		held, err := s.Dup()
		if err != nil {
			t.Fatal(err)
		}
		ln, err := s.Listener()
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		for want := 1; want <= 3; want++ {
			c, err := net.Dial("tcp", held.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if got := held.Waiting(); got != want {
				t.Errorf("%s: %d wait, want %d", host, got, want)
			}
		}
		for want := 2; want >= 0; want-- {
			c, err := ln.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if got := held.Waiting(); got != want {
				t.Errorf("%s: %d wait after one was accepted, want %d", host, got, want)
			}
		}
		held.Close()
		if got := held.Waiting(); got != 0 {
			t.Errorf("%s: %d wait at a socket that was given up", host, got)
		}
	}
}
