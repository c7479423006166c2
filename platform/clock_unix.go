//go:build unix

package platform

import (
	"time"

	"golang.org/x/sys/unix"
)

// SteadyClock is the time since some moment that all processes of this computer
// share, until it is started anew. No change of the date touches it.
func SteadyClock() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}
