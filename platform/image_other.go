//go:build !linux

package platform

// OwnImage is what to execute so that the new process runs just what this one
// does. This system can't tell it from the file that it was started from.
func OwnImage(exe string) string { return exe }
