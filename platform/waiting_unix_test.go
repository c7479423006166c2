//go:build unix

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
			if !held.Waiting() {
				t.Errorf("%s: nobody waits, want %d", host, want)
			}
		}
		for want := 2; want >= 0; want-- {
			c, err := ln.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if got := held.Waiting(); got != (want > 0) {
				t.Errorf("%s: somebody waits: %v, after all but %d were accepted", host, got, want)
			}
		}
		c, err := net.Dial("tcp", held.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		held.Close()
		if held.Waiting() {
			t.Errorf("%s: somebody waits at a socket that was given up", host)
		}
	}
}
