//go:build !linux

package platform

// AdoptOrphans does nothing here: what a program leaves behind when it forks into
// the background is only known by its process group.
func AdoptOrphans(func(pid int) bool) error { return nil }

// Descendants are not known here.
func Descendants() []int { return nil }

// KillMarked does nothing here: the environment of other processes is not known.
func KillMarked(string, func(string) bool) int { return 0 }
