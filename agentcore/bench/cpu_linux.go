package main

import (
	"time"

	"golang.org/x/sys/unix"
)

// cpuTime is the processor time that a process has used, its ended threads
// included: by its CPU clock (clock_getcpuclockid(3)), which counts nanoseconds
// where /proc/PID/stat counts ticks.
func cpuTime(pid int) (time.Duration, error) {
	const schedClock = 2 // CPUCLOCK_SCHED of all threads, in the kernel's posix-timers.h
	var used unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|schedClock), &used); err != nil {
		return 0, err
	}
	return time.Duration(used.Nano()), nil
}
