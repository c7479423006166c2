package platform

import "os"

// SyncDir makes what was created, renamed or removed in a folder survive a
// power cut. NTFS keeps a journal of that and has no call to ask for it, so
// this only checks that the folder is there.
func SyncDir(path string) error {
	_, err := os.Stat(path)
	return err
}
