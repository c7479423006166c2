package upload

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path"
	"strconv"
	"strings"
	"sync"

	"sharetray/agentcore/process/intake"
)

// This file is uploads in pieces, as the page makes them: POST ?upload=new says
// name and length and gets an id, PATCH ?upload=ID adds a piece at an offset, HEAD
// tells how far it is, DELETE gives it up. What is there of a file outlives its
// connection, and the process.

// The headers of uploads in pieces; those of the tus protocol mean the same.
const (
	lengthHeader = "Upload-Length"
	offsetHeader = "Upload-Offset"
	nameHeader   = "Upload-Name" // as in a URL
)

// maxParts is how many unfinished files there may be.
const maxParts = 100

// partial is what is known of an unfinished file; it lies beside it.
type partial struct {
	Dir    string `json:"dir"`
	Name   string `json:"name"`
	Length int64  `json:"length"`
}

const (
	partEnd = ".part"
	metaEnd = ".json"
)

// parts are the unfinished files to which something is being added.
type parts struct {
	mu   sync.Mutex
	busy map[string]bool
}

func (p *parts) enter(id string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.busy[id] {
		return false
	}
	if p.busy == nil {
		p.busy = map[string]bool{}
	}
	p.busy[id] = true
	return true
}

func (p *parts) leave(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.busy, id)
}

func (h *Handler) begin(w http.ResponseWriter, r *http.Request, root *os.Root) error {
	dir, err := h.folder(root, r.URL.Path)
	if err != nil {
		return err
	}
	raw, err := url.PathUnescape(r.Header.Get(nameHeader))
	if err != nil {
		raw = "\xff"
	}
	name, err := SafeName(raw)
	if err != nil {
		return refuse(http.StatusBadRequest, "The name %v.", err)
	}
	length, err := strconv.ParseInt(r.Header.Get(lengthHeader), 10, 64)
	if err != nil || length < 0 {
		return refuse(http.StatusBadRequest, "How long the file is must be said.")
	}
	if err := h.intake.Fits(root, length); err != nil {
		return err
	}
	if _, err := h.intake.Stage(root); err != nil { // the folder is there, and swept
		return err
	}
	if n := countParts(root); n >= maxParts {
		return refuse(http.StatusServiceUnavailable, "Too many files are unfinished: try again later.")
	}
	id := rand.Text()
	meta, err := json.Marshal(partial{dir, name, length})
	if err != nil {
		return err
	}
	if err := root.WriteFile(intake.Folder+"/"+id+metaEnd, meta, 0o600); err != nil {
		return err
	}
	f, err := root.OpenFile(intake.Folder+"/"+id+partEnd, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	w.Header().Set("Location", "?"+Query+"="+id)
	w.Header().Set(offsetHeader, "0")
	w.WriteHeader(http.StatusCreated)
	return nil
}

func countParts(root *os.Root) (n int) {
	entries, err := fs.ReadDir(root.FS(), intake.Folder)
	if err != nil {
		return 0
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), partEnd) {
			n++
		}
	}
	return n
}

// find returns what is known of an unfinished file, and how much of it is there.
func find(root *os.Root, id string) (p partial, has int64, err error) {
	gone := refuse(http.StatusNotFound, "That upload is over, or was given up: begin it again.")
	if strings.Trim(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") != "" || id == "" {
		return p, 0, gone
	}
	b, err := root.ReadFile(intake.Folder + "/" + id + metaEnd)
	if err != nil || json.Unmarshal(b, &p) != nil {
		return p, 0, gone
	}
	info, err := root.Lstat(intake.Folder + "/" + id + partEnd)
	if err != nil || !info.Mode().IsRegular() {
		return p, 0, gone
	}
	return p, info.Size(), nil
}

func (h *Handler) offset(w http.ResponseWriter, root *os.Root, id string) error {
	p, has, err := find(root, id)
	if err != nil {
		return err
	}
	w.Header().Set(offsetHeader, strconv.FormatInt(has, 10))
	w.Header().Set(lengthHeader, strconv.FormatInt(p.Length, 10))
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
	return nil
}

// add takes a piece, and makes a file of all pieces when it was the last one.
func (h *Handler) add(w http.ResponseWriter, r *http.Request, root *os.Root, id string) error {
	if !h.busy.enter(id) {
		return refuse(http.StatusConflict, "A piece of this file is on its way already: ask how far it is.")
	}
	defer h.busy.leave(id)
	p, has, err := find(root, id)
	if err != nil {
		return err
	}
	if at, err := strconv.ParseInt(r.Header.Get(offsetHeader), 10, 64); err != nil || at != has {
		w.Header().Set(offsetHeader, strconv.FormatInt(has, 10))
		return refuse(http.StatusConflict, "The file is at another place: ask how far it is.")
	}
	if r.ContentLength > p.Length-has {
		return refuse(http.StatusBadRequest, "The file is longer than was said.")
	}
	if err := h.intake.HasRoom(root, max(r.ContentLength, 0)); err != nil {
		return err
	}
	part := intake.Folder + "/" + id + partEnd
	f, err := root.OpenFile(part, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	n, err := h.intake.Append(root, f, io.LimitReader(r.Body, p.Length-has), has)
	has += n
	whole := has == p.Length
	if whole && err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err // what has come stays
	}
	if !whole && r.ContentLength >= 0 && n != r.ContentLength {
		return io.ErrUnexpectedEOF
	}
	w.Header().Set(offsetHeader, strconv.FormatInt(has, 10))
	if !whole {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	target, err := h.settleNext(root, part, p.Dir, p.Name)
	_ = root.Remove(intake.Folder + "/" + id + metaEnd)
	if err != nil {
		return err
	}
	h.o.Done(r, "/"+target, has)
	w.Header().Set(nameHeader, url.PathEscape(path.Base(target)))
	w.WriteHeader(http.StatusCreated)
	return nil
}

func (h *Handler) cancel(w http.ResponseWriter, root *os.Root, id string) error {
	if _, _, err := find(root, id); err != nil {
		return err
	}
	for _, end := range []string{partEnd, metaEnd} {
		_ = root.Remove(intake.Folder + "/" + id + end)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
