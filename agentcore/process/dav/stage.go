package dav

import (
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
)

// privateFolder is where files are until they are whole.
const privateFolder = ".sharetray"

// private reports whether an element of a name is nobody's to name.
func private(e string) bool { return fold(e) == privateFolder }

// stage is a name that is free, where nobody sees it.
func (h *Handler) stage(root *os.Root) (string, error) {
	if err := root.Mkdir(privateFolder, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	return privateFolder + "/" + rand.Text(), nil
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
	const piece = 16 << 20 // after which it is asked whether there still is room
	for err == nil {
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
