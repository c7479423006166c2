package platform

import (
	"bytes"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// afterOthers is the nice value of what runs when nobody else wants to.
const afterOthers = 10

// LowerPriority lets other processes run before this one. On Linux each thread
// has a priority of its own, which those that it starts inherit.
func LowerPriority() error {
	for done := map[string]bool{}; ; {
		threads, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return fmt.Errorf("list threads: %w", err)
		}
		before := len(done)
		for _, t := range threads {
			tid, err := strconv.Atoi(t.Name())
			if err != nil || done[t.Name()] {
				continue
			}
			done[t.Name()] = true
			if err := unix.Setpriority(unix.PRIO_PROCESS, tid, afterOthers); err != nil && err != unix.ESRCH {
				return fmt.Errorf("lower the priority: %w", err)
			}
		}
		if len(done) == before { // no thread was started meanwhile
			return nil
		}
	}
}

// OwnMemory is how much memory this process has taken for itself, in bytes:
// what it shares with others, its executable first of all, does not count.
func OwnMemory() (int64, error) {
	fd, err := unix.Open("/proc/self/statm", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("measure memory: %w", err)
	}
	defer unix.Close(fd)
	var buf [256]byte // seven numbers of pages: proc(5)
	n, err := unix.Read(fd, buf[:])
	if err != nil {
		return 0, fmt.Errorf("measure memory: %w", err)
	}
	fields := bytes.Fields(buf[:n])
	if len(fields) < 3 {
		return 0, fmt.Errorf("measure memory: the system says %q", buf[:n])
	}
	resident, err := strconv.ParseInt(string(fields[1]), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("measure memory: %w", err)
	}
	shared, err := strconv.ParseInt(string(fields[2]), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("measure memory: %w", err)
	}
	return (resident - shared) * int64(os.Getpagesize()), nil
}
