package dav

import (
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path"
	"strings"
	"syscall"
	"time"

	"sharetray/platform"
)

// privateFolder is where files are until they are whole.
const privateFolder = ".sharetray"

// leftFor is how old something there is when whoever put it there must have
// died: a body that stalls is given up within a minute.
const leftFor = 24 * time.Hour

// Private reports whether an element of a name is nobody's to name or to see,
// even where hidden files are shared.
func Private(element string) bool {
	e := fold(element)
	return e == privateFolder || strings.HasPrefix(e, privateFolder+"-")
}

// stage is a name that is free, where nobody sees it.
func (h *Handler) stage(root *os.Root) (string, error) {
	if err := root.Mkdir(privateFolder, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	h.swept.Do(func() { sweep(root, time.Now()) })
	return privateFolder + "/" + rand.Text(), nil
}

// sweep removes what processes that died have left.
func sweep(root *os.Root, now time.Time) {
	in, names, err := openDir(root, privateFolder)
	if in == nil || err != nil {
		return
	}
	defer in.Close()
	for _, e := range names {
		if info, err := in.Lstat(e); err == nil && now.Sub(info.ModTime()) > leftFor {
			_ = in.RemoveAll(e)
		}
	}
}

// settle renames what was staged to what it shall be. Where another disk is
// mounted, a file is first brought there.
func (h *Handler) settle(root *os.Root, staged, real string) error {
	err := h.rename(root, staged, real)
	if !errors.Is(err, syscall.EXDEV) {
		return err
	}
	info, statErr := root.Lstat(staged)
	if statErr != nil || !info.Mode().IsRegular() {
		return err
	}
	near := path.Join(path.Dir(real), privateFolder+"-"+rand.Text())
	defer h.discard(root, near)
	if _, err := h.copyFile(root, staged, near, info.Mode().Perm()); err != nil {
		return err
	}
	_ = root.Chtimes(near, time.Time{}, info.ModTime())
	return h.rename(root, near, real)
}

// copyFile copies a file and its properties to a new name.
func (h *Handler) copyFile(root *os.Root, from, to string, mode fs.FileMode) (n int64, err error) {
	in, err := root.OpenFile(from, os.O_RDONLY|platform.OpenNoWait, 0)
	if err != nil {
		return 0, err
	}
	defer in.Close()
	out, err := root.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return 0, err
	}
	n, err = io.Copy(out, in)
	if err == nil {
		err = out.Sync()
	}
	if err = errors.Join(err, out.Close()); err == nil {
		h.props.copy(root, from, to)
	}
	return n, err
}

// discard removes what was staged, if it still is there.
func (h *Handler) discard(root *os.Root, staged string) {
	_ = root.RemoveAll(staged)
	h.props.moved(staged, "")
}

// receive keeps a body where nobody sees it.
func (h *Handler) receive(root *os.Root, body io.Reader, length int64) (staged string, n int64, err error) {
	limit := h.o.MaxBytes
	if limit > 0 && length > limit {
		return "", 0, &http.MaxBytesError{Limit: limit}
	}
	if err := h.roomFor(root, max(length, 0)); err != nil {
		return "", 0, err
	}
	if staged, err = h.stage(root); err != nil {
		return "", 0, err
	}
	f, err := root.OpenFile(staged, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return "", 0, err
	}
	for err == nil {
		piece := int64(16 << 20) // after which it is asked whether there still is room
		if limit > 0 {
			piece = min(piece, limit+1-n)
		}
		var k int64
		k, err = io.CopyN(f, body, piece)
		n += k
		switch {
		case limit > 0 && n > limit:
			err = &http.MaxBytesError{Limit: limit}
		case err == nil:
			err = h.roomFor(root, 0)
		}
	}
	if err == io.EOF {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		h.discard(root, staged)
		return "", 0, err
	}
	return staged, n, nil
}
