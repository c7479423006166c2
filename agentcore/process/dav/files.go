package dav

import (
	"errors"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"sharetray/platform"
)

// maxCopied bounds the files and folders of one COPY.
const maxCopied = 100_000

// maxDepth bounds how deep it looks, as each level holds files open.
const maxDepth = 200

// put takes a file, whole or not at all: what was there is there until then.
func (h *Handler) put(w http.ResponseWriter, r *http.Request, root *os.Root, name string) error {
	if name == "." || strings.HasSuffix(r.URL.Path, "/") {
		return fail(http.StatusMethodNotAllowed, "This is a folder: send files into it by their names.")
	}
	if r.Header.Get("Content-Range") != "" {
		return fail(http.StatusBadRequest, "A file can only be sent whole.")
	}
	// look is what must hold, before the body comes and again before it counts.
	look := func() (real string, there fs.FileInfo, err error) {
		real, there, err = h.place(root, name)
		switch {
		case err != nil:
		case there != nil && there.IsDir():
			err = fail(http.StatusMethodNotAllowed, "There is a folder by that name: choose another one.")
		default:
			err = h.allowed(r, root, name, touches{name: name, made: there == nil})
		}
		return real, there, err
	}
	real, there, err := look()
	if err != nil {
		return err
	}
	if there != nil {
		// A file that may not be written to is not replaced either.
		f, err := root.OpenFile(real, os.O_WRONLY|platform.OpenNoWait, 0)
		if err != nil {
			return err
		}
		f.Close()
	}
	length := r.ContentLength
	if hint, err := strconv.ParseInt(r.Header.Get("X-Expected-Entity-Length"), 10, 64); err == nil && length < 0 {
		length = hint // Finder sends in chunks what it knows the length of
	}
	staged, n, err := h.intake.Receive(root, r.Body, length)
	if err != nil {
		return err
	}
	defer h.discard(root, staged)

	h.commit.Lock()
	defer h.commit.Unlock()
	if real, there, err = look(); err != nil {
		return err
	}
	if there != nil {
		h.props.copy(root, real, staged)
		_ = root.Chmod(staged, there.Mode().Perm())
		h.apart(root, staged, there)
	}
	if err := h.settle(root, staged, real); err != nil {
		return err
	}
	h.props.moved(staged, real)
	info, err := root.Lstat(real)
	if err != nil {
		return err
	}
	if tag := etag(info); tag != "" {
		w.Header().Set("ETag", tag)
	}
	w.WriteHeader(created(there == nil))
	h.o.Done(Event{Op: r.Method, Name: name, Bytes: n, Request: r})
	return nil
}

// apart has a file that takes the place of another differ from it in its time:
// the clock of a file system may stand still for some milliseconds, and two
// files of one size and time would have one ETag.
func (h *Handler) apart(root *os.Root, staged string, old fs.FileInfo) {
	info, err := root.Lstat(staged)
	if err != nil {
		return
	}
	if ahead := old.ModTime().Sub(info.ModTime()); ahead >= 0 && ahead < time.Second {
		_ = root.Chtimes(staged, time.Time{}, old.ModTime().Add(time.Microsecond))
	}
}

func created(isNew bool) int {
	if isNew {
		return http.StatusCreated
	}
	return http.StatusNoContent
}

func (h *Handler) mkcol(w http.ResponseWriter, r *http.Request, root *os.Root, name string) error {
	if r.ContentLength != 0 {
		return fail(http.StatusUnsupportedMediaType, "A folder is made empty.")
	}
	h.commit.Lock()
	defer h.commit.Unlock()
	real, there, err := h.place(root, name)
	if err != nil {
		return err
	}
	if there != nil {
		return fail(http.StatusMethodNotAllowed, "There is something by that name already.")
	}
	if err := h.allowed(r, root, name, touches{name: name, made: true}); err != nil {
		return err
	}
	if err := root.Mkdir(real, 0o777); err != nil {
		return err
	}
	w.WriteHeader(http.StatusCreated)
	h.o.Done(Event{Op: r.Method, Name: name, Request: r})
	return nil
}

// own finds what name itself is: a link, not what it leads to. It must lead to
// something that exists for visitors.
func (h *Handler) own(root *os.Root, name string) (real string, info fs.FileInfo, err error) {
	if info, err = h.stat(root, name); err != nil {
		return "", nil, err
	}
	real, err = h.resolve(root, name, false)
	return real, info, err
}

