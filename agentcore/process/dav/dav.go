// Package dav answers WebDAV (RFC 4918, classes 1 and 2) for a folder held as
// an *os.Root, which nothing that it is asked can leave.
//
// It is not made of golang.org/x/net/webdav, which writes files in place, has
// locks without bounds, statuses and conditions that differ from the RFC, and
// says of itself that it is not hardened against clients.
//
// It does not know Caddy, what a share is, who its visitors are, nor where the
// folder came from: all that is in Options.
package dav

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path"
	"sharetray/agentcore/process/intake"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"sharetray/platform"
)

// Options say what a drive is. Root must be set.
type Options struct {
	Root     func() *os.Root // nil while the folder is not there
	Writable bool
	Hidden   bool  // names that begin with a dot exist
	MaxBytes int64 // of one file that is sent or copied; 0: as much as there is room for

	// Reserve is how many bytes are left free on the disk.
	Reserve int64
	// Free is how many bytes are free; nil asks the system.
	Free func(*os.Root) (uint64, error)

	// Prefix is what the outside puts before the paths that requests have here:
	// "/s/TOKEN" under a secret link. Nil is none.
	Prefix func(*http.Request) string

	State State         // keeps the locks when the process is replaced; nil forgets them
	Stall time.Duration // a body of which nothing comes for so long is given up; 0: a minute
	Done  func(Event)   // something was changed; must not wait
	Log   *slog.Logger
}

// Event is a change that is done.
type Event struct {
	Op      string // the method: PUT, MKCOL, DELETE, COPY, MOVE; LOCK when it made an empty file
	Name    string // with slashes, below the root
	To      string // of COPY and MOVE
	Bytes   int64  // of PUT and COPY
	Request *http.Request
}

// Handler serves a drive.
type Handler struct {
	o     Options
	locks locks
	props properties
	csrf  *http.CrossOriginProtection

	intake intake.Place

	// Tests have these fail.
	unlink func(in *os.Root, name string) error
	rename func(root *os.Root, from, to string) error

	// commit is held from the last look at the conditions of a change until it
	// is made, so that of two who saw the same file only one changes it.
	commit sync.Mutex
}

func New(o Options) *Handler {
	if o.Prefix == nil {
		o.Prefix = func(*http.Request) string { return "" }
	}
	if o.Done == nil {
		o.Done = func(Event) {}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Stall == 0 {
		o.Stall = time.Minute
	}
	h := &Handler{o: o, csrf: http.NewCrossOriginProtection(), unlink: (*os.Root).Remove, rename: (*os.Root).Rename}
	h.intake.MaxBytes, h.intake.Reserve, h.intake.Free = o.MaxBytes, o.Reserve, o.Free
	h.locks = locks{state: o.State, now: time.Now, warn: func(what string, err error) { o.Log.Warn(what, "error", err) }}
	return h
}

const (
	readMethods  = "OPTIONS, GET, HEAD, PROPFIND"
	writeMethods = ", PUT, MKCOL, DELETE, COPY, MOVE, PROPPATCH, LOCK, UNLOCK"
)

func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := h.serve(w, r); err != nil {
		h.refuse(w, r, err)
	}
}

func (h *Handler) serve(w http.ResponseWriter, r *http.Request) error {
	// A page that somebody else made must not write here with the browser of
	// one who may. Programs send no Origin, and are not concerned.
	if h.csrf.Check(r) != nil {
		return fail(http.StatusForbidden, "Another web page asked for this: open the drive itself and try again.")
	}
	root := h.o.Root()
	if root == nil {
		w.Header().Set("Retry-After", "5")
		return fail(http.StatusServiceUnavailable, "The shared folder is not there: it was moved, removed or unplugged.")
	}
	if r.Method == http.MethodOptions && r.URL.Path == "*" {
		return h.options(w)
	}
	name, err := parseName(r.URL)
	if err != nil {
		return err
	}
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = &patient{body: r.Body, control: http.NewResponseController(w), stall: h.o.Stall}
	}
	switch r.Method {
	case http.MethodOptions:
		return h.options(w)
	case http.MethodGet, http.MethodHead:
		return h.get(w, r, root, name)
	case "PROPFIND":
		return h.propfind(w, r, root, name)
	}
	var serve func(http.ResponseWriter, *http.Request, *os.Root, string) error
	switch r.Method {
	case http.MethodPut:
		serve = h.put
	case "MKCOL":
		serve = h.mkcol
	case http.MethodDelete:
		serve = h.delete
	case "COPY", "MOVE":
		serve = h.copyMove
	case "PROPPATCH":
		serve = h.proppatch
	case "LOCK":
		serve = h.lock
	case "UNLOCK":
		serve = h.unlock
	}
	if serve == nil || !h.o.Writable {
		w.Header().Set("Allow", h.allow())
		if serve != nil {
			return fail(http.StatusMethodNotAllowed, "This drive can only be read.")
		}
		return fail(http.StatusMethodNotAllowed, "This is a drive: it has no use for that.")
	}
	return serve(w, r, root, name)
}

