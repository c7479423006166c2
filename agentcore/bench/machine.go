package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"
)

// machine is the shape of the computer: nothing that tells whose it is.
type machine struct {
	Cores   int
	CPU     string
	Memory  int64 // bytes
	Kernel  string
	Go      string
	LoadAvg string // over one minute, when the run began
}

func thisMachine() machine {
	m := machine{Cores: runtime.NumCPU(), Go: runtime.Version(), Kernel: firstLine("/proc/sys/kernel/osrelease")}
	if text, err := os.ReadFile("/proc/meminfo"); err == nil {
		if kb, err := fieldKB(text, "MemTotal"); err == nil {
			m.Memory = kb << 10
		}
	}
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
				m.CPU = strings.TrimSpace(value)
				break
			}
		}
	}
	m.LoadAvg, _, _ = strings.Cut(firstLine("/proc/loadavg"), " ")
	return m
}

func (m machine) String() string {
	parts := []string{fmt.Sprintf("%d cores", m.Cores)}
	if m.CPU != "" {
		parts[0] += " (" + m.CPU + ")"
	}
	if m.Memory > 0 {
		parts = append(parts, fmt.Sprintf("%.0f GiB of memory", float64(m.Memory)/(1<<30)))
	}
	parts = append(parts, "Linux "+m.Kernel, m.Go)
	return strings.Join(parts, ", ")
}

func firstLine(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return "unknown"
	}
	line, _, _ := strings.Cut(string(text), "\n")
	return line
}
