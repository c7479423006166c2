package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// This file reads what Linux tells under /proc. Elsewhere there is no such
// folder, and every function says so by an error or an empty answer.

// rssAnon is the anonymous memory that a process holds, in bytes.
func rssAnon(pid int) (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	kb, err := fieldKB(status, "RssAnon")
	if err != nil {
		return 0, fmt.Errorf("process %d: %w", pid, err)
	}
	return kb << 10, nil
}

// fieldKB finds a line like "RssAnon:  1234 kB".
func fieldKB(text []byte, name string) (int64, error) {
	for line := range strings.Lines(string(text)) {
		key, value, found := strings.Cut(line, ":")
		if !found || key != name {
			continue
		}
		return strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 10, 64)
	}
	return 0, fmt.Errorf("no %s", name)
}

// parentOf reads the parent from the text of /proc/PID/stat, whose second
// field is a name in parentheses that may hold anything.
func parentOf(stat string) (int, bool) {
	end := strings.LastIndexByte(stat, ')')
	if end < 0 {
		return 0, false
	}
	fields := strings.Fields(stat[end+1:])
	if len(fields) < 2 {
		return 0, false
	}
	parent, err := strconv.Atoi(fields[1])
	return parent, err == nil
}

// family is a process and all that descend from it.
func family(pid int) []int {
	children := make(map[int][]int)
	for _, p := range pids() {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p))
		if err != nil {
			continue
		}
		if parent, ok := parentOf(string(stat)); ok {
			children[parent] = append(children[parent], p)
		}
	}
	all := []int{pid}
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i]]...)
	}
	return all
}

// carrying lists the living processes whose environment has the entry.
func carrying(entry string) []int {
	var found []int
	want := []byte(entry)
	for _, p := range pids() {
		if p == os.Getpid() {
			continue
		}
		environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", p))
		if err != nil {
			continue
		}
		for one := range bytes.SplitSeq(environ, []byte{0}) {
			if bytes.Equal(one, want) {
				found = append(found, p)
				break
			}
		}
	}
	return found
}

func pids() []int {
	names, _ := filepath.Glob("/proc/[0-9]*")
	all := make([]int, 0, len(names))
	for _, name := range names {
		if pid, err := strconv.Atoi(filepath.Base(name)); err == nil {
			all = append(all, pid)
		}
	}
	return all
}
