// Package store keeps shares on disk: one TOML file each, in one folder, made
// to be edited by hand as well. It writes so that no crash or full disk can
// harm a file, reports files that can't be used without touching them, and
// notices what people change. It keeps the settings too.
//
// It must not know what a share does, whether it runs, or who asks.
package store

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"sharetray/agentcore/problem"
	"sharetray/agentcore/pulse"
	"sharetray/agentcore/share"
	"sharetray/agentcore/share/schema"
)

// Entry is one file of the store.
type Entry struct {
	Name  string      // the file's name without ".toml"; a valid share.Name unless Err says otherwise
	File  string      // its path
	Share share.Share // zero when Err is set
	Err   error       // a Problem: why the file can't be used
}

// Store is a folder of shares. Its methods may be called at the same time; of
// processes that write to the folder there should be one.
type Store struct {
	dir    string
	disk   disk
	settle time.Duration        // how long the folder must be quiet before Watch reads it
	poll   func() time.Duration // when Watch looks without having been told

	writing sync.Mutex // Create, Update and Remove read, decide, and write
}

const extension = ".toml"

// Open returns the store in dir, which it creates if need be, and removes what
// a crash in the middle of a write has left there.
func Open(dir string) (*Store, error) { return open(dir, realDisk) }

func open(dir string, d disk) (*Store, error) {
	dir = filepath.Clean(dir)
	s := &Store{dir: dir, disk: d, settle: 100 * time.Millisecond, poll: pulse.Next}
	if err := s.makeDir(); err != nil {
		return nil, err
	}
	if err := d.removeTemporaries(dir); err != nil {
		return nil, problem.New(problem.Internal, "the folder of shares %s could not be cleaned up: %w", dir, err)
	}
	return s, nil
}

// Read returns what Load does of the store in dir, and changes nothing there.
func Read(dir string) ([]Entry, error) { return (&Store{dir: filepath.Clean(dir)}).Load() }

func (s *Store) makeDir() error {
	if err := s.disk.mkdirAll(s.dir, 0o700); err != nil {
		return problem.New(problem.Internal, "the folder of shares %s could not be made: %w", s.dir, err)
	}
	return nil
}

