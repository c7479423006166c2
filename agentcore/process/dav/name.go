package dav

import (
	"errors"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"sharetray/agentcore/process/intake"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxName bounds a name, as it does on most systems.
const maxName = 4096

// parseName makes the path of an address a name below the root: elements with
// slashes between, "." for the root. Nothing in it can lead upwards.
func parseName(u *url.URL) (string, error) {
	p := u.Path
	switch {
	case len(p) > maxName:
		return "", fail(http.StatusRequestURITooLong, "That name is too long.")
	case strings.Contains(p, "\x00"), strings.Contains(strings.ToLower(u.EscapedPath()), "%2f"):
		return "", fail(http.StatusBadRequest, "That address makes no sense: check it for a typing mistake.")
	}
	for e := range strings.SplitSeq(p, "/") {
		if e == ".." || e == "." {
			return "", fail(http.StatusBadRequest, "An address must not contain dots for the folder above.")
		}
		if runtime.GOOS == "windows" && unfitForWindows(e) {
			return "", fail(http.StatusForbidden, "Windows does not allow that name: choose another one.")
		}
	}
	if p = strings.TrimPrefix(path.Clean("/"+p), "/"); p == "" {
		return ".", nil
	}
	return p, nil
}

// newName says what is wrong with a name that something is to be created by.
func newName(name string) error {
	if !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) {
		return fail(http.StatusForbidden, "A name must be readable text without control characters: choose another one.")
	}
	return nil
}

// unfitForWindows reports whether Windows would take an element of a name for
// something else: a device, a stream, another spelling of another name.
func unfitForWindows(e string) bool {
	if e == "" {
		return false
	}
	if strings.ContainsAny(e, `<>:"|?*\`) || strings.ContainsFunc(e, func(r rune) bool { return r < ' ' }) {
		return true
	}
	if last := e[len(e)-1]; last == '.' || last == ' ' {
		return true
	}
	stem, _, _ := strings.Cut(e, ".")
	stem = strings.ToUpper(strings.TrimRight(stem, " "))
	switch stem {
	case "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$":
		return true
	}
	if head, ok := strings.CutPrefix(stem, "COM"); ok || strings.HasPrefix(stem, "LPT") {
		if !ok {
			head = stem[3:]
		}
		if len([]rune(head)) == 1 && strings.ContainsAny(head, "0123456789¹²³") {
			return true
		}
	}
	// The short name of a long one, GIT~1 for .git, would reach what is hidden.
	_, after, short := strings.Cut(stem, "~")
	return short && len(stem) <= 8 && after != "" && strings.Trim(after, "0123456789") == ""
}

// Apple reports whether name is one of the files that macOS puts beside others
// on drives that keep no attributes for it.
//
// Finder can't copy onto a drive that refuses them. So a drive that can be
// written to takes them by name even where hidden files are not shared, but
// lists them to nobody.
func Apple(name string) bool {
	base := path.Base(name)
	return base == ".DS_Store" || strings.HasPrefix(base, "._") && len(base) > 2
}

// hides reports whether name does not exist for visitors.
func (h *Handler) hides(name string) bool {
	if name == "." {
		return false
	}
	if h.o.Writable && Apple(name) {
		name = path.Dir(name)
	}
	for e := range strings.SplitSeq(name, "/") {
		if h.hidesElement(e) {
			return true
		}
	}
	return false
}

func (h *Handler) hidesElement(e string) bool {
	return intake.Private(e) || !h.o.Hidden && strings.HasPrefix(e, ".") && e != "."
}

// resolve follows the symbolic links of name and returns where it really is,
// below the root. What leads out, or to what is hidden, does not exist. The
// last element need not exist, and is not followed unless asked.
//
// It is for names, not for safety: os.Root looks again at every link.
func (h *Handler) resolve(root *os.Root, name string, last bool) (string, error) {
	if h.hides(name) {
		return "", notExist(name)
	}
	todo := strings.Split(name, "/")
	done, at := ".", root // at is opened at done, so that each step costs the same
	move := func(to *os.Root, err error) error {
		if at != root {
			at.Close()
		}
		if at = root; err == nil {
			at = to
		}
		return err
	}
	defer func() { move(nil, nil) }()
	for links := 0; len(todo) > 0; {
		e := todo[0]
		todo = todo[1:]
		if e == "" || e == "." {
			continue
		}
		next := path.Join(done, e)
		if e == ".." {
			if done == "." {
				return "", notExist(name)
			}
			if done = path.Dir(done); move(root.OpenRoot(done)) != nil {
				return "", notExist(name)
			}
			continue
		}
		if len(todo) == 0 && !last {
			done = next
			break
		}
		info, err := at.Lstat(e)
		switch {
		case errors.Is(err, fs.ErrNotExist) && len(todo) == 0:
			done = next
		case err != nil:
			return "", err
		case info.Mode()&fs.ModeSymlink != 0:
			to, err := at.Readlink(e)
			if err != nil {
				return "", err
			}
			if links++; links > 40 || filepath.IsAbs(to) {
				return "", notExist(name)
			}
			todo = append(strings.Split(filepath.ToSlash(to), "/"), todo...)
		case len(todo) == 0:
			done = next
		default:
			if !info.IsDir() {
				return "", notExist(name)
			}
			if err := move(at.OpenRoot(e)); err != nil {
				return "", err
			}
			done = next
		}
	}
	if done != name && h.hides(done) {
		return "", notExist(name)
	}
	return done, nil
}

func notExist(name string) error {
	return &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}
