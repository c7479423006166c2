//go:build unix

package platform

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// CanWrite reports why this process can't make files in a folder.
func CanWrite(dir string) error {
	if err := unix.Access(dir, unix.W_OK|unix.X_OK); err != nil {
		return fmt.Errorf("write into %s: %w", dir, err)
	}
	return nil
}

// DiskFree is how many bytes this user can still write on the disk of a folder.
func DiskFree(dir string) (uint64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, fmt.Errorf("look at the disk of %s: %w", dir, err)
	}
	return uint64(max(st.Bavail, 0)) * uint64(max(st.Bsize, 0)), nil
}
