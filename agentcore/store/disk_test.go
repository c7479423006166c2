package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"sharetray/agentcore/share"
)

// faultyDisk does what the real one does until operation number `at`, and fails
// that one. What a real disk only promises after a sync it forgets in a crash.
type faultyDisk struct {
	at    int    // the operation that fails, from 1; 0: none
	how   string // "error", "full", "short", "crash"
	ops   int
	names []string // of the operations so far

	crashed  bool
	unsynced map[string]bool // files whose content is not on disk
	undo     []func()        // renames and removals that a folder's sync has not confirmed
}

var errFault = errors.New("the disk failed")

// step counts an operation and returns its fate.
func (d *faultyDisk) step(name string) error {
	if d.crashed {
		return errFault
	}
	d.ops++
	d.names = append(d.names, name)
	if d.ops != d.at {
		return nil
	}
	switch d.how {
	case "full":
		return &fs.PathError{Op: name, Path: "x", Err: syscall.ENOSPC}
	case "crash":
		d.crashed = true
	}
	return errFault
}

// losePower forgets what was not synced. A rename that no folder's sync has
// confirmed may be on disk or not; forget says which.
func (d *faultyDisk) losePower(forget bool) {
	for path := range d.unsynced {
		if info, err := os.Stat(path); err == nil {
			_ = os.Truncate(path, info.Size()/2)
		}
	}
	for i := len(d.undo) - 1; forget && i >= 0; i-- {
		d.undo[i]()
	}
}

func (d *faultyDisk) disk() disk {
	d.unsynced = map[string]bool{}
	d.undo = nil
	return disk{
		mkdirAll: func(path string, mode fs.FileMode) error {
			if err := d.step("mkdir"); err != nil {
				return err
			}
			return os.MkdirAll(path, mode)
		},
		create: func(dir, pattern string) (file, error) {
			if err := d.step("create"); err != nil {
				return nil, err
			}
			f, err := os.CreateTemp(dir, pattern)
			if err != nil {
				return nil, err
			}
			d.unsynced[f.Name()] = true
			return &faultyFile{f, d}, nil
		},
		rename: func(from, to string) error {
			if err := d.step("rename"); err != nil {
				return err
			}
			d.remember(to)
			if d.unsynced[from] {
				d.unsynced[to] = true
			}
			return os.Rename(from, to)
		},
		remove: func(path string) error {
			if err := d.step("remove"); err != nil {
				return err
			}
			d.remember(path)
			return os.Remove(path)
		},
		syncDir: func(string) error {
			if err := d.step("sync folder"); err != nil {
				return err
			}
			d.undo = nil
			return nil
		},
	}
}

// remember notes how to put path back as it is now.
func (d *faultyDisk) remember(path string) {
	old, err := os.ReadFile(path)
	d.undo = append(d.undo, func() {
		if err != nil {
			_ = os.Remove(path)
			return
		}
		_ = os.WriteFile(path, old, 0o600)
	})
}

type faultyFile struct {
	*os.File
	disk *faultyDisk
}

func (f *faultyFile) Chmod(mode fs.FileMode) error {
	if err := f.disk.step("chmod"); err != nil {
		return err
	}
	return f.File.Chmod(mode)
}

func (f *faultyFile) Write(data []byte) (int, error) {
	if err := f.disk.step("write"); err != nil {
		n, _ := f.File.Write(data[:len(data)/2])
		if f.disk.how == "short" {
			err = nil
		}
		return n, err
	}
	return f.File.Write(data)
}

func (f *faultyFile) Sync() error {
	if err := f.disk.step("sync"); err != nil {
		return err
	}
	delete(f.disk.unsynced, f.Name())
	return nil // the page cache is enough for a test
}

func (f *faultyFile) Close() error {
	err := f.disk.step("close")
	return errors.Join(err, f.File.Close())
}

