package process

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"sharetray/platform"
)

// folderTrust is how long a folder that was found in its place is believed to
// be there still. It bounds the cost of looking to 50 stats a second, and the
// time in which a folder that was moved away can still be read at all. What is
// read in that time is the folder that was shared, never another.
const folderTrust = 20 * time.Millisecond

// folder is a shared folder as a file system. It can't be left: not by dots,
// not by symbolic links (os.Root). Names that begin with a dot do not exist,
// unless hidden files are shared too.
//
// The folder is whatever directory stands at its path. One that disappears is
// not served until there is one again; one that is replaced, as build tools
// do, is served anew.
type folder struct {
	path   string
	hidden bool
	change func() // the error has changed
	// private names, if set, are nobody's to see, hidden files shared or not.
	private func(element string) bool
	// withheld files, if set, are not there for visitors.
	withheld func(name string, info fs.FileInfo) bool

	root    atomic.Pointer[os.Root]
	checked atomic.Int64 // when it was last found in its place, monotonic
	err     atomic.Pointer[string]

	mu       sync.Mutex
	identity os.FileInfo
	wasLink  bool // path was a symbolic link when it was first opened
	opened   bool
}

func newFolder(path string, hidden bool, change func()) *folder {
	f := &folder{path: path, hidden: hidden, change: change}
	f.look()
	return f
}

var processStart = time.Now()

// trusted looks after the folder if the last look is too old, and reports
// whether it can be served.
func (f *folder) trusted() bool {
	if int64(time.Since(processStart))-f.checked.Load() > int64(folderTrust) {
		f.look()
	}
	return f.root.Load() != nil
}

// look makes root the directory that stands at path now, or nil.
func (f *folder) look() {
	f.mu.Lock()
	sentence := f.lookLocked()
	f.checked.Store(int64(time.Since(processStart)))
	old := f.err.Swap(&sentence)
	f.mu.Unlock()
	if (old == nil && sentence != "") || (old != nil && *old != sentence) {
		f.change()
	}
}

func (f *folder) lookLocked() string {
	now, err := os.Stat(f.path)
	if err == nil && f.identity != nil && os.SameFile(now, f.identity) && f.root.Load() != nil {
		return ""
	}
	// The old root is not closed: a request may be using it. Its finalizer does.
	f.root.Store(nil)
	f.identity = nil
	switch {
	case err != nil && os.IsPermission(err):
		return fmt.Sprintf("the folder %s can't be read: permission denied", f.path)
	case err != nil && os.IsNotExist(err):
		return fmt.Sprintf("the folder %s does not exist", f.path)
	case err != nil:
		return fmt.Sprintf("the folder %s can't be read: %v", f.path, cause(err))
	case !now.IsDir():
		return fmt.Sprintf("%s is not a folder", f.path)
	}
	// A link that is made to point elsewhere is meant so. A folder that has
	// become a link leads to what nobody has shared.
	isLink := false
	if there, err := os.Lstat(f.path); err == nil {
		isLink = there.Mode()&fs.ModeSymlink != 0
	}
	if f.opened && isLink && !f.wasLink {
		return fmt.Sprintf("%s was a folder and is a link to another now: restart the share if that is meant", f.path)
	}
	root, err := os.OpenRoot(f.path)
	if err != nil {
		return fmt.Sprintf("the folder %s can't be read: %v", f.path, cause(err))
	}
	opened, err := root.Stat(".")
	if err != nil || !os.SameFile(opened, now) {
		root.Close()
		return fmt.Sprintf("the folder %s is being replaced", f.path)
	}
	f.identity, f.opened, f.wasLink = opened, true, isLink
	f.root.Store(root)
	return ""
}

func (f *folder) targetError() string {
	if s := f.err.Load(); s != nil {
		return *s
	}
	return ""
}

