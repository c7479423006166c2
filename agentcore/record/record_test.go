package record

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sharetray/agentcore/share"
	"sharetray/agentcore/store"
)

func sample(link string) Record {
	name, err := share.ParseName("photos")
	if err != nil {
		panic(err)
	}
	return Record{Share: name, PID: 4711, Started: "boot/123", Nonce: "ABCDEFGHIJKLMNOPQRSTUVWXYZ", Link: link,
		Version: "1.2", Since: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
}

func TestWriteListRemove(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "state", "records")
	if list, err := List(dir); err != nil || len(list) > 0 {
		t.Errorf("without a folder: %v, %v", list, err)
	}
	for _, link := range []string{"/run/l/one", "/run/l/two", "/run/l/one"} { // the last replaces the first
		if err := Write(dir, sample(link)); err != nil {
			t.Fatal(err)
		}
	}
	list, err := List(dir)
	if err != nil || len(list) != 2 {
		t.Fatalf("%+v, %v", list, err)
	}
	for i, link := range []string{"/run/l/one", "/run/l/two"} {
		want := sample(link)
		want.Format = Format
		if f := list[i]; f.Err != nil || f.Path != Path(dir, link) || f.Record != want {
			t.Errorf("%+v, want %+v", f, want)
		}
	}
	for path, want := range map[string]os.FileMode{dir: 0o700, Path(dir, "/run/l/one"): 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", path, info, err)
		}
	}
	Remove(dir, "/run/l/one")
	Remove(dir, "/run/l/one") // it is gone: nothing to say
	Remove(dir, "/run/l/none")
	if list, err := List(dir); err != nil || len(list) != 1 || list[0].Record.Link != "/run/l/two" {
		t.Errorf("%+v, %v", list, err)
	}
}

// TestTruncated: a record of which any number of bytes is missing is not one.
func TestTruncated(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := sample("/run/l/one")
	if err := Write(dir, r); err != nil {
		t.Fatal(err)
	}
	path := Path(dir, r.Link)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for n := range len(whole) - 1 { // the last byte is a line break
		if err := os.WriteFile(path, whole[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		if r, err := Read(path); err == nil || r != (Record{}) {
			t.Fatalf("%d of %d bytes are %+v, %v", n, len(whole), r, err)
		}
	}
}

// unusable are records that can't be used, and why.
var unusable = map[string]struct {
	change func(map[string]any) // of a good one
	want   string
}{
	"newer":                     {func(m map[string]any) { m["format"] = Format + 1 }, ErrNewer.Error()},
	"newer, of other types":     {func(m map[string]any) { m["format"] = Format + 1; m["pid"] = "4711"; m["share"] = 1 }, ErrNewer.Error()},
	"of other types":            {func(m map[string]any) { m["pid"] = "4711" }, "it is not a record"},
	"no format":                 {func(m map[string]any) { delete(m, "format") }, "not a whole record"},
	"no pid":                    {func(m map[string]any) { delete(m, "pid") }, "not a whole record"},
	"the first process":         {func(m map[string]any) { m["pid"] = 1 }, "not a whole record"},
	"a group":                   {func(m map[string]any) { m["pid"] = -4711 }, "not a whole record"},
	"no nonce":                  {func(m map[string]any) { m["nonce"] = "" }, "not a whole record"},
	"no start":                  {func(m map[string]any) { delete(m, "started") }, "not a whole record"},
	"no share":                  {func(m map[string]any) { delete(m, "share") }, "not a whole record"},
	"a share that can't be":     {func(m map[string]any) { m["share"] = "../x" }, "it is not a record"},
	"another's link":            {func(m map[string]any) { m["link"] = "/run/l/two" }, "the link of another"},
	"a link somewhere":          {func(m map[string]any) { m["link"] = "one" }, "the link of another"},
	"no link":                   {func(m map[string]any) { delete(m, "link") }, "the link of another"},
	"huge":                      {func(m map[string]any) { m["version"] = strings.Repeat("x", maxBytes) }, "it is not a record"},
	"with what nobody knows":    {func(m map[string]any) { m["colour"] = "red" }, ""},
	"the link in another place": {func(m map[string]any) { m["link"] = "/elsewhere/one" }, ""},
}

func TestUnusable(t *testing.T) {
	t.Parallel()
	for name, c := range unusable {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			r := sample("/run/l/one")
			if err := Write(dir, r); err != nil {
				t.Fatal(err)
			}
			path := Path(dir, r.Link)
			m := map[string]any{}
			data, err := os.ReadFile(path)
			if err == nil {
				err = json.Unmarshal(data, &m)
			}
			if err != nil {
				t.Fatal(err)
			}
			c.change(m)
			if data, err = json.Marshal(m); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
			list, err := List(dir)
			if err != nil || len(list) != 1 || list[0].Path != path {
				t.Fatalf("%+v, %v", list, err)
			}
			got := list[0].Err
			if c.want == "" {
				if got != nil {
					t.Errorf("it can't be used: %v", got)
				}
				return
			}
			if got == nil || !strings.Contains(got.Error(), c.want) || list[0].Record != (Record{}) {
				t.Errorf("%+v; want an error with %q", list[0], c.want)
			}
		})
	}
}

