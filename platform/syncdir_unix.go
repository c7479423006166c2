//go:build unix

package platform

import (
	"errors"
	"os"
	"syscall"
)

// SyncDir makes what was created, renamed or removed in a folder survive a
// power cut. File systems that can't be asked for it are taken to do it anyway.
func SyncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	err = d.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOTSUP) {
		err = nil
	}
	return errors.Join(err, d.Close())
}
