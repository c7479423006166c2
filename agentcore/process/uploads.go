package process

import (
	"bufio"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"

	"sharetray/agentcore/process/intake"
	"sharetray/agentcore/process/upload"
	"sharetray/agentcore/share"
)

// uploads is the part of a web share by which visitors add files.
type uploads struct {
	*upload.Handler
	listing  bool
	received *received // nil: what is added can be seen
}

func newUploads(s share.Share, k *web, env kindEnv) *uploads {
	u := &uploads{listing: s.Listing}
	opt := upload.Options{
		Root: func() *os.Root { return k.folder.root.Load() }, Overwrite: s.Overwrite,
		MaxBytes: int64(s.MaxUpload), Reserve: int64(s.KeepFree), Log: env.log, Done: env.uploaded,
	}
	if !s.ShowUploads {
		u.received = openReceived(env.received)
		opt.Begin = u.received.add
		k.folder.withheld = u.received.has
	}
	k.folder.private = intake.Private
	u.Handler = upload.New(opt)
	return u
}

// admit answers what is about uploads, and reports whether the rest may go on.
func (u *uploads) admit(w http.ResponseWriter, r *http.Request, k *web) bool {
	if upload.Takes(r) {
		k.folder.trusted() // a folder that is gone is none
		u.ServeHTTP(w, r)
		return false
	}
	if !strings.HasSuffix(r.URL.Path, "/") || r.Method != http.MethodGet && r.Method != http.MethodHead || !k.folder.trusted() {
		return true
	}
	_, asked := r.URL.Query()[upload.Query]
	if asked || r.URL.RawQuery == "" && wantsPage(r) && !k.folder.has(r.URL.Path+"index.html") && k.folder.has(r.URL.Path) {
		u.Page(w, r, u.listing)
		return false
	}
	return true
}

// received is which files visitors have added, that others are not to see. A file
// that was changed since is its owner's. It is kept in a file, a line each.
type received struct {
	path string // "": nowhere

	mu    sync.Mutex
	size  int64 // of what was read of the file
	files map[string]stamp
}

// stamp tells whether a file is the one that was added.
type stamp struct {
	Size  int64 `json:"size"`
	MTime int64 `json:"mtime_ns"`
}

type receivedLine struct {
	Name string `json:"name"`
	stamp
}

func openReceived(path string) *received {
	r := &received{path: path, files: map[string]stamp{}}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.readLocked()
	return r
}

// readLocked reads what has been added to the file: by the process before this
// one, which may be finishing an upload.
func (r *received) readLocked() {
	if r.path == "" {
		return
	}
	info, err := os.Stat(r.path)
	if err != nil || info.Size() == r.size {
		return
	}
	f, err := os.Open(r.path)
	if err != nil {
		return
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var l receivedLine
		if json.Unmarshal(lines.Bytes(), &l) == nil {
			r.files[l.Name] = l.stamp
		}
	}
	r.size = info.Size()
}

func stampOf(info fs.FileInfo) stamp { return stamp{info.Size(), info.ModTime().UnixNano()} }

// add notes a file before it can be seen.
func (r *received) add(name string, info fs.FileInfo) {
	r.mu.Lock()
	defer r.mu.Unlock()
	name = strings.TrimPrefix(name, "/")
	r.files[name] = stampOf(info)
	if r.path == "" {
		return
	}
	line, err := json.Marshal(receivedLine{name, stampOf(info)})
	if err == nil {
		err = appendLine(r.path, line)
	}
	if err != nil {
		slog.Error("a file that was added can be seen by others after this process", "error", err)
	}
}

func appendLine(path string, line []byte) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(append(line, '\n'))
	return errors.Join(err, f.Sync(), f.Close())
}

// has reports whether a file is one that a visitor has added.
func (r *received) has(name string, info fs.FileInfo) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.readLocked()
	s, ok := r.files[name]
	return ok && s == stampOf(info)
}
