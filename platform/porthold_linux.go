package platform

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// PortHolder returns the process that listens on a port of this computer, for
// connections or for datagrams, as far as this user may see it: /proc names the
// socket's inode, and the process that has it open.
func PortHolder(port uint16, udp bool) (pid int, name string, ok bool) {
	inodes := map[string]bool{}
	files, state := []string{"/proc/net/tcp", "/proc/net/tcp6"}, "0A" // LISTEN
	if udp {
		files, state = []string{"/proc/net/udp", "/proc/net/udp6"}, "07" // CLOSE: not connected
	}
	for _, file := range files {
		listeningInodes(file, state, port, inodes)
	}
	if len(inodes) == 0 {
		return 0, "", false
	}
	procs, err := os.ReadDir("/proc")
	if err != nil {
		return 0, "", false
	}
	for _, p := range procs {
		pid, err := strconv.Atoi(p.Name())
		if err != nil {
			continue
		}
		dir := filepath.Join("/proc", p.Name(), "fd")
		fds, err := os.ReadDir(dir)
		if err != nil {
			continue // another user's, or gone
		}
		for _, fd := range fds {
			link, err := os.Readlink(filepath.Join(dir, fd.Name()))
			if err != nil || !inodes[link] {
				continue
			}
			comm, err := os.ReadFile(filepath.Join("/proc", p.Name(), "comm"))
			if err != nil {
				continue
			}
			return pid, strings.TrimSpace(string(comm)), true
		}
	}
	return 0, "", false
}

// listeningInodes adds "socket:[inode]" of each socket in that state on port. The
// format is proc_net_tcp(5)'s: "sl local_address rem_address st … inode".
func listeningInodes(file, state string, port uint16, into map[string]bool) {
	f, err := os.Open(file)
	if err != nil {
		return
	}
	defer f.Close()
	suffix := fmt.Sprintf(":%04X", port)
	for sc := bufio.NewScanner(f); sc.Scan(); {
		fields := strings.Fields(sc.Text())
		if len(fields) > 9 && fields[3] == state && strings.HasSuffix(fields[1], suffix) {
			into["socket:["+fields[9]+"]"] = true
		}
	}
}
