package store

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"sharetray/agentcore/failpoint"
	"sharetray/agentcore/problem"
	"sharetray/platform"
)

// disk is every operation that changes something on disk. A test puts one in
// its place that fails, is full, or crashes at the n-th of them.
type disk struct {
	mkdirAll func(path string, mode fs.FileMode) error
	create   func(dir, pattern string) (file, error)
	rename   func(from, to string) error
	remove   func(path string) error
	syncDir  func(path string) error
}

// file is a temporary file that is being written.
type file interface {
	io.WriteCloser
	Name() string
	Chmod(fs.FileMode) error
	Sync() error
}

var realDisk = disk{
	mkdirAll: os.MkdirAll,
	create:   func(dir, pattern string) (file, error) { return os.CreateTemp(dir, pattern) },
	rename:   os.Rename,
	remove:   os.Remove,
	syncDir:  platform.SyncDir,
}

// temporaries are hidden, and short, since a share's name may fill a file name.
const (
	temporaryPrefix = ".sharetray-"
	temporarySuffix = ".tmp"
)

// WriteFile replaces the file at path, or creates it, atomically and durably:
// whatever happens, even a power cut, the file is wholly the old one or wholly
// the new one, and the new one once WriteFile has returned nil. The folder must
// exist. The error is a Problem.
func WriteFile(path string, data []byte, mode fs.FileMode) error {
	return realDisk.write(path, data, mode)
}

// CleanUp removes what a crash in the middle of WriteFile has left in dir, if
// there is such a folder. Nobody else may be writing there.
func CleanUp(dir string) error {
	if err := realDisk.removeTemporaries(dir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (d disk) write(path string, data []byte, mode fs.FileMode) error {
	dir := filepath.Dir(path)
	temporary, err := d.writeTemporary(dir, data, mode)
	if err != nil {
		return saveFailed(path, err)
	}
	_ = failpoint.Here("disk.written")
	if err := d.rename(temporary, path); err != nil {
		return saveFailed(path, errors.Join(err, d.remove(temporary)))
	}
	_ = failpoint.Here("disk.renamed")
	if err := d.syncDir(dir); err != nil {
		return problem.New(problem.Internal, "%s was saved, but the disk did not confirm it, so a power cut may undo that: check the disk (%w)", path, err)
	}
	return nil
}

// writeTemporary writes a file beside the one that it will replace. When it
// fails it leaves nothing behind, if the disk lets it.
func (d disk) writeTemporary(dir string, data []byte, mode fs.FileMode) (name string, err error) {
	f, err := d.create(dir, temporaryPrefix+"*"+temporarySuffix)
	if err != nil {
		return "", err
	}
	err = func() error {
		if err := f.Chmod(mode); err != nil {
			return err
		}
		if err := failpoint.Here("disk.write"); err != nil {
			return err
		}
		n, err := f.Write(data)
		if err == nil && n < len(data) {
			err = io.ErrShortWrite
		}
		if err != nil {
			return err
		}
		if err := failpoint.Here("disk.sync"); err != nil {
			return err
		}
		return f.Sync()
	}()
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return "", errors.Join(err, d.remove(f.Name()))
	}
	return f.Name(), nil
}

// removeTemporaries removes what a crash in the middle of a write left in dir.
func (d disk) removeTemporaries(dir string) error {
	files, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		if IsTemporary(f.Name()) {
			if err := d.remove(filepath.Join(dir, f.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

// IsTemporary reports whether a file of that name is one that is being written,
// or was when its writer died.
func IsTemporary(name string) bool {
	return strings.HasPrefix(name, temporaryPrefix) && strings.HasSuffix(name, temporarySuffix)
}

func saveFailed(path string, err error) error {
	if isFull(err) {
		full := problem.New(problem.Internal, "the disk is full: %s could not be saved, and nothing was changed; make room and try again", path)
		full.Err = err
		return full
	}
	return problem.New(problem.Internal, "%s could not be saved, and nothing was changed: %w", path, err)
}

func isFull(err error) bool {
	const windowsDiskFull = syscall.Errno(112) // ERROR_DISK_FULL; another error elsewhere
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) ||
		runtime.GOOS == "windows" && errors.Is(err, windowsDiskFull)
}
