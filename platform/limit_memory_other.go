//go:build !linux

package platform

import "fmt"

// OwnMemory can't be had on this system yet.
func OwnMemory() (int64, error) { return 0, fmt.Errorf("measure memory: %w", ErrUnsupported) }
