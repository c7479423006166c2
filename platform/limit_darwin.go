package platform

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// LowerPriority lets other processes run before this one.
func LowerPriority() error {
	if err := unix.Setpriority(unix.PRIO_PROCESS, 0, 10); err != nil {
		return fmt.Errorf("lower the priority: %w", err)
	}
	return nil
}
