package platform

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
)

// ProcessStart names the moment at which a process began: by the system's boot
// and the clock ticks since then (proc_pid_stat(5), field 22). Together with the
// pid it is the process's alone, and no change of the clock touches it. It is an
// error when there is no such process, or when it is dead and waits to be reaped.
func ProcessStart(pid int) (string, error) {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return "", err
	}
	// The name, in parentheses, may hold anything.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	const state, start = 0, 22 - 3 // the first two fields are gone
	if len(fields) <= start {
		return "", fmt.Errorf("/proc says too little of process %d", pid)
	}
	if fields[state] == "Z" || fields[state] == "X" {
		return "", fmt.Errorf("process %d is dead", pid)
	}
	return bootID() + "/" + fields[start], nil
}

var bootID = sync.OnceValue(func() string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "?"
	}
	return strings.TrimSpace(string(id))
})
