// Package intake takes what visitors send into a shared folder, so that nobody
// ever sees a part of a file: it lies in a folder that nobody may name until it
// is whole, and is then renamed. There is a bound to a file's size, and to what
// is left free of the disk.
//
// It must not know by which protocol something is sent, nor who may.
package intake

import (
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"math"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"sharetray/platform"
)

// Folder is where files are until they are whole, below the shared folder.
const Folder = ".sharetray"

// LeftFor is how old something there is when whoever put it there must have
// died: a body that stalls is given up within a minute.
const LeftFor = 24 * time.Hour

// Private reports whether an element of a name is nobody's to name or to see,
// even where hidden files are shared.
func Private(element string) bool {
	e := Fold(element)
	return e == Folder || strings.HasPrefix(e, Folder+"-")
}

// Fold makes names equal that the system usually takes for the same.
func Fold(name string) string {
	if runtime.GOOS == "windows" || runtime.GOOS == "darwin" {
		return strings.ToLower(name)
	}
	return name
}

// Place takes files in. The zero value has no bounds.
type Place struct {
	MaxBytes int64 // of one file; 0: as much as there is room for
	Reserve  int64 // bytes that are left free on the disk
	// Free is how many bytes are free; nil asks the system.
	Free func(*os.Root) (uint64, error)

	swept sync.Once
}

// Stage returns a name that is free, where nobody sees it.
func (p *Place) Stage(root *os.Root) (string, error) {
	if err := root.Mkdir(Folder, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	p.swept.Do(func() { sweep(root, time.Now()) })
	return Folder + "/" + rand.Text(), nil
}

// sweep removes what processes that died have left.
func sweep(root *os.Root, now time.Time) {
	in, err := root.OpenRoot(Folder)
	if err != nil {
		return
	}
	defer in.Close()
	entries, err := fs.ReadDir(in.FS(), ".")
	if err != nil {
		return
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil && now.Sub(info.ModTime()) > LeftFor {
			_ = in.RemoveAll(e.Name())
		}
	}
}

// Room is how many bytes may still be taken in.
func (p *Place) Room(root *os.Root) (int64, error) {
	free := p.Free
	if free == nil {
		free = func(root *os.Root) (uint64, error) { return platform.DiskFree(root.Name()) }
	}
	n, err := free(root)
	if err != nil {
		return 0, err
	}
	return max(0, int64(min(n, math.MaxInt64))-p.Reserve), nil
}

// Fits returns why so many bytes can't be taken in: a *http.MaxBytesError, or
// syscall.ENOSPC. What the system does not tell is no reason.
func (p *Place) Fits(root *os.Root, n int64) error {
	if p.MaxBytes > 0 && n > p.MaxBytes {
		return &http.MaxBytesError{Limit: p.MaxBytes}
	}
	return p.HasRoom(root, n)
}

// HasRoom returns syscall.ENOSPC if so many bytes more are too many.
func (p *Place) HasRoom(root *os.Root, n int64) error {
	if room, err := p.Room(root); err == nil && (n > room || room == 0) {
		return syscall.ENOSPC
	}
	return nil
}

// look is after how many bytes it is asked whether there still is room.
const look = 16 << 20

// Receive keeps a body of so many bytes, or -1 if that is not known, where nobody
// sees it. Of one that breaks off nothing stays. Errors are those of Fits, of the
// body and of the disk.
func (p *Place) Receive(root *os.Root, body io.Reader, length int64) (staged string, n int64, err error) {
	if err := p.Fits(root, max(length, 0)); err != nil {
		return "", 0, err
	}
	if staged, err = p.Stage(root); err != nil {
		return "", 0, err
	}
	f, err := root.OpenFile(staged, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return "", 0, err
	}
	n, err = p.Append(root, f, body, 0)
	if err == nil && length >= 0 && n != length {
		err = io.ErrUnexpectedEOF
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		_ = root.Remove(staged)
		return "", 0, err
	}
	return staged, n, nil
}

// Append writes a body to the end of f, which has so many bytes already, and
// returns how many there were more.
func (p *Place) Append(root *os.Root, f io.Writer, body io.Reader, has int64) (n int64, err error) {
	for err == nil {
		piece := int64(look)
		if p.MaxBytes > 0 {
			piece = min(piece, p.MaxBytes+1-has-n)
		}
		var k int64
		k, err = io.CopyN(f, body, piece)
		n += k
		switch {
		case p.MaxBytes > 0 && has+n > p.MaxBytes:
			err = &http.MaxBytesError{Limit: p.MaxBytes}
		case err == nil:
			err = p.HasRoom(root, 0)
		}
	}
	if err == io.EOF {
		err = nil
	}
	return n, err
}
