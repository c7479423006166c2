package process

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// What becomes of a file between the moment in which it is asked for and the one
// in which it is read.
func TestFileChangesBeforeItIsRead(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		change func(name string) error
		want   string // "": it is gone
	}{
		"nothing": {func(string) error { return nil }, "old"},
		"replaced": {func(name string) error {
			return errors.Join(os.WriteFile(name+".new", []byte("another"), 0o600), os.Rename(name+".new", name))
		}, "another"},
		"removed":  {os.Remove, ""},
		"a folder": {func(name string) error { return errors.Join(os.Remove(name), os.Mkdir(name, 0o700)) }, ""},
		"withheld": {func(name string) error {
			return errors.Join(os.WriteFile(name+".new", []byte("nobody's"), 0o640), os.Chmod(name+".new", 0o640), os.Rename(name+".new", name))
		}, ""},
		"a link out": {func(name string) error { return errors.Join(os.Remove(name), os.Symlink("/etc/passwd", name)) }, ""},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			if runtime.GOOS == "windows" && what == "a link out" {
				t.Skip("making links takes a right there")
			}
			dir := t.TempDir()
			path := filepath.Join(dir, "a")
			if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
				t.Fatal(err)
			}
			f := newFolder(dir, false, func() {})
			f.withheld = func(_ string, info fs.FileInfo) bool { return info.Mode().Perm() == 0o640 }
			file, err := f.Open("a")
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			if info, err := file.Stat(); err != nil || info.Size() != 3 {
				t.Fatal(info, err)
			}
			if err := c.change(path); err != nil {
				t.Fatal(err)
			}
			end, err := file.(io.Seeker).Seek(0, io.SeekEnd)
			if c.want == "" {
				if b, _ := io.ReadAll(file); err == nil || len(b) > 0 {
					t.Errorf("%q is read, %v", b, err)
				}
				return
			}
			if _, back := file.(io.Seeker).Seek(0, io.SeekStart); err != nil || back != nil || end != int64(len(c.want)) {
				t.Fatal(end, err, back)
			}
			if b, err := io.ReadAll(file); string(b) != c.want || err != nil {
				t.Errorf("%q is read, %v", b, err)
			}
		})
	}
}