func (h *Handler) delete(w http.ResponseWriter, r *http.Request, root *os.Root, name string) error {
	if name == "." {
		return fail(http.StatusForbidden, "The drive itself can't be removed.")
	}
	if d := r.Header.Get("Depth"); d != "" && !strings.EqualFold(d, "infinity") {
		return fail(http.StatusBadRequest, "A folder is removed with all that is in it.")
	}
	real, _, err := h.own(root, name)
	if err != nil {
		return err
	}
	if err := h.allowed(r, root, name, touches{name: name, tree: true, made: true}); err != nil {
		return err
	}
	if err := h.holdsHidden(root, real); err != nil {
		return err
	}
	m := &multistatus{w: w, base: h.base(r)}
	failed := h.remove(root, real, name, func(which string, err error) {
		if which != name {
			why := explain(err)
			m.status(which, why.status, why.sentence)
		}
	})
	if m.buf != nil {
		h.o.Done(Event{Op: r.Method, Name: name, Request: r}) // of some of it
		return m.end()
	}
	if failed != nil {
		return failed
	}
	h.locks.forget(name, true)
	h.props.moved(real, "")
	w.WriteHeader(http.StatusNoContent)
	h.o.Done(Event{Op: r.Method, Name: name, Request: r})
	return nil
}

// holdsHidden refuses to remove a folder with files that whoever asks for it
// can't see: nobody means to lose those.
func (h *Handler) holdsHidden(root *os.Root, real string) error { return h.lookHidden(root, real, 0) }

