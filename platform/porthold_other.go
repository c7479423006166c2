//go:build !linux

package platform

// PortHolder can't tell on this system yet.
func PortHolder(uint16, bool) (pid int, name string, ok bool) { return 0, "", false }