// Load reads every share, in the order of their names. A file that can't be
// used is an Entry with Err. The error is for the folder as a whole; a folder
// that does not exist has no shares.
func (s *Store) Load() ([]Entry, error) {
	files, err := s.files()
	if err != nil {
		return nil, err
	}
	entries := make([]Entry, 0, len(files))
	for _, name := range files {
		e := Entry{Name: name, File: s.path(name)}
		if i := slices.IndexFunc(entries, func(earlier Entry) bool { return strings.EqualFold(earlier.Name, name) }); i >= 0 {
			e.Err = problem.New(problem.Conflict, "%s is named like %s but for upper and lower case: rename one of the two", filepath.Base(e.File), filepath.Base(entries[i].File))
		} else {
			_, e.Share, e.Err = load(e.File, name)
		}
		if _, err := os.Lstat(e.File); e.Err != nil && errors.Is(err, fs.ErrNotExist) {
			continue // removed since the folder was listed
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// Create adds a share. It is a Problem of code Exists when there is one of the
// same name, even one whose file can't be used.
func (s *Store) Create(sh share.Share) error {
	if err := sh.Validate(); err != nil {
		return err
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	if err := s.makeDir(); err != nil {
		return err
	}
	switch taken, err := s.find(sh.Name); {
	case err == nil:
		return problem.New(problem.Exists, "there is a share %q already: choose another name with --name, or change it with `sharetray set`", taken)
	case !problem.Is(err, problem.NotFound):
		return err
	}
	return s.disk.write(s.path(sh.Name.String()), share.Encode(sh), 0o600)
}

// Restore writes the file of a share that was removed as it was, byte for byte. It
// is a Problem of code Exists when there is another one of that name by now.
func (s *Store) Restore(name share.Name, file []byte) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	if err := s.makeDir(); err != nil {
		return err
	}
	switch taken, err := s.find(name); {
	case err == nil:
		return problem.New(problem.Exists, "there is another share %q by now: rename or remove it first", taken)
	case !problem.Is(err, problem.NotFound):
		return err
	}
	return s.disk.write(s.path(name.String()), file, 0o600)
}

// Update changes values of a share, given as text by key, in its file, and
// leaves the rest of the file as it is. A file that is not valid is left alone.
// The name's case does not count.
func (s *Store) Update(name share.Name, changes map[string]string) (share.Share, error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	file, err := s.find(name)
	if err != nil {
		return share.Share{}, err
	}
	path := s.path(file)
	data, old, err := load(path, file)
	if err != nil {
		return share.Share{}, problem.New(problem.Conflict, "%q can't be changed while its file is not valid (%w): mend it with `sharetray edit %[1]q`", file, err)
	}
	data, changed, err := share.Edit(filepath.Base(path), old.Name, data, changes)
	if err != nil {
		return share.Share{}, err
	}
	// A link to a file elsewhere, as people keep them under version control,
	// stays one.
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return share.Share{}, saveFailed(s.path(file), err)
	}
	if err := s.disk.write(path, data, 0o600); err != nil {
		return share.Share{}, err
	}
	return changed, nil
}

// Remove removes a share's file, valid or not. The name's case does not count.
func (s *Store) Remove(name share.Name) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	file, err := s.find(name)
	if err != nil {
		return err
	}
	if err := s.disk.remove(s.path(file)); err != nil {
		return problem.New(problem.Internal, "the share %q could not be removed: %w", file, err)
	}
	if err := s.disk.syncDir(s.dir); err != nil {
		return problem.New(problem.Internal, "the share %q was removed, but the disk did not confirm it, so a power cut may undo that: check the disk (%w)", file, err)
	}
	return nil
}

// files are the names, without extension, of the files that count: not hidden
// ones, nor what editors and writes in progress leave beside them.
func (s *Store) files() ([]string, error) {
	all, err := os.ReadDir(s.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, problem.New(problem.Internal, "the folder of shares %s can't be read: %w", s.dir, err)
	}
	var names []string
	for _, f := range all {
		if name, ok := strings.CutSuffix(f.Name(), extension); ok && !strings.HasPrefix(name, ".") && name != "" {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(strings.Compare(strings.ToLower(a), strings.ToLower(b)), strings.Compare(a, b))
	})
	return names, nil
}

// find returns how the file of a share is really named, without extension: as
// given, or else in other case.
func (s *Store) find(name share.Name) (string, error) {
	files, err := s.files()
	if err != nil {
		return "", err
	}
	if slices.Contains(files, name.String()) {
		return name.String(), nil
	}
	for _, f := range files {
		if strings.EqualFold(f, name.String()) {
			return f, nil
		}
	}
	return "", problem.New(problem.NotFound, "there is no share %q: `sharetray list` shows those there are", name)
}

func (s *Store) path(name string) string { return filepath.Join(s.dir, name+extension) }

// load reads one share, and the text that says it. Its errors are Problems.
func load(path, name string) ([]byte, share.Share, error) {
	parsed, err := share.ParseName(name)
	if err != nil {
		return nil, share.Share{}, problem.New(problem.Invalid, "the file %q can't be a share: %w", filepath.Base(path), err)
	}
	data, err := read(path)
	if err != nil {
		return nil, share.Share{}, err
	}
	s, err := share.Decode(filepath.Base(path), parsed, data)
	return data, s, err
}

// read returns the content of a small regular file. It is asked what it is
// before it is opened, since opening a pipe waits for a writer.
func read(path string) ([]byte, error) {
	base := filepath.Base(path)
	info, err := os.Stat(path)
	if err != nil {
		return nil, unreadable(base, err)
	}
	if !info.Mode().IsRegular() {
		return nil, problem.New(problem.Invalid, "%s is not a file but a %s: remove it, or rename it", base, kindOf(info.Mode()))
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, unreadable(base, err)
	}
	defer func() { _ = f.Close() }() // nothing was written
	data, err := io.ReadAll(io.LimitReader(f, schema.MaxBytes+1))
	if err != nil {
		return nil, unreadable(base, err)
	}
	if len(data) > schema.MaxBytes {
		return nil, schema.TooLarge(base)
	}
	return data, nil
}

func unreadable(base string, err error) error {
	cause := err
	if path := new(fs.PathError); errors.As(err, &path) {
		cause = path.Err // the path is in base
	}
	return problem.New(problem.Invalid, "%s can't be read: %w; let this user read it, or remove it", base, cause)
}

func kindOf(mode fs.FileMode) string {
	if mode.IsDir() {
		return "folder"
	}
	return fmt.Sprintf("special file (%s)", mode.Type())
}
