package platform

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// PortHolder returns the process that listens on a port of this computer, for
// connections or for datagrams, as far as this user may see it.
func PortHolder(port uint16, udp bool) (pid int, name string, ok bool) {
	sockets := netSockets(udp)
	sockets = slices.DeleteFunc(sockets, func(s netSocket) bool { return s.addr.Port() != port })
	for _, h := range holders(context.Background(), sockets) {
		return h.pid, h.name, true
	}
	return 0, "", false
}

func listening(ctx context.Context) ([]Serving, error) {
	sockets := netSockets(false)
	held := holders(ctx, sockets)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	var all []Serving
	for _, s := range sockets {
		h := held[s.inode]
		all = append(all, Serving{Addr: s.addr, PID: h.pid, Program: h.name})
	}
	return all, nil
}

// netSocket is a socket as /proc/net tells of it.
type netSocket struct {
	addr  netip.AddrPort
	inode string // as in "socket:[inode]"
}

// netSockets lists what listens for connections, or what is bound for datagrams
// and connected to nobody. The format is proc_net_tcp(5)'s: "sl local_address
// rem_address st … inode".
func netSockets(udp bool) (all []netSocket) {
	files, state := []string{"/proc/net/tcp", "/proc/net/tcp6"}, "0A" // LISTEN
	if udp {
		files, state = []string{"/proc/net/udp", "/proc/net/udp6"}, "07" // CLOSE: not connected
	}
	for _, file := range files {
		f, err := os.Open(file)
		if err != nil {
			continue // no IPv6 here
		}
		for sc := bufio.NewScanner(f); sc.Scan(); {
			fields := strings.Fields(sc.Text())
			if len(fields) <= 9 || fields[3] != state {
				continue
			}
			if addr, ok := procAddr(fields[1]); ok {
				all = append(all, netSocket{addr, fields[9]})
			}
		}
		_ = f.Close() // only read
	}
	return all
}

// procAddr reads "0100007F:1F90": the address in words of four bytes, each in
// the order of this machine's memory, and the port in plain order.
func procAddr(s string) (netip.AddrPort, bool) {
	host, port, _ := strings.Cut(s, ":")
	b, err := hex.DecodeString(host)
	if err != nil || len(b) != 4 && len(b) != 16 {
		return netip.AddrPort{}, false
	}
	for i := 0; i < len(b); i += 4 {
		binary.NativeEndian.PutUint32(b[i:], binary.BigEndian.Uint32(b[i:]))
	}
	p, err := strconv.ParseUint(port, 16, 16)
	addr, _ := netip.AddrFromSlice(b)
	return netip.AddrPortFrom(addr.Unmap(), uint16(p)), err == nil
}

type holder struct {
	pid  int
	name string
}

// holders tells for each inode which process has that socket open, as far as this
// user may see it: this process if it has, else the oldest one.
func holders(ctx context.Context, sockets []netSocket) map[string]holder {
	held := map[string]holder{}
	if len(sockets) == 0 {
		return held
	}
	wanted := map[string]string{} // a link's text -> inode
	for _, s := range sockets {
		wanted["socket:["+s.inode+"]"] = s.inode
	}
	procs, _ := os.ReadDir("/proc") // without it nothing is known
	pids := []int{os.Getpid()}
	for _, p := range procs {
		if pid, err := strconv.Atoi(p.Name()); err == nil {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids[1:])
	for _, pid := range pids {
		if ctx.Err() != nil {
			return held
		}
		dir := filepath.Join("/proc", strconv.Itoa(pid), "fd")
		fds, err := os.ReadDir(dir)
		if err != nil {
			continue // another user's, or gone
		}
		for _, fd := range fds {
			link, err := os.Readlink(filepath.Join(dir, fd.Name()))
			inode, ok := wanted[link]
			if err != nil || !ok {
				continue
			}
			delete(wanted, link)
			held[inode] = holder{pid, programName(pid)}
		}
		if len(wanted) == 0 {
			break
		}
	}
	return held
}

// programName is what a process calls itself.
func programName(pid int) string {
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	comm, _ := os.ReadFile(filepath.Join(dir, "comm")) // gone: no name
	name := printable(strings.TrimSuffix(string(comm), "\n"), false)
	if name == "MainThread" { // Node.js
		if exe, err := os.Readlink(filepath.Join(dir, "exe")); err == nil {
			name = filepath.Base(exe)
		}
	}
	return name
}
