package platform

import (
	"fmt"

	"golang.org/x/sys/windows"
)

// CanWrite reports why this process can't make files in a folder. Here only a try
// would tell.
func CanWrite(string) error { return nil }

// DiskFree is how many bytes this user can still write on the disk of a folder.
func DiskFree(dir string) (free uint64, err error) {
	path, err := windows.UTF16PtrFromString(dir)
	if err == nil {
		err = windows.GetDiskFreeSpaceEx(path, &free, nil, nil)
	}
	if err != nil {
		return 0, fmt.Errorf("look at the disk of %s: %w", dir, err)
	}
	return free, nil
}
