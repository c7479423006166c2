// Package platform holds what the systems do differently: one function per
// difference, one file per system. A function that a system can't do yet
// returns ErrUnsupported and says so.
//
// It must not know about shares, the agent or anything else of ours: it is the
// lowest floor, and everything may stand on it.
package platform

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
)

// ErrUnsupported is wrapped by what a system can't do yet.
var ErrUnsupported = errors.New("not yet supported on this system")

// Child is a share process that this process started.
type Child struct {
	Cmd  *exec.Cmd
	Link net.Conn // the agent's end of the link
	// Life is closed by the system as early in the process's death as can be
	// had; nothing is ever said on it. The link tells of a death too, but on
	// Linux only after the process's memory was torn down, milliseconds later.
	Life net.Conn
}

// LifeSuffix makes the path of a lifeline out of that of a link.
const LifeSuffix = ".l"

// maxSocketPath is the longest path of a Unix socket that every system we run
// on accepts: sun_path has 104 bytes on macOS, 108 on Linux, one is the NUL.
const maxSocketPath = 103

// PrivateDir makes path, and its parents, and checks that it is a folder which
// belongs to this user and that nobody else can enter. A folder of ours that is
// too open is closed (mode 0700); one of somebody else's is an error.
func PrivateDir(path string) error {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return fmt.Errorf("make the private folder %s: %w", path, err)
	}
	return checkPrivate(path)
}

// SocketPathFits reports whether a Unix socket can be bound at dir/name.
func SocketPathFits(dir, name string) bool {
	return len(filepath.Join(dir, name)) <= maxSocketPath
}
