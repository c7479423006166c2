package store

import (
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"sharetray/agentcore/problem"
	"sharetray/agentcore/share"
	"sharetray/agentcore/share/schema"
)

const photosFile = "# by hand\nkind = \"web\"\ntarget = \"/srv/photos\" # all of them\nport = 8080\n"

func TestCreateUpdateRemove(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "sharetray", "shares")
	s := mustOpen(t, dir)
	app := share.Defaults(share.Proxy)
	app.Name, app.Target, app.Port = name(t, "My App (dev)"), "http://127.0.0.1:3000", 8080
	if err := s.Create(app); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "My App (dev).toml")
	if runtime.GOOS != "windows" {
		if got := []string{mode(t, dir), mode(t, file)}; !slices.Equal(got, []string{"drwx------", "-rw-------"}) {
			t.Errorf("modes %v", got)
		}
	}
	if got := mustLoad(t, s); len(got) != 1 || got[0] != (Entry{Name: "My App (dev)", File: file, Share: app}) {
		t.Fatalf("got %+v", got)
	}

	app.Port = 0
	app.Name = name(t, "MY APP (DEV)")
	if err := s.Create(app); problem.CodeOf(err) != problem.Exists || !strings.Contains(err.Error(), "--name") {
		t.Errorf("a second share of that name: %v", err)
	}
	got, err := s.Update(app.Name, map[string]string{"port": "9090", "reach": "lan"})
	if err != nil || got.Port != 9090 || got.Reach != share.LAN || got.Name.String() != "My App (dev)" {
		t.Errorf("got %+v, %v", got, err)
	}
	if loaded := mustLoad(t, s); loaded[0].Share != got {
		t.Errorf("on disk is %+v, not %+v", loaded[0].Share, got)
	}
	if err := s.Remove(app.Name); err != nil {
		t.Fatal(err)
	}
	if left := listing(t, dir); len(left) != 0 {
		t.Errorf("left over: %v", left)
	}
	for what, err := range map[string]error{
		"remove": s.Remove(app.Name),
		"update": second(s.Update(app.Name, map[string]string{"port": "1"})),
	} {
		if problem.CodeOf(err) != problem.NotFound {
			t.Errorf("%s of a share that is gone: %v", what, err)
		}
	}
}

func TestCreateRefusesWhatIsNotValid(t *testing.T) {
	t.Parallel()
	s := mustOpen(t, t.TempDir())
	if err := s.Create(share.Share{}); problem.CodeOf(err) != problem.Invalid {
		t.Errorf("got %v", err)
	}
	put(t, s.path("Broken"), "kind =")
	bad := share.Defaults(share.Web)
	bad.Name, bad.Target = name(t, "broken"), "/srv"
	if err := s.Create(bad); problem.CodeOf(err) != problem.Exists {
		t.Errorf("a share whose file is not valid was made again: %v", err)
	}
}

func TestUpdateKeepsTheUsersFile(t *testing.T) {
	t.Parallel()
	s := mustOpen(t, t.TempDir())
	put(t, s.path("photos"), photosFile)
	if _, err := s.Update(name(t, "photos"), map[string]string{"port": "99"}); err != nil {
		t.Fatal(err)
	}
	want := strings.Replace(photosFile, "8080", "99", 1)
	if got := get(t, s.path("photos")); got != want {
		t.Errorf("got\n%s", got)
	}
	if _, err := s.Update(name(t, "photos"), map[string]string{"port": "99999"}); problem.CodeOf(err) != problem.Invalid {
		t.Errorf("got %v", err)
	}
	if got := get(t, s.path("photos")); got != want {
		t.Errorf("a refused change left\n%s", got)
	}
}

func TestUpdateRefusesAnInvalidFile(t *testing.T) {
	t.Parallel()
	s := mustOpen(t, t.TempDir())
	put(t, s.path("photos"), photosFile+"prot = 1\n")
	_, err := s.Update(name(t, "photos"), map[string]string{"port": "99"})
	if problem.CodeOf(err) != problem.Conflict || !strings.Contains(err.Error(), `photos.toml:5: unknown key "prot"`) {
		t.Errorf("got %v", err)
	}
	if got := get(t, s.path("photos")); got != photosFile+"prot = 1\n" {
		t.Errorf("the file was changed to\n%s", got)
	}
}

func TestUpdateWritesThroughALink(t *testing.T) {
	t.Parallel()
	s := mustOpen(t, t.TempDir())
	elsewhere := filepath.Join(t.TempDir(), "kept-in-git.toml")
	put(t, elsewhere, photosFile)
	link(t, elsewhere, s.path("photos"))
	if _, err := s.Update(name(t, "photos"), map[string]string{"port": "99"}); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(s.path("photos")); err != nil || info.Mode().Type() != os.ModeSymlink {
		t.Errorf("the link became %v, %v", info.Mode(), err)
	}
	if got := get(t, elsewhere); !strings.Contains(got, "port = 99") {
		t.Errorf("got\n%s", got)
	}
}

