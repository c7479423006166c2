//go:build failpoints && unix

package failpoint

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// Enabled is set in programs that are built for tests.
const Enabled = true

// The environment says which steps fail: SHARETRAY_FAILPOINTS is a list such as
// "store.sync=full roll.probed=kill@2". What may happen is kill (SIGKILL), stop
// (SIGSTOP), full (ENOSPC) and fail (another error); @2 means from the second
// time on for errors, and the second time for the others. SHARETRAY_FAILTRACE is
// a file to which each step is written, with the pid, when it is passed.
var (
	wanted = parse(os.Getenv("SHARETRAY_FAILPOINTS"))
	trace  = os.Getenv("SHARETRAY_FAILTRACE")

	mu   sync.Mutex
	hits = map[string]int{}
)

type action struct {
	what string
	at   int
}

func parse(list string) map[string]action {
	all := map[string]action{}
	for _, item := range strings.Fields(list) {
		name, what, ok := strings.Cut(item, "=")
		what, nth, _ := strings.Cut(what, "@")
		at, err := strconv.Atoi(nth)
		if nth == "" {
			at, err = 1, nil
		}
		if !ok || err != nil {
			panic("SHARETRAY_FAILPOINTS: " + item)
		}
		all[name] = action{what, at}
	}
	return all
}

// Here is the step called name. Its error is the one that a test wants.
func Here(name string) error {
	mu.Lock()
	hits[name]++
	n := hits[name]
	if trace != "" {
		if f, err := os.OpenFile(trace, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600); err == nil {
			fmt.Fprintf(f, "%d %s\n", os.Getpid(), name)
			f.Close()
		}
	}
	mu.Unlock()
	a, ok := wanted[name]
	if !ok || n < a.at {
		return nil
	}
	switch {
	case a.what == "full":
		return syscall.ENOSPC
	case a.what == "fail":
		return fmt.Errorf("a test wants %s to fail", name)
	case n > a.at:
	case a.what == "kill":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	case a.what == "stop":
		_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
	}
	return nil
}
