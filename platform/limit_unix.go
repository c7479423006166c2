//go:build linux || darwin

package platform

import (
	"fmt"
	"os"
	"syscall"
)

// spareFiles is how many files a process may open at least beyond those it has.
const spareFiles = 16

// LimitOpenFiles has the system let this process open no more than n files and
// connections, for good, and returns how many it may open: fewer where the
// system allowed fewer before, more where it has nearly as many open already.
func LimitOpenFiles(n int) (int, error) {
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &old); err != nil {
		return 0, fmt.Errorf("ask how many files may be open: %w", err)
	}
	open, err := os.ReadDir("/dev/fd")
	if err != nil {
		return 0, fmt.Errorf("count open files: %w", err)
	}
	most := min(uint64(max(n, len(open)+spareFiles)), old.Max)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: most, Max: most}); err != nil {
		return 0, fmt.Errorf("limit open files to %d: %w", most, err)
	}
	return int(most), nil
}