func (h *Handler) lookHidden(in *os.Root, name string, depth int) error {
	if depth > maxDepth {
		return fail(http.StatusForbidden, "That is nested too deeply to remove at once: remove the folders in it first.")
	}
	sub, names, err := openDir(in, name)
	if sub == nil {
		return err
	}
	defer sub.Close()
	for _, e := range names {
		if h.hidesElement(e) && !Apple(e) {
			return fail(http.StatusForbidden,
				"That folder holds hidden files, which are not shared here: remove it on the computer that shares it.")
		}
		if err := h.lookHidden(sub, e, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// openDir opens a folder, and says what is in it. Of what is none, or is gone,
// or can't be looked into, it returns nothing.
func openDir(in *os.Root, name string) (sub *os.Root, names []string, err error) {
	info, err := in.Lstat(name)
	if err == nil && !info.IsDir() {
		return nil, nil, nil
	}
	if err == nil {
		sub, err = in.OpenRoot(name)
	}
	if err == nil {
		var dir *os.File
		if dir, err = sub.Open("."); err == nil {
			names, err = dir.Readdirnames(-1)
			dir.Close()
		}
	}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		err = nil
	}
	if len(names) == 0 && sub != nil {
		sub.Close()
		sub = nil
	}
	return sub, names, err
}

// remove removes what it can of a tree. It follows no link. A folder stays if
// something in it does.
func (h *Handler) remove(in *os.Root, name, full string, report func(name string, err error)) error {
	sub, names, err := openDir(in, name)
	if sub != nil {
		for _, e := range names {
			if failed := h.remove(sub, e, path.Join(full, e), report); failed != nil {
				err = failed
			}
		}
		sub.Close()
		if err != nil {
			return err // of what was reported
		}
	}
	if err == nil {
		err = h.unlink(in, name)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil // somebody was quicker
	}
	if err != nil {
		report(full, err)
	}
	return err
}

func (h *Handler) copyMove(w http.ResponseWriter, r *http.Request, root *os.Root, name string) error {
	move := r.Method == "MOVE"
	to, err := url.Parse(r.Header.Get("Destination"))
	if err != nil || r.Header.Get("Destination") == "" {
		return fail(http.StatusBadRequest, "Where to? The header Destination must say it.")
	}
	target, err := h.named(r, to)
	if err != nil {
		return err
	}
	depth, overwrite := r.Header.Get("Depth"), r.Header.Get("Overwrite")
	if depth != "" && !strings.EqualFold(depth, "infinity") && (move || depth != "0") {
		return fail(http.StatusBadRequest, "The header Depth must be infinity, or 0 to copy a folder without what is in it.")
	}
	if overwrite != "" && !strings.EqualFold(overwrite, "T") && !strings.EqualFold(overwrite, "F") {
		return fail(http.StatusBadRequest, "The header Overwrite is T or F.")
	}
	if move && name == "." || target == "." {
		return fail(http.StatusForbidden, "The drive itself can't be moved or replaced.")
	}
	if target == name {
		return fail(http.StatusForbidden, "That is the same file or folder.")
	}
	from, info, err := h.own(root, name)
	if err != nil {
		return err
	}
	full, err := h.resolve(root, name, true)
	if err != nil {
		return err
	}
	look := func() (real string, there fs.FileInfo, err error) {
		if real, there, err = h.place(root, target); err != nil {
			return real, there, err
		}
		renamed := there != nil && move && os.SameFile(info, there) // in another case, or a link to it
		switch {
		case below(target, name), below(name, target), below(real, full), below(full, real), real == from, real == full,
			!move && there != nil && os.SameFile(info, there):
			return real, there, fail(http.StatusForbidden, "A folder can't be put into itself, nor a file onto itself.")
		case there != nil && strings.EqualFold(overwrite, "F") && !renamed:
			return real, there, fail(http.StatusPreconditionFailed, "There is something by that name already.")
		}
		changes := []touches{{name: target, tree: true, made: there == nil}}
		if move {
			changes = append(changes, touches{name: name, tree: true, made: true})
		}
		if err := h.allowed(r, root, name, changes...); err != nil {
			return real, there, err
		}
		if there != nil && !renamed {
			err = h.holdsHidden(root, real)
		} else if renamed {
			there = nil
		}
		return real, there, err
	}
	real, there, err := look()
	if err != nil {
		return err
	}
	var n int64
	if !move {
		staged, size, err := h.copyTree(root, full, depth != "0")
		if err != nil {
			return err
		}
		defer h.discard(root, staged)
		from, n = staged, size
	}
	aside, err := func() (string, error) {
		h.commit.Lock()
		defer h.commit.Unlock()
		if real, there, err = look(); err != nil {
			return "", err
		}
		rename := h.rename
		if !move {
			rename = h.settle
			if there != nil {
				h.apart(root, from, there)
			}
		}
		return h.swap(root, rename, from, real, info, there)
	}()
	if err != nil {
		return err
	}
	if there != nil {
		h.locks.forget(target, false)
	}
	if move {
		h.locks.forget(name, true)
	}
	h.props.moved(from, real)
	if aside != "" {
		h.discard(root, aside)
	}
	w.WriteHeader(created(there == nil))
	h.o.Done(Event{Op: r.Method, Name: name, To: target, Bytes: n, Request: r})
	return nil
}

// swap renames from to real. A folder that is in the way, or that a folder is
// to replace, is put aside first, and put back if that was in vain.
func (h *Handler) swap(root *os.Root, rename func(root *os.Root, from, to string) error, from, real string, info, there fs.FileInfo) (aside string, err error) {
	if there != nil && (there.IsDir() || info.IsDir()) {
		if aside, err = h.intake.Stage(root); err != nil {
			return "", err
		}
		err = h.rename(root, real, aside)
	}
	if err == nil {
		if err = rename(root, from, real); err == nil {
			return aside, nil
		}
		if aside != "" {
			_ = root.Rename(aside, real)
		}
	}
	if errors.Is(err, syscall.EXDEV) {
		err = fail(http.StatusBadGateway, "That is on another disk than this folder is: copy the files one by one.")
	}
	return "", err
}

// copyTree copies a file or a folder to where nobody sees it. Links in it are
// followed, as they are by who reads it; one to a folder that it is in is left
// out, as it has no end.
func (h *Handler) copyTree(root *os.Root, real string, deep bool) (staged string, n int64, err error) {
	count, size := 0, int64(0)
	err = h.walk(root, real, deep, func(_, _ string, info fs.FileInfo) error {
		if count++; count > maxCopied {
			return fail(http.StatusForbidden, "That is too much to copy at once: copy the folders in it one by one.")
		}
		if info.Mode().IsRegular() {
			size += info.Size()
			if h.o.MaxBytes > 0 && info.Size() > h.o.MaxBytes {
				return fail(http.StatusInsufficientStorage, "A file in it is larger than this drive accepts.")
			}
		}
		return nil
	})
	if err != nil {
		return "", 0, err
	}
	if err := h.intake.HasRoom(root, size); err != nil {
		return "", 0, err
	}
	if staged, err = h.intake.Stage(root); err != nil {
		return "", 0, err
	}
	err = h.walk(root, real, deep, func(real, rel string, info fs.FileInfo) error {
		at := path.Join(staged, rel)
		if info.IsDir() {
			if err := root.Mkdir(at, 0o700|info.Mode().Perm()); err != nil {
				return err
			}
		} else {
			copied, err := h.copyFile(root, real, at, info.Mode().Perm())
			n += copied
			return err
		}
		h.props.copy(root, real, at)
		return nil
	})
	if err != nil {
		h.discard(root, staged)
		return "", 0, err
	}
	return staged, n, nil
}

// walk calls f for real and, if deep, all that visitors find in it: folders
// before what is in them. rel is the way from where it began.
func (h *Handler) walk(root *os.Root, real string, deep bool, f func(real, rel string, info fs.FileInfo) error) error {
	var chain []fs.FileInfo
	var walk func(real, rel string, info fs.FileInfo) error
	walk = func(real, rel string, info fs.FileInfo) error {
		if slices.ContainsFunc(chain, func(up fs.FileInfo) bool { return os.SameFile(up, info) }) {
			return nil
		}
		if err := f(real, rel, info); err != nil || !deep || !info.IsDir() {
			return err
		}
		if len(chain) == maxDepth {
			return fail(http.StatusForbidden, "That is nested too deeply to copy at once: copy the folders in it one by one.")
		}
		chain = append(chain, info)
		defer func() { chain = chain[:len(chain)-1] }()
		return h.children(root, rel, real, func(rel, real string, info fs.FileInfo) error { return walk(real, rel, info) })
	}
	info, err := root.Lstat(real)
	if err != nil {
		return err
	}
	return walk(real, ".", info)
}
