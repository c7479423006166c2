// Package upload lets visitors add files to a shared folder: by PUT, as `curl -T`
// does, by a form, and in pieces that go on after a broken connection.
//
// It must not know what else is served from the folder, nor who may visit it.
package upload

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path"
	"strings"
	"syscall"
	"time"

	"sharetray/agentcore/process/intake"
)

// Options are what a Handler is told. Root must be set.
type Options struct {
	Root      func() *os.Root // nil while the folder is not there
	Overwrite bool            // a file of the same name is replaced
	MaxBytes  int64           // of one file; 0: as much as there is room for
	Reserve   int64           // bytes that are left free on the disk
	Free      func(*os.Root) (uint64, error)
	Stall     time.Duration // a body of which nothing comes for so long is given up; 0: a minute
	// Begin is told of a file before it can be seen, and Done afterwards. They
	// must not wait.
	Begin func(name string, info fs.FileInfo)
	Done  func(r *http.Request, name string, size int64)
	Log   *slog.Logger
}

// maxAtOnce is how many files are taken at the same time.
const maxAtOnce = 64

// Handler takes uploads.
type Handler struct {
	o      Options
	intake intake.Place
	csrf   *http.CrossOriginProtection
	slots  chan struct{}
	busy   parts
}

// New makes a Handler.
func New(o Options) *Handler {
	if o.Stall == 0 {
		o.Stall = time.Minute
	}
	if o.Begin == nil {
		o.Begin = func(string, fs.FileInfo) {}
	}
	if o.Done == nil {
		o.Done = func(*http.Request, string, int64) {}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	h := &Handler{o: o, csrf: http.NewCrossOriginProtection(), slots: make(chan struct{}, maxAtOnce)}
	h.intake.MaxBytes, h.intake.Reserve, h.intake.Free = o.MaxBytes, o.Reserve, o.Free
	return h
}

// Query is the parameter by which a page or a part of an upload is asked for.
const Query = "upload"

// Takes reports whether a request is for the handler.
func Takes(r *http.Request) bool {
	switch r.Method {
	case http.MethodPut, http.MethodPost, http.MethodPatch:
		return true
	case http.MethodHead, http.MethodDelete:
		return r.URL.Query().Get(Query) != ""
	}
	return false
}

// refusal is why something is not taken.
type refusal struct {
	status   int
	sentence string
}

func (r *refusal) Error() string { return r.sentence }

func refuse(status int, format string, args ...any) error {
	return &refusal{status, fmt.Sprintf(format, args...)}
}

// ServeHTTP answers what Takes says is its own.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := h.serve(w, r); err != nil {
		h.refuse(w, r, err)
	}
}

func (h *Handler) serve(w http.ResponseWriter, r *http.Request) error {
	if h.csrf.Check(r) != nil {
		return refuse(http.StatusForbidden, "Another web page asked for this: open the share itself and try again.")
	}
	root := h.o.Root()
	if root == nil {
		w.Header().Set("Retry-After", "5")
		return refuse(http.StatusServiceUnavailable, "The shared folder is not there: it was moved, removed or unplugged.")
	}
	select {
	case h.slots <- struct{}{}:
		defer func() { <-h.slots }()
	default:
		w.Header().Set("Retry-After", "5")
		return refuse(http.StatusServiceUnavailable, "Too many files are being added right now: try again in a moment.")
	}
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = &patient{r.Body, http.NewResponseController(w), h.o.Stall}
	}
	id := r.URL.Query().Get(Query)
	switch {
	case r.Method == http.MethodPut:
		return h.put(w, r, root)
	case r.Method == http.MethodPost && id == "new":
		return h.begin(w, r, root)
	case r.Method == http.MethodPost:
		return h.form(w, r, root)
	case r.Method == http.MethodHead:
		return h.offset(w, root, id)
	case r.Method == http.MethodPatch && id != "":
		return h.add(w, r, root, id)
	case r.Method == http.MethodDelete && id != "":
		return h.cancel(w, root, id)
	}
	w.Header().Set("Allow", "GET, HEAD, PUT, POST")
	return refuse(http.StatusMethodNotAllowed, "This share has no use for that.")
}