func TestLoadKeepsAndReportsWhatItCantUse(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := mustOpen(t, dir)
	for file, text := range map[string]string{
		"photos.toml":    photosFile,
		"Photos.toml":    photosFile,
		"empty.toml":     "",
		"newer.toml":     "version = 99\n",
		"-x.toml":        photosFile,
		"CON.toml":       photosFile,
		"bad\x01.toml":   photosFile,
		"large.toml":     photosFile + strings.Repeat("#", 10<<20),
		".hidden.toml":   "x",
		".sharetray-1":   "x",
		"photos.toml~":   "x",
		"#photos.toml#":  "x",
		"4913":           "x",
		"README.md":      "x",
		".photos.toml.s": "x",
	} {
		put(t, filepath.Join(dir, file), text)
	}
	if err := os.Mkdir(filepath.Join(dir, "folder.toml"), 0o700); err != nil {
		t.Fatal(err)
	}
	link(t, filepath.Join(dir, "loop.toml"), filepath.Join(dir, "loop.toml"))
	link(t, filepath.Join(dir, "nothing"), filepath.Join(dir, "dangling.toml"))
	socket, err := net.Listen("unix", filepath.Join(dir, "socket.toml"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = socket.Close() }()
	before := listing(t, dir)

	want := []struct{ name, sentence string }{
		{"-x", `the file "-x.toml" can't be a share: the name "-x" begins with '-'`},
		{"bad\x01", "contains a control character"},
		{"CON", "is the name of a device on Windows"},
		{"dangling", "dangling.toml can't be read"},
		{"empty", "empty.toml is empty"},
		{"folder", "folder.toml is not a file but a folder"},
		{"large", "large.toml is larger than 64 KiB"},
		{"loop", "loop.toml can't be read"},
		{"newer", "newer.toml was written by a newer Sharetray"},
		{"Photos", ""},
		{"photos", "photos.toml is named like Photos.toml"},
		{"socket", "socket.toml is not a file but a special file"},
	}
	got := mustLoad(t, s)
	if len(got) != len(want) {
		t.Fatalf("got %+v", got)
	}
	for i, e := range got {
		w := want[i]
		if e.Name != w.name || e.File != filepath.Join(dir, w.name+".toml") {
			t.Errorf("entry %d is %q in %q, want %q", i, e.Name, e.File, w.name)
		}
		if w.sentence == "" {
			if e.Err != nil || e.Share.Port != 8080 {
				t.Errorf("%s: %+v", w.name, e)
			}
			continue
		}
		if code := problem.CodeOf(e.Err); code != problem.Invalid && code != problem.Conflict || !strings.Contains(e.Err.Error(), w.sentence) {
			t.Errorf("%s: %v, want a Problem that says %q", w.name, e.Err, w.sentence)
		}
		if e.Share != (share.Share{}) {
			t.Errorf("%s: a share beside the error", w.name)
		}
	}
	if after := listing(t, dir); !slices.Equal(before, after) {
		t.Errorf("files changed: %v, then %v", before, after)
	}
}

func TestAFolderThatCantBeUsed(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "shares")
	put(t, dir, "a file in its place")
	if _, err := Open(dir); problem.CodeOf(err) != problem.Internal || !strings.Contains(err.Error(), dir) {
		t.Errorf("Open: %v", err)
	}
	s := &Store{dir: dir, disk: realDisk}
	if _, err := s.Load(); problem.CodeOf(err) != problem.Internal {
		t.Errorf("Load: %v", err)
	}
}

func TestReadStopsAtTheLimit(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x.toml")
	put(t, path, strings.Repeat("#", schema.MaxBytes))
	if data, err := read(path); err != nil || len(data) != schema.MaxBytes {
		t.Errorf("a file of the largest size: %d bytes, %v", len(data), err)
	}
	put(t, path, strings.Repeat("#", schema.MaxBytes+1))
	if _, err := read(path); problem.CodeOf(err) != problem.Invalid {
		t.Errorf("one byte more: %v", err)
	}
}

func mustOpen(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mustLoad(t *testing.T, s *Store) []Entry {
	t.Helper()
	entries, err := s.Load()
	if err != nil {
		t.Fatal(err)
	}
	return entries
}

func name(t *testing.T, text string) share.Name {
	t.Helper()
	n, err := share.ParseName(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func link(t *testing.T, to, at string) {
	t.Helper()
	if err := os.Symlink(to, at); err != nil {
		t.Fatal(err)
	}
}

func mode(t *testing.T, path string) string {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode().String()
}

// listing is every file in dir, hidden ones too, with its mode.
func listing(t *testing.T, dir string) []string {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, f := range files {
		info, err := f.Info()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, f.Name()+" "+info.Mode().String())
	}
	return all
}

func second[T any](_ T, err error) error { return err }