// actions are the changes that a store makes, each with what the file of the
// share "photos" must hold after it: wholly that, or wholly what it held before.
var actions = []struct {
	name, before string
	do           func(*Store, share.Share) error
	after        func(share.Share) string
}{
	{"create", "", (*Store).Create, func(s share.Share) string { return string(share.Encode(s)) }},
	{"update", photosFile,
		func(s *Store, sh share.Share) error {
			_, err := s.Update(sh.Name, map[string]string{"port": "99"})
			return err
		},
		func(share.Share) string { return strings.Replace(photosFile, "8080", "99", 1) }},
	{"remove", photosFile,
		func(s *Store, sh share.Share) error { return s.Remove(sh.Name) },
		func(share.Share) string { return "" }},
}

func TestEveryFaultLeavesOldOrNew(t *testing.T) {
	t.Parallel()
	photos := share.Defaults(share.Web)
	photos.Name, photos.Target, photos.Port = name(t, "photos"), "/srv/photos", 8080

	for _, action := range actions {
		for _, how := range []string{"error", "full", "short", "crash"} {
			for _, forget := range []bool{false, true} {
				total := 1
				for n := 0; n <= total; n++ {
					t.Run(fmt.Sprintf("%s/%s/%d/forget=%t", action.name, how, n, forget), func(t *testing.T) {
						dir := filepath.Join(t.TempDir(), "shares")
						s := mustOpen(t, dir)
						if action.before != "" {
							put(t, s.path("photos"), action.before)
						}
						d := &faultyDisk{at: n, how: how}
						s.disk = d.disk()
						err := action.do(s, photos)
						if n == 0 {
							total = d.ops
						}
						old, now, updated := action.before, content(t, s.path("photos")), action.after(photos)

						if (err != nil) != (n > 0) {
							t.Fatalf("operation %d of %v failed, and the answer is %v", n, d.names, err)
						}
						if now != old && now != updated {
							t.Fatalf("neither old nor new:\n%s", now)
						}
						if err == nil && now != updated {
							t.Fatalf("said to be done, but the file holds\n%s", now)
						}
						if err != nil && strings.Contains(err.Error(), "nothing was changed") && now != old {
							t.Fatalf("%v, but the file holds\n%s", err, now)
						}
						if how == "full" && err != nil && now == old && d.names[n-1] != "mkdir" && action.name != "remove" &&
							!strings.HasPrefix(err.Error(), "the disk is full: ") {
							t.Fatalf("a full disk is told as %v", err)
						}
						if left := temporaries(t, dir); how != "crash" && len(left) > 0 {
							t.Fatalf("left behind: %v", left)
						}

						d.losePower(forget)
						s = mustOpen(t, dir)
						now = content(t, s.path("photos"))
						if now != old && now != updated {
							t.Fatalf("after the crash neither old nor new:\n%s", now)
						}
						if err == nil && now != updated {
							t.Fatal("it was said to be done, and the crash undid it")
						}
						if left := temporaries(t, dir); len(left) > 0 {
							t.Fatalf("Open left %v", left)
						}
					})
				}
				if total < 2 {
					t.Fatalf("%s: the faulty disk was not used", action.name)
				}
			}
		}
	}
}

func TestWriteFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "record")
	for _, text := range []string{"one", "another, longer", ""} {
		if err := WriteFile(path, []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
		if got := get(t, path); got != text {
			t.Errorf("got %q, want %q", got, text)
		}
	}
	if got := mode(t, path); got != "-rw-r-----" {
		t.Errorf("mode %s", got)
	}
	if err := WriteFile(filepath.Join(path, "x"), nil, 0o600); err == nil || !strings.Contains(err.Error(), "nothing was changed") {
		t.Errorf("into a folder that is a file: %v", err)
	}
}

func content(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return string(data)
}

func temporaries(t *testing.T, dir string) []string {
	t.Helper()
	left, err := filepath.Glob(filepath.Join(dir, temporaryPrefix+"*"))
	if err != nil {
		t.Fatal(err)
	}
	return left
}
