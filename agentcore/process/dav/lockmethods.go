package dav

import (
	"encoding/xml"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path"
	"strconv"
	"strings"
	"time"
)

func (h *Handler) lock(w http.ResponseWriter, r *http.Request, root *os.Root, name string) error {
	doc, err := document(w, r)
	if err != nil {
		return err
	}
	life := lockLife(r.Header.Get("Timeout"))
	if doc == nil {
		return h.refreshLock(w, r, root, name, life)
	}
	l := lock{Name: name, Tree: true, Life: life}
	switch strings.ToLower(r.Header.Get("Depth")) {
	case "", "infinity":
	case "0":
		l.Tree = false
	default:
		return fail(http.StatusBadRequest, "A lock is of depth 0 or infinity.")
	}
	scope := doc.child("lockscope")
	l.Shared = scope.child("shared") != nil
	if doc.name != (xml.Name{Space: nsDAV, Local: "lockinfo"}) || doc.child("locktype").child("write") == nil ||
		l.Shared == (scope.child("exclusive") != nil) {
		return fail(http.StatusBadRequest, "There are exclusive and shared locks for writing here, and no others.")
	}
	if owner := doc.child("owner"); owner != nil {
		if l.Owner = owner.inner(); len(l.Owner) > maxOwner {
			return fail(http.StatusRequestEntityTooLarge, "The owner of a lock must be described more briefly.")
		}
	}

	h.commit.Lock()
	defer h.commit.Unlock()
	real, there, err := h.place(root, name)
	if err != nil {
		return err
	}
	if there == nil {
		// It becomes an empty file, so its folder changes too.
		err = h.allowed(r, root, name, touches{name: name, made: true})
	} else {
		err = h.allowed(r, root, name)
	}
	if err != nil {
		return err
	}
	made, err := h.locks.create(l)
	if err != nil {
		return err
	}
	status := http.StatusOK
	if there == nil {
		f, err := root.OpenFile(real, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
		if err != nil {
			h.locks.remove(made.Token, name)
			return err
		}
		f.Close()
		status = http.StatusCreated
		h.o.Done(Event{Op: "LOCK", Name: name, Request: r})
	}
	w.Header().Set("Lock-Token", "<"+made.Token+">")
	writeLock(w, status, made.xml(h.base(r)))
	return nil
}

func (h *Handler) refreshLock(w http.ResponseWriter, r *http.Request, root *os.Root, name string, life time.Duration) error {
	lists, ok := parseIf(strings.Join(r.Header.Values("If"), " "))
	if !ok {
		return fail(http.StatusBadRequest, "Which lock shall live on? The header If must say it.")
	}
	var tokens []string
	for _, l := range lists {
		for _, c := range l.conditions {
			tokens = append(tokens, c.token)
		}
	}
	if _, err := h.stat(root, name); err != nil {
		return err
	}
	l, ok := h.locks.refresh(tokens, name, life)
	if !ok {
		return failXML(http.StatusPreconditionFailed, "That lock is over: lock it again.", "lock-token-matches-request-uri", "")
	}
	writeLock(w, http.StatusOK, l.xml(h.base(r)))
	return nil
}

func writeLock(w http.ResponseWriter, status int, active string) {
	body := xml.Header + `<D:prop xmlns:D="DAV:"><D:lockdiscovery>` + active + "</D:lockdiscovery></D:prop>\n"
	w.Header().Set("Content-Type", `application/xml; charset="utf-8"`)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

func (h *Handler) unlock(w http.ResponseWriter, r *http.Request, root *os.Root, name string) error {
	token := strings.TrimSpace(r.Header.Get("Lock-Token"))
	if len(token) < 3 || token[0] != '<' || token[len(token)-1] != '>' {
		return fail(http.StatusBadRequest, "Which lock shall end? The header Lock-Token must say it.")
	}
	if !h.locks.remove(token[1:len(token)-1], name) {
		return failXML(http.StatusConflict, "That lock is over, or is of something else.", "lock-token-matches-request-uri", "")
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// place is where something that is to be called name really is or will be, and
// what is there; nil for nothing. The folder that it is in must exist.
func (h *Handler) place(root *os.Root, name string) (real string, there fs.FileInfo, err error) {
	if name != "." && h.hides(name) {
		return "", nil, fail(http.StatusForbidden, "Hidden files, whose names begin with a dot, are not shared here: choose another name.")
	}
	real, err = h.resolve(root, name, true)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return "", nil, fail(http.StatusConflict, "The folder for it does not exist.")
		}
		return "", nil, err
	}
	there, err = root.Lstat(real)
	switch {
	case err == nil && !there.Mode().IsRegular() && !there.IsDir():
		return "", nil, fail(http.StatusForbidden, "There is something else by that name: choose another one.")
	case err == nil:
		return real, there, nil
	case !errors.Is(err, fs.ErrNotExist):
		return "", nil, err
	}
	if err := newName(name); err != nil {
		return "", nil, err
	}
	if up, err := root.Stat(path.Dir(real)); err != nil || !up.IsDir() {
		return "", nil, fail(http.StatusConflict, "The folder for it does not exist.")
	}
	return real, nil, nil
}