// put takes one file, whose name is the last part of the address.
func (h *Handler) put(w http.ResponseWriter, r *http.Request, root *os.Root) error {
	if strings.HasSuffix(r.URL.Path, "/") {
		return refuse(http.StatusBadRequest, "The address ends with a slash: put the file's name after it.")
	}
	if r.Header.Get("Content-Range") != "" {
		return refuse(http.StatusBadRequest, "A part of a file is not taken: send all of it.")
	}
	dir, err := h.folder(root, path.Dir(r.URL.Path))
	if err != nil {
		return err
	}
	name, err := SafeName(path.Base(r.URL.Path))
	if err != nil {
		return refuse(http.StatusBadRequest, "The name %v.", err)
	}
	target := path.Join(dir, name)
	if _, err := root.Lstat(target); err == nil && !h.o.Overwrite {
		return errTaken(name) // before all of it was sent
	}
	staged, n, err := h.intake.Receive(root, r.Body, r.ContentLength)
	if err != nil {
		return err
	}
	replaced, err := h.settle(root, staged, target)
	if err != nil {
		_ = root.Remove(staged)
		return err
	}
	h.o.Done(r, "/"+target, n)
	if replaced {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	w.WriteHeader(http.StatusCreated)
	return nil
}

func errTaken(name string) error {
	return refuse(http.StatusConflict, "There is a file %q already, and it is not replaced: give yours another name.", name)
}

// folder returns the name below root of a folder that visitors may see.
func (h *Handler) folder(root *os.Root, dir string) (string, error) {
	name := strings.TrimPrefix(path.Clean("/"+dir), "/")
	if name == "" {
		return ".", nil
	}
	for e := range strings.SplitSeq(name, "/") {
		if strings.HasPrefix(e, ".") {
			return "", refuse(http.StatusNotFound, "There is no such folder here: files are added to folders that are there.")
		}
	}
	info, err := root.Stat(name)
	if err != nil || !info.IsDir() {
		return "", refuse(http.StatusNotFound, "There is no such folder here: files are added to folders that are there.")
	}
	return name, nil
}

// settle makes what was staged the file target, and replaces one only if it may.
// What is not taken stays where it was.
func (h *Handler) settle(root *os.Root, staged, target string) (replaced bool, err error) {
	info, err := root.Lstat(staged)
	if err != nil {
		return false, err
	}
	h.o.Begin("/"+target, info)
	if h.o.Overwrite {
		if there, err := root.Lstat(target); err == nil {
			if !there.Mode().IsRegular() {
				return false, refuse(http.StatusConflict, "%q is a folder: give the file another name.", path.Base(target))
			}
			return true, root.Rename(staged, target)
		}
	}
	err = root.Link(staged, target) // which never replaces anything
	switch {
	case err == nil:
		return false, root.Remove(staged)
	case errors.Is(err, fs.ErrExist):
		return false, errTaken(path.Base(target))
	}
	// No hard links here, as on FAT: the name is taken first, and then replaced.
	f, err := root.OpenFile(target, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if errors.Is(err, fs.ErrExist) {
		return false, errTaken(path.Base(target))
	}
	if err == nil {
		err = f.Close()
	}
	if err == nil {
		err = root.Rename(staged, target)
	}
	return false, err
}

// settleNext makes what was staged a file of that name, or of the next one that is
// free, and returns that. What is not taken is removed.
func (h *Handler) settleNext(root *os.Root, staged, dir, name string) (string, error) {
	const tries = 1000
	for n := 1; n <= tries; n++ {
		target := path.Join(dir, name)
		if n > 1 {
			target = path.Join(dir, numbered(name, n))
		}
		if _, err := root.Lstat(target); err == nil && !h.o.Overwrite {
			continue
		}
		_, err := h.settle(root, staged, target)
		var r *refusal
		switch {
		case errors.As(err, &r): // somebody was faster
			continue
		case err != nil:
			_ = root.Remove(staged)
		}
		return target, err
	}
	_ = root.Remove(staged)
	return "", errTaken(name)
}

// form takes the files of a form, of which a page without script has one.
func (h *Handler) form(w http.ResponseWriter, r *http.Request, root *os.Root) error {
	dir, err := h.folder(root, r.URL.Path)
	if err != nil {
		return err
	}
	parts, err := r.MultipartReader()
	if err != nil {
		return refuse(http.StatusUnsupportedMediaType, "This is no form with files: send them as multipart/form-data, or one by PUT.")
	}
	var names []string
	for {
		part, err := parts.NextPart()
		if err == io.EOF {
			break
		}
		if err != nil {
			return broken(err)
		}
		if part.FileName() == "" && part.FormName() != "" {
			continue // another field
		}
		name, err := SafeName(part.FileName())
		if err != nil {
			return refuse(http.StatusBadRequest, "The name %v.", err)
		}
		staged, n, err := h.intake.Receive(root, part, -1)
		if err != nil {
			return err
		}
		target, err := h.settleNext(root, staged, dir, name)
		if err != nil {
			return err
		}
		h.o.Done(r, "/"+target, n)
		names = append(names, path.Base(target))
	}
	if len(names) == 0 {
		return refuse(http.StatusBadRequest, "There is no file in the form: choose one.")
	}
	h.thank(w, r, names)
	return nil
}

// refuse says why something is not taken. What is left of the body is not waited
// for.
func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, err error) {
	status, sentence := http.StatusInternalServerError, "The file could not be kept: tell whose share this is."
	var refused *refusal
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &refused):
		status, sentence = refused.status, refused.sentence
	case errors.As(err, &large):
		status, sentence = http.StatusRequestEntityTooLarge, fmt.Sprintf("The file is too large: at most %s are taken.", bytesInWords(large.Limit))
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		status, sentence = http.StatusInsufficientStorage, "There is no room for the file on the computer that shares this folder."
	case errors.Is(err, os.ErrDeadlineExceeded):
		status, sentence = http.StatusRequestTimeout, "Nothing came for too long: try again."
	case errors.Is(err, io.ErrUnexpectedEOF), r.Context().Err() != nil:
		status, sentence = http.StatusBadRequest, "The file broke off: try again."
	case errors.Is(err, fs.ErrPermission):
		status, sentence = http.StatusForbidden, "Nothing can be added to this folder: its owner may not write to it."
	default:
		h.o.Log.Error("a file could not be kept", "error", err)
	}
	w.Header().Set("Connection", "close")
	h.answer(w, r, status, sentence)
}

func broken(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return io.ErrUnexpectedEOF
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	return refuse(http.StatusBadRequest, "The form can't be read: try again.")
}

// patient gives a body up of which nothing comes.
type patient struct {
	io.ReadCloser
	control *http.ResponseController
	stall   time.Duration
}

func (p *patient) Read(b []byte) (int, error) {
	_ = p.control.SetReadDeadline(time.Now().Add(p.stall))
	n, err := p.ReadCloser.Read(b)
	if err == io.EOF {
		_ = p.control.SetReadDeadline(time.Time{}) // else the connection ends in the midst of the answer
	}
	return n, err
}

func bytesInWords(n int64) string {
	for _, u := range []struct {
		name string
		size int64
	}{{"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}} {
		if n >= u.size {
			return fmt.Sprintf("%.4g %s", float64(n)/float64(u.size), u.name)
		}
	}
	return fmt.Sprintf("%d bytes", n)
}
