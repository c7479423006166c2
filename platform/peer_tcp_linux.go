package platform

import (
	"bufio"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
)

// ownPeer looks for the socket of the other end in what the kernel tells of all
// sockets, with their users (proc_net_tcp(5)).
func ownPeer(c net.Conn) bool {
	here, ok := addrPortOf(c.LocalAddr())
	there, ok2 := addrPortOf(c.RemoteAddr())
	if !ok || !ok2 {
		return true
	}
	for _, file := range []string{"/proc/net/tcp", "/proc/net/tcp6"} { // a socket for IPv6 can speak IPv4
		f, err := os.Open(file)
		if err != nil {
			continue
		}
		uid, found := userOf(bufio.NewScanner(f), there, here)
		_ = f.Close() // only read
		if found {
			return uid == os.Getuid() || uid == 0
		}
	}
	return true
}

// userOf finds whose the socket is that is connected from one address to another.
func userOf(sc *bufio.Scanner, from, to netip.AddrPort) (uid int, found bool) {
	for sc.Scan() {
		fields := strings.Fields(sc.Text())
		if len(fields) < 8 {
			continue
		}
		local, ok := procAddr(fields[1])
		if !ok || local != from {
			continue
		}
		if remote, ok := procAddr(fields[2]); ok && remote == to {
			uid, err := strconv.Atoi(fields[7])
			return uid, err == nil
		}
	}
	return 0, false
}

func addrPortOf(a net.Addr) (netip.AddrPort, bool) {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}, false
	}
	ap := tcp.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()), true
}