// Open opens a name for reading, with the path separators of the system.
func (f *folder) Open(name string) (fs.File, error) {
	if !f.hidden && hidesIn(name) || f.isPrivate(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	root := f.root.Load()
	if root == nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	var known fs.FileInfo
	if !f.hidden {
		var leads bool
		if leads, known = f.leadsToHidden(root, name); leads {
			return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
		}
	}
	if known != nil && known.Mode().IsRegular() && platform.OwnAndReadable(known) {
		if f.withheld != nil && f.withheld(filepath.ToSlash(name), known) {
			return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
		}
		return &lazyFile{folder: f, name: name, info: known}, nil
	}
	file, err := root.OpenFile(name, os.O_RDONLY|platform.OpenNoWait, 0)
	if err != nil && !errors.Is(err, fs.ErrPermission) {
		// Links that lead out or in circles, sockets, names that are too long:
		// whatever it is, there is nothing here for a visitor.
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err != nil {
		file.Close()
		return nil, err
	}
	switch {
	case info.Mode().IsRegular() && f.withheld != nil && f.withheld(filepath.ToSlash(name), info):
		// Nobody's to see but its owner's.
	case info.Mode().IsRegular():
		return openFile{file, info}, nil
	case info.IsDir():
		return openDir{File: file, folder: f, name: name}, nil
	}
	file.Close() // a pipe or a device is nobody's download, and may never end
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

// isPrivate reports whether an element of name is private.
func (f *folder) isPrivate(name string) bool {
	return f.private != nil && slices.ContainsFunc(strings.FieldsFunc(name, func(r rune) bool { return r == '/' || r == filepath.Separator }), f.private)
}

// leadsToHidden reports whether a symbolic link on the way of name ends at
// something hidden. Names without links, which is nearly all, cost an lstat for
// each element; info is the last one's, and nil if there is a link.
func (f *folder) leadsToHidden(root *os.Root, name string) (leads bool, info fs.FileInfo) {
	for i := range len(name) + 1 {
		if i < len(name) && name[i] != '/' && name[i] != filepath.Separator || i == 0 {
			continue
		}
		var err error
		if info, err = root.Lstat(name[:i]); err != nil {
			return false, nil // opening it says what is wrong
		}
		if info.Mode()&fs.ModeSymlink == 0 {
			continue
		}
		top, err := filepath.EvalSymlinks(f.path)
		if err != nil {
			return true, nil
		}
		real, err := filepath.EvalSymlinks(filepath.Join(f.path, name))
		if err != nil {
			return true, nil
		}
		within, err := filepath.Rel(top, real)
		return err != nil || hidesIn(within), nil
	}
	return false, info
}

// hidesIn reports whether an element of name begins with a dot.
func hidesIn(name string) bool {
	if name == "." || name == "" {
		return false
	}
	if name[0] == '.' || strings.Contains(name, "/.") {
		return true
	}
	return filepath.Separator != '/' && strings.Contains(name, string(filepath.Separator)+".")
}

// openFile is a file whose information is known already. It is a syscall.Conn
// through os.File, which is what sendfile wants.
type openFile struct {
	*os.File
	info os.FileInfo
}

func (f openFile) Stat() (fs.FileInfo, error) { return f.info, nil }

// lazyFile is a file that is opened when it is first read: Caddy's file server
// opens every file twice, and the first time only asks how large it is. It is for
// one goroutine.
type lazyFile struct {
	folder *folder
	name   string
	info   fs.FileInfo
	file   *os.File // nil: not opened yet
}

var (
	_ io.ReadSeeker = (*lazyFile)(nil)
	_ syscall.Conn  = (*lazyFile)(nil) // which is what sendfile wants
)

func (f *lazyFile) Stat() (fs.FileInfo, error) { return f.info, nil }

func (f *lazyFile) open() error {
	if f.file != nil {
		return nil
	}
	gone := &fs.PathError{Op: "open", Path: f.name, Err: fs.ErrNotExist}
	root := f.folder.root.Load()
	if root == nil {
		return gone
	}
	file, err := root.OpenFile(f.name, os.O_RDONLY|platform.OpenNoWait, 0)
	if err != nil {
		return err
	}
	// Another one may have taken its place meanwhile.
	info, err := file.Stat()
	if err == nil && (!info.Mode().IsRegular() || f.folder.withheld != nil && f.folder.withheld(filepath.ToSlash(f.name), info)) {
		err = gone
	}
	if err != nil {
		file.Close()
		return err
	}
	f.file, f.info = file, info
	return nil
}

func (f *lazyFile) Read(b []byte) (int, error) {
	if err := f.open(); err != nil {
		return 0, err
	}
	return f.file.Read(b)
}

func (f *lazyFile) Seek(offset int64, whence int) (int64, error) {
	if err := f.open(); err != nil {
		return 0, err
	}
	return f.file.Seek(offset, whence)
}

func (f *lazyFile) SyscallConn() (syscall.RawConn, error) {
	if err := f.open(); err != nil {
		return nil, err
	}
	return f.file.SyscallConn()
}

func (f *lazyFile) Close() error {
	if f.file == nil {
		return nil
	}
	return f.file.Close()
}

// openDir is a directory whose listing leaves hidden names out.
type openDir struct {
	*os.File
	folder *folder
	name   string
}

func (d openDir) ReadDir(n int) ([]fs.DirEntry, error) {
	entries, err := d.File.ReadDir(n)
	if d.folder.hidden && d.folder.private == nil && d.folder.withheld == nil {
		return entries, err
	}
	kept := entries[:0]
	for _, e := range entries {
		if (d.folder.hidden || !strings.HasPrefix(e.Name(), ".")) && !d.folder.isPrivate(e.Name()) && !d.withholds(e) {
			kept = append(kept, e)
		}
	}
	return kept, err
}

// withholds reports whether an entry of the folder is not for visitors.
func (d openDir) withholds(e fs.DirEntry) bool {
	if d.folder.withheld == nil || !e.Type().IsRegular() {
		return false
	}
	info, err := e.Info()
	return err == nil && d.folder.withheld(path.Join(filepath.ToSlash(d.name), e.Name()), info)
}

// has reports whether there is something for visitors at a path of a URL.
func (f *folder) has(urlPath string) bool {
	name := strings.TrimPrefix(path.Clean("/"+urlPath), "/")
	if name == "" {
		name = "."
	}
	file, err := f.Open(filepath.FromSlash(name))
	if err == nil {
		file.Close()
	}
	return err == nil
}

// cause is the innermost reason, without the path that the sentence names.
func cause(err error) error {
	if pe, ok := err.(*fs.PathError); ok {
		return pe.Err
	}
	return err
}
