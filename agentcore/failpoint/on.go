//go:build failpoints && unix

package failpoint

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Enabled is set in programs that are built for tests.
const Enabled = true

// The environment says which steps fail, and all processes of a test inherit it.
// SHARETRAY_FAILPOINTS is a list such as "disk.sync=full start.locked=kill@2".
// What may happen is kill (SIGKILL), stop (SIGSTOP), die (SIGKILL,
// each time), full (ENOSPC) and fail (another error); @2 means from the second time on. SHARETRAY_FAILARM is a file:
// nothing happens unless it is there, and a kill or stop removes it, so that it
// happens once. SHARETRAY_FAILTRACE is a file to which each step is written that
// is passed while it is there.
var (
	wanted = parse(os.Getenv("SHARETRAY_FAILPOINTS"))
	arm    = os.Getenv("SHARETRAY_FAILARM")
	trace  = os.Getenv("SHARETRAY_FAILTRACE")
	prefix = role()

	mu   sync.Mutex
	hits = map[string]int{}
)

// role tells the steps of a share process, and those of an agent that another one
// has started, from those of any other agent.
func role() string {
	switch {
	case len(os.Args) > 1 && os.Args[1] == "share-process":
		return "process."
	case slices.Contains(os.Args, "--successor"):
		return "successor."
	}
	return ""
}

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
	if arm == "" {
		return nil
	}
	if _, err := os.Stat(arm); err != nil {
		return nil
	}
	name = prefix + strings.ReplaceAll(strings.TrimPrefix(name, prefix), " ", "-")
	mu.Lock()
	hits[name]++
	n := hits[name]
	mu.Unlock()
	if trace != "" {
		if f, err := os.OpenFile(trace, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600); err == nil {
			fmt.Fprintln(f, name)
			f.Close()
		}
	}
	a, ok := wanted[name]
	if !ok || n < a.at {
		return nil
	}
	signal := map[string]syscall.Signal{"kill": syscall.SIGKILL, "stop": syscall.SIGSTOP}[a.what]
	switch {
	case a.what == "full":
		return syscall.ENOSPC
	case a.what == "die":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	case a.what == "fail":
		return fmt.Errorf("a test wants %s to fail", name)
	case signal != 0 && os.Remove(arm) == nil:
		_ = syscall.Kill(os.Getpid(), signal)
		if a.what == "kill" {
			select {}
		}
	}
	return nil
}

// Time is how long something may take that is called name: d, unless
// SHARETRAY_FAILTIMES, a list such as "prove=1s", says otherwise.
func Time(name string, d time.Duration) time.Duration {
	for _, item := range strings.Fields(os.Getenv("SHARETRAY_FAILTIMES")) {
		if text, ok := strings.CutPrefix(item, name+"="); ok {
			if other, err := time.ParseDuration(text); err == nil {
				return other
			}
		}
	}
	return d
}
