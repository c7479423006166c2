package platform

import (
	"bytes"
	"os"
	ossignal "os/signal"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// AdoptOrphans makes this process the parent of all that its children leave
// behind, and reaps those that end, other than the ones that own says somebody
// waits for.
func AdoptOrphans(own func(pid int) bool) error {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return err
	}
	died := make(chan os.Signal, 1)
	ossignal.Notify(died, unix.SIGCHLD)
	go func() {
		for range died {
			reap(own)
		}
	}()
	return nil
}

func reap(own func(pid int) bool) {
	for _, p := range descendants() {
		if p.parent == os.Getpid() && p.dead && !own(p.pid) {
			_, _ = unix.Wait4(p.pid, nil, unix.WNOHANG, nil)
		}
	}
}

// Descendants are the processes that this one has started, and those that they
// have, in an order in which parents come first. What has ended is none.
func Descendants() (pids []int) {
	for _, p := range descendants() {
		if !p.dead {
			pids = append(pids, p.pid)
		}
	}
	return pids
}

type process struct {
	pid, parent int
	dead        bool
}

func descendants() []process {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	children := map[int][]process{}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if err != nil {
			continue
		}
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if len(fields) < 2 {
			continue
		}
		parent, _ := strconv.Atoi(fields[1])
		children[parent] = append(children[parent], process{pid, parent, fields[0] == "Z" || fields[0] == "X"})
	}
	var found []process
	for next := []int{os.Getpid()}; len(next) > 0; {
		var below []int
		for _, pid := range next {
			for _, p := range children[pid] {
				found = append(found, p)
				below = append(below, p.pid)
			}
		}
		next = below
	}
	return found
}

// KillMarked ends processes of this user whose environment has the variable name
// with a value of which orphaned says that its owner is gone, and all of them
// again until there are none. It returns how many there were. They have let go of
// their ports and files by then: it waits for that, but no longer than killWait.
func KillMarked(name string, orphaned func(value string) bool) (killed int) {
	until := time.Now().Add(killWait)
	for range 10 {
		found := false
		entries, err := os.ReadDir("/proc")
		if err != nil {
			return killed
		}
		for _, e := range entries {
			pid, err := strconv.Atoi(e.Name())
			if err != nil || pid == os.Getpid() {
				continue
			}
			// Of other users' processes this can't be read.
			env, err := os.ReadFile("/proc/" + e.Name() + "/environ")
			if err != nil {
				continue
			}
			for v := range bytes.SplitSeq(env, []byte{0}) {
				if value, ok := strings.CutPrefix(string(v), name+"="); ok && orphaned(value) && kill(pid, until) {
					found = true
					killed++
				}
			}
		}
		if !found {
			break
		}
	}
	return killed
}

// killWait is far more than a process takes to die that no disk or network holds up.
const killWait = 5 * time.Second

// kill ends a process and waits until it is dead: while one dies its environment is
// gone already, but not what it has open.
func kill(pid int, until time.Time) bool {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil { // a kernel before 5.3, or it has ended
		return unix.Kill(pid, unix.SIGKILL) == nil
	}
	defer func() { _ = unix.Close(fd) }()
	if unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0) != nil {
		return false
	}
	for wait := time.Until(until); wait > 0; wait = time.Until(until) {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(wait.Milliseconds())+1)
		if n > 0 || err != nil && err != unix.EINTR {
			break
		}
	}
	return true
}
