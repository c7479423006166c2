package dav

import (
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"syscall"
	"time"

	"sharetray/agentcore/process/intake"
	"sharetray/platform"
)

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
	near := path.Join(path.Dir(real), intake.Folder+"-"+rand.Text())
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
