// Package rundir is the folder in which one agent has its sockets and its lock:
// what lies in it under which name, whether an agent lives there, and that
// nothing stays there once nobody needs it.
//
// It must not know what an agent or a share process is.
package rundir

import (
	"context"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/gofrs/flock"
)

// What lies in the folder.
const (
	Control = "control" // the socket for commands
	Lock    = "lock"    // held by the agent; without it nobody became one, or the last was quit
	Revive  = "revive"  // held by whoever starts an agent in place of a dead one
	Links   = "l"       // the folder of the share processes' sockets
)

// HashBytes is how many bytes of a hash name a folder in another one.
const HashBytes = 4

// Fallback is the name of the folder around those of this user where the login
// manager makes none.
func Fallback() string { return "sharetray-" + strconv.Itoa(os.Getuid()) }

// Outermost is the name of the folder around all others in that of the login
// manager.
const Outermost = "sharetray"

// IsHash reports whether a folder in another one has such a name.
func IsHash(name string) bool {
	_, err := hex.DecodeString(name)
	return err == nil && len(name) == 2*HashBytes
}

// Held reports whether an agent lives in dir: it has its lock.
func Held(dir string) bool {
	lock := flock.New(filepath.Join(dir, Lock), flock.SetFlag(os.O_RDONLY)) // is not made by looking
	defer func() { _ = lock.Close() }()
	got, err := lock.TryRLock()
	return err == nil && !got
}

// Holder is the process that says of itself that it has the lock; 0 if none does.
func Holder(dir string) int {
	text, err := os.ReadFile(filepath.Join(dir, Lock))
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0
	}
	return pid
}

// heldLook is how often AwaitEnd looks.
const heldLook = 2 * time.Millisecond

// AwaitEnd waits until no agent lives in dir, or ctx ends.
func AwaitEnd(ctx context.Context, dir string) {
	for Held(dir) && ctx.Err() == nil {
		time.Sleep(heldLook)
	}
}

// Why a folder is not vacated.
var (
	ErrHeld  = errors.New("an agent lives there")
	ErrInUse = errors.New("there are share processes")
)

// Vacate removes all that a dead agent has left in dir, if nobody needs it: no
// agent, and no share process. Whether its lock is there tells share processes
// whether their agent was quit, so that it goes last.
func Vacate(dir string) error {
	path := filepath.Join(dir, Lock)
	lock := flock.New(path, flock.SetFlag(os.O_RDONLY)) // is not made by looking
	defer func() { _ = lock.Close() }()
	got, err := lock.TryLock()
	switch {
	case errors.Is(err, fs.ErrNotExist): // nobody is kept out, and an agent that comes makes anew what it misses
	case err != nil:
		return err
	case !got || !isAt(lock, path):
		return ErrHeld
	}
	if err := os.Remove(filepath.Join(dir, Links)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return ErrInUse
	}
	for _, name := range []string{Control, Revive, Lock} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	RemoveEmpty(dir)
	return nil
}

func isAt(lock *flock.Flock, path string) bool {
	now, err := os.Lstat(path)
	if err != nil {
		return false
	}
	held, err := lock.Stat()
	return err == nil && os.SameFile(now, held)
}

// RemoveEmpty removes dir, and the folders of ours around it, as far as nothing
// is in them.
func RemoveEmpty(dir string) {
	for {
		name := filepath.Base(dir)
		ours := IsHash(name) || name == Outermost || name == Fallback()
		if !ours || os.Remove(dir) != nil || !IsHash(name) {
			return
		}
		dir = filepath.Dir(dir)
	}
}