// TestListLooksAtRecordsOnly: neither at what an interrupted write has left, nor
// at what somebody else keeps there.
func TestListLooksAtRecordsOnly(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{".sharetray-1.tmp", "notes.txt", "one"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if list, err := List(dir); err != nil || len(list) > 0 {
		t.Errorf("%+v, %v", list, err)
	}
	if list, err := List(filepath.Join(dir, "one")); err == nil {
		t.Errorf("a file is a folder of records: %v", list)
	}
}

// TestPlaces: only a file that is this user's alone is read.
func TestPlaces(t *testing.T) {
	t.Parallel()
	good := func(t *testing.T, dir string) string {
		t.Helper()
		if err := Write(dir, sample("/run/l/one")); err != nil {
			t.Fatal(err)
		}
		return Path(dir, "/run/l/one")
	}
	for name, c := range map[string]struct {
		spoil func(path string) error
		want  string
	}{
		"a link": {func(path string) error {
			return errors.Join(os.Rename(path, path+".real"), os.Symlink(path+".real", path))
		}, "it is not a file but"},
		"a folder":         {func(path string) error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o700)) }, "it is not a file but"},
		"others may write": {func(path string) error { return os.Chmod(path, 0o602) }, ErrForeign.Error()},
		"so may the group": {func(path string) error { return os.Chmod(path, 0o660) }, ErrForeign.Error()},
		"others may read":  {func(path string) error { return os.Chmod(path, 0o644) }, ""},
		"another user's": {func(path string) error {
			if os.Geteuid() != 0 {
				return os.Chmod(path, 0o606) // giving a file away takes root
			}
			return os.Chown(path, 65534, 65534)
		}, ErrForeign.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			path := good(t, t.TempDir())
			if err := c.spoil(path); err != nil {
				t.Fatal(err)
			}
			_, err := Read(path)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if c.want == ErrForeign.Error() && !errors.Is(err, ErrForeign) {
				t.Errorf("%v is not ErrForeign", err)
			}
		})
	}
}

// TestWriteFails: what stands in the way is told, and what was there stays.
func TestWriteFails(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Write(file, sample("/run/l/one")); err == nil {
		t.Error("a record was written into a file")
	}
	if err := os.MkdirAll(filepath.Join(Path(dir, "/run/l/one"), "full"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := Write(dir, sample("/run/l/one")); err == nil {
		t.Error("a folder was replaced by a record")
	}
	left, err := filepath.Glob(filepath.Join(dir, ".*"))
	if err != nil || len(left) > 0 {
		t.Errorf("it leaves %v, %v", left, err)
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "mine" {
		t.Errorf("%q, %v", b, err)
	}
}

// TestRevivals: what is kept is a count; anything else is none.
func TestRevivals(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "revive")
	if got := Revivals(path); got != 0 {
		t.Errorf("without a file: %d", got)
	}
	for content, want := range map[string]int{"": 0, "3\n": 3, " 4 ": 4, "x": 0, "1 2": 0} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := Revivals(path); got != want {
			t.Errorf("%q: %d, want %d", content, got, want)
		}
	}
	for _, n := range []int{12, 3, 0} {
		if err := SetRevivals(path, n); err != nil || Revivals(path) != n {
			t.Errorf("%d became %d, %v", n, Revivals(path), err)
		}
	}
}

// versions are two that a writer alternates between, of quite different length.
func versions() [2]Record {
	a, b := sample("/run/l/one"), sample("/run/l/one")
	b.Version = strings.Repeat("another version ", 2000)
	a.Format, b.Format = Format, Format
	return [2]Record{a, b}
}

// mustBeWhole wants the only record in dir to be one of the two.
func mustBeWhole(t *testing.T, dir string) {
	t.Helper()
	list, err := List(dir)
	if err != nil || len(list) != 1 || list[0].Err != nil {
		t.Fatalf("%d records, %v: %v", len(list), err, fmt.Sprint(list)[:min(200, len(fmt.Sprint(list)))])
	}
	if v := versions(); list[0].Record != v[0] && list[0].Record != v[1] {
		t.Fatalf("neither of the two: pid %d", list[0].Record.PID)
	}
}

func cleanUp(t *testing.T, dir string) {
	t.Helper()
	if err := store.CleanUp(dir); err != nil {
		t.Fatal(err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("there is %v, %v", entries, err)
	}
}
