//go:build !linux

package platform

import "os"

// OwnImage is what to execute so that the new process runs just what this one
// does. This system can't tell it from the file that it was started from.
func OwnImage(exe string) string { return exe }

// ownImage is no path: no process is started from it.
const ownImage = ""

func statImage() (string, error) {
	exe, err := os.Executable()
	if err != nil {
		return "", err
	}
	return FileID(exe)
}

func init() { ImageID() } // before the file can be replaced

// NameProcess does nothing here: a process is listed by its file.
func NameProcess(string) {}