func (h *Handler) allow() string {
	if h.o.Writable {
		return readMethods + writeMethods
	}
	return readMethods
}

// options says what can be done here. Without locks (class 2) the systems of
// Apple and Microsoft mount a drive to be read only, as this one then is.
func (h *Handler) options(w http.ResponseWriter) error {
	w.Header().Set("Allow", h.allow())
	w.Header().Set("DAV", "1")
	if h.o.Writable {
		w.Header().Set("DAV", "1, 2")
	}
	w.Header().Set("MS-Author-Via", "DAV")
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(http.StatusOK)
	return nil
}

func (h *Handler) get(w http.ResponseWriter, r *http.Request, root *os.Root, name string) error {
	f, info, err := h.open(root, name)
	if err != nil {
		return err
	}
	defer f.Close()
	if info.IsDir() {
		w.Header().Set("Allow", h.allow())
		return fail(http.StatusMethodNotAllowed, "This is a folder: open it as a drive to see what is in it.")
	}
	if strings.HasSuffix(r.URL.Path, "/") {
		return notExist(name)
	}
	if tag := etag(info); tag != "" {
		w.Header().Set("ETag", tag)
	}
	http.ServeContent(w, r, path.Base(name), info.ModTime(), f)
	return nil
}

// open opens what is a file or a folder, for reading. Nothing else exists, and
// opening never waits.
func (h *Handler) open(root *os.Root, name string) (*os.File, fs.FileInfo, error) {
	real, err := h.resolve(root, name, true)
	if err != nil {
		return nil, nil, err
	}
	f, err := root.OpenFile(real, os.O_RDONLY|platform.OpenNoWait, 0)
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() && !info.IsDir() {
		err = notExist(name)
	}
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, info, nil
}

// stat is of what name leads to.
func (h *Handler) stat(root *os.Root, name string) (fs.FileInfo, error) {
	real, err := h.resolve(root, name, true)
	if err != nil {
		return nil, err
	}
	info, err := root.Lstat(real)
	if err == nil && !info.Mode().IsRegular() && !info.IsDir() {
		return nil, notExist(name)
	}
	return info, err
}

// etag is what Caddy's file server makes of the same file, as one client sees both.
func etag(info fs.FileInfo) string {
	t := info.ModTime()
	if s := t.Unix(); s == 0 || s == 1 {
		return "" // the time of what has none
	}
	return `"` + strconv.FormatInt(t.UnixNano(), 36) + "-" + strconv.FormatInt(info.Size(), 36) + `"`
}

// named is the name that an address in a header of r has here. It must be one
// of this drive, as the client knows it.
func (h *Handler) named(r *http.Request, u *url.URL) (string, error) {
	away := fail(http.StatusBadGateway, "That is not on this drive: things can only be moved and copied within it.")
	if u.Opaque != "" || u.Host != "" && !sameHost(u.Host, r.Host) && !sameHost(u.Host, r.Header.Get("X-Forwarded-Host")) {
		return "", away
	}
	prefix := strings.TrimSuffix(h.o.Prefix(r), "/")
	rest, ok := strings.CutPrefix(u.Path, prefix)
	if !ok || rest != "" && rest[0] != '/' || rest == "" && prefix == "" {
		return "", away
	}
	here := url.URL{Path: rest}
	if strings.Contains(strings.ToLower(u.EscapedPath()), "%2f") {
		here.RawPath = u.EscapedPath()
		return "", fail(http.StatusBadRequest, "That address makes no sense: check it for a typing mistake.")
	}
	return parseName(&here)
}

func sameHost(a, b string) bool {
	bare := func(host string) string {
		if name, port, err := net.SplitHostPort(host); err == nil && (port == "80" || port == "443") {
			return name
		}
		return host
	}
	return b != "" && strings.EqualFold(bare(a), bare(b))
}

