//go:build !linux && !darwin

package platform

import "fmt"

// LimitOpenFiles can't be had on this system yet.
func LimitOpenFiles(int) (int, error) {
	return 0, fmt.Errorf("limit open files: %w", ErrUnsupported)
}

// LowerPriority can't be had on this system yet.
func LowerPriority() error { return fmt.Errorf("lower the priority: %w", ErrUnsupported) }
