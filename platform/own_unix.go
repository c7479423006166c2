//go:build unix

package platform

import (
	"io/fs"
	"os"
	"syscall"
)

// OwnAndReadable reports whether a file is this user's, and its mode lets its owner
// read it: then opening it will not fail for want of a right.
func OwnAndReadable(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(st.Uid) == os.Geteuid() && info.Mode()&0o400 != 0
}