func (h *Handler) base(r *http.Request) string { return strings.TrimSuffix(h.o.Prefix(r), "/") }

// refusal is an error that a visitor reads.
type refusal struct {
	status   int
	sentence string
	reason   string // an element of RFC 4918, 16; "" for none
	name     string // what the reason is about
}

func (r *refusal) Error() string { return r.sentence }

func fail(status int, sentence string) error { return &refusal{status: status, sentence: sentence} }

func failXML(status int, sentence, reason, name string) error {
	return &refusal{status, sentence, reason, name}
}

// explain is what a visitor is told of err.
func explain(err error) *refusal {
	var known *refusal
	var tooBig *http.MaxBytesError
	var timeout net.Error
	is := func(errs ...error) bool {
		for _, e := range errs {
			if errors.Is(err, e) {
				return true
			}
		}
		return false
	}
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &tooBig):
		return &refusal{status: http.StatusRequestEntityTooLarge, sentence: "That is more than this drive accepts."}
	case errors.Is(err, errXML):
		return &refusal{status: http.StatusBadRequest, sentence: err.Error() + "."}
	case is(fs.ErrNotExist, syscall.ENOTDIR, syscall.ELOOP):
		return &refusal{status: http.StatusNotFound, sentence: "There is nothing here."}
	case is(fs.ErrPermission, syscall.EROFS):
		return &refusal{status: http.StatusForbidden, sentence: "The computer that shares this is not allowed to do that itself."}
	case is(syscall.ENOSPC, syscall.EDQUOT):
		return &refusal{status: http.StatusInsufficientStorage, sentence: "There is no room left for this: make some and try again."}
	case is(syscall.ENOTEMPTY):
		return &refusal{status: http.StatusConflict, sentence: "That folder is not empty, or something was just put into it: try again."}
	case is(syscall.ENAMETOOLONG):
		return &refusal{status: http.StatusForbidden, sentence: "That name is too long: choose a shorter one."}
	case errors.As(err, &timeout) && timeout.Timeout():
		return &refusal{status: http.StatusRequestTimeout, sentence: "Nothing more came for too long: try again."}
	case is(io.ErrUnexpectedEOF):
		return &refusal{status: http.StatusBadRequest, sentence: "Not all of it came: try again."}
	case strings.Contains(err.Error(), "path escapes from parent"):
		return &refusal{status: http.StatusNotFound, sentence: "There is nothing here."}
	}
	return &refusal{status: http.StatusInternalServerError, sentence: "The computer that shares this failed to do it: see its log."}
}

func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, err error) {
	why := explain(err)
	if why.status == http.StatusInternalServerError {
		h.o.Log.Error("a request failed", "method", r.Method, "path", r.URL.Path, "error", err)
	}
	if why.status == http.StatusRequestTimeout {
		w.Header().Set("Connection", "close")
	}
	body, kind := why.sentence+"\n", "text/plain; charset=utf-8"
	if why.reason != "" {
		kind = `application/xml; charset="utf-8"`
		inner := ""
		if why.name != "" {
			inner = "<D:href>" + escape(href(h.base(r), why.name, false)) + "</D:href>"
		}
		body = fmt.Sprintf("%s<D:error xmlns:D=\"DAV:\"><D:%s>%s</D:%s><s:sentence xmlns:s=\"urn:sharetray\">%s</s:sentence></D:error>\n",
			xml.Header, why.reason, inner, why.reason, escape(why.sentence))
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(why.status)
	_, _ = io.WriteString(w, body)
}

// patient reads a body for as long as some of it comes.
type patient struct {
	body    io.ReadCloser
	control *http.ResponseController
	stall   time.Duration
}

func (p *patient) Read(b []byte) (int, error) {
	_ = p.control.SetReadDeadline(time.Now().Add(p.stall))
	n, err := p.body.Read(b)
	if err == io.EOF {
		_ = p.control.SetReadDeadline(time.Time{}) // else the connection ends in the midst of the answer
	}
	return n, err
}

func (p *patient) Close() error { return p.body.Close() }

// document reads the XML in the body of r; nil when there is none.
func document(w http.ResponseWriter, r *http.Request) (*node, error) {
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxXML))
	if err != nil {
		return nil, err
	}
	return readXML(data)
}
