package dav

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestLitmus has the standard suite of tests for WebDAV servers look at a
// drive: no failure, no warning, nothing skipped.
func TestLitmus(t *testing.T) {
	t.Parallel()
	litmus := tool(t, "litmus", "litmus")
	for name, tc := range map[string]struct {
		prefix string
		memory bool
	}{
		"attributes": {},
		"memory":     {memory: true},
		"prefix":     {prefix: "/s/secret"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			state := StateFile(filepath.Join(t.TempDir(), "locks"))
			d := newDrive(t, Options{Writable: true, State: state, Prefix: func(*http.Request) string { return tc.prefix }}, inMemory(tc.memory))
			out, err := run(t, "", "env", "TESTS=basic copymove props locks http", litmus, "--keep-going", d.URL+tc.prefix+"/")
			if err != nil || strings.Contains(out, "FAIL") || strings.Contains(out, "WARNING") || strings.Contains(out, "SKIPPED") {
				t.Errorf("%v\n%s", err, out)
			}
			if n := len(regexp.MustCompile(`: (\d+) passed, 0 failed. 100.0%`).FindAllString(out, -1)); n != 5 {
				t.Errorf("%d suites passed, want basic, copymove, props, locks and http:\n%s", n, out)
			}
			d.tidy()
			if len(d.h.props.memory) > 0 || len(d.h.locks.byToken) > 0 {
				t.Errorf("remembered: %v, %v", d.h.props.memory, d.h.locks.byToken)
			}
		})
	}
}

func TestRclone(t *testing.T) {
	t.Parallel()
	rclone := tool(t, "rclone", "rclone")
	d := newDrive(t, Options{Writable: true})
	local := &drive{t: t, dir: t.TempDir()}
	big := make([]byte, 20<<20)
	rand.Read(big)
	local.write("big", string(big))
	local.write("empty", "")
	for i := range 50 {
		local.write(fmt.Sprintf("dir %d/ünï #%d%%", i%7, i), fmt.Sprint(i))
	}
	remote := ":webdav,url='" + d.URL + "':"
	do := func(args ...string) string {
		t.Helper()
		out, err := run(t, "", rclone, args...)
		if err != nil {
			t.Fatalf("rclone %q: %v\n%s", args, err, out)
		}
		return out
	}
	do("copy", local.dir, remote)
	do("check", "--download", local.dir, remote)
	if out := do("copy", "-v", "--ignore-times", local.dir, remote); !strings.Contains(out, "52 / 52") {
		t.Errorf("not all was sent again: %s", out)
	}
	do("moveto", remote+"big", remote+"sub/moved")
	got, err := os.ReadFile(filepath.Join(d.dir, "sub", "moved"))
	if err != nil || !bytes.Equal(got, big) {
		t.Errorf("moved: %v, %d bytes", err, len(got))
	}
	do("copyto", remote+"sub", remote+"sub2")
	back := t.TempDir()
	do("copy", remote+"sub2", back)
	if got, err := os.ReadFile(filepath.Join(back, "moved")); err != nil || !bytes.Equal(got, big) {
		t.Errorf("fetched: %v, %d bytes", err, len(got))
	}
	do("purge", remote+"dir 1")
	if _, err := os.Stat(filepath.Join(d.dir, "dir 1")); !os.IsNotExist(err) {
		t.Errorf("purged: %v", err)
	}
	d.tidy()
}

func TestCadaver(t *testing.T) {
	t.Parallel()
	cadaver := tool(t, "cadaver", "cadaver")
	d := newDrive(t, Options{Writable: true})
	local := &drive{t: t, dir: t.TempDir()}
	local.write("one", "1")
	local.write("two", "2")
	script := strings.Join([]string{
		"lcd " + local.dir,
		"mkcol dir", "cd dir", "put one", "mput one two", "ls",
		"lock one", "put one", "discover one", "unlock one",
		"propset one colour green", "propget one colour",
		"copy two three", "move two four", "get four fetched", "delete three",
		"cd ..", "delete nothing", "quit",
	}, "\n") + "\n"
	out, err := run(t, script, cadaver, d.URL+"/")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for what, n := range map[string]int{"succeeded": 13, "failed": 1, "Lock token <opaquelocktoken:": 1, "is: green": 1, "404 Not Found": 1} {
		if got := strings.Count(out, what); got != n {
			t.Errorf("%q is there %d times, want %d", what, got, n)
		}
	}
	d.holds("dir/one", "1")
	d.holds("dir/four", "2")
	d.holds("dir/two", "-")
	d.holds("dir/three", "-")
	local.holds("fetched", "2")
	if t.Failed() {
		t.Log(out)
	}
	d.tidy()
	if n := len(d.h.locks.byToken); n > 0 {
		t.Errorf("%d locks are left", n)
	}
}

// TestCurl sends what a library would not: addresses as they are written.
func TestCurl(t *testing.T) {
	t.Parallel()
	curl := tool(t, "curl", "curl")
	base := t.TempDir()
	if err := os.MkdirAll(filepath.Join(base, "shared"), 0o777); err != nil {
		t.Fatal(err)
	}
	d := serveFolder(t, filepath.Join(base, "shared"), Options{Writable: true})
	d.write("f", "F")
	d.write("upload", strings.Repeat("u", 5<<20))
	do := func(want string, args ...string) {
		t.Helper()
		out, err := run(t, "", curl, append([]string{"-sS", "--path-as-is", "-o", os.DevNull, "-w", "%{http_code}"}, args...)...)
		if err != nil || out != want {
			t.Errorf("curl %q: %s, %v, want %s", args, out, err, want)
		}
	}
	for _, p := range []string{"/../out", "/x/../../out", "/%2e%2e/out", "/..%2fout", "/%2e%2e%2fout"} {
		do("400", "-T", filepath.Join(d.dir, "f"), d.URL+p)
		do("400", "-X", "MOVE", "-H", "Destination: "+d.URL+p, d.URL+"/f")
		do("400", "-X", "COPY", "-H", "Destination: "+p, d.URL+"/f")
		do("400", "-X", "DELETE", d.URL+p)
	}
	do("502", "-X", "MOVE", "-H", "Destination: http://127.0.0.1:1/f", d.URL+"/f")
	do("400", "-X", "MOVE", d.URL+"/f")
	do("201", "-T", filepath.Join(d.dir, "upload"), "-H", "Expect: 100-continue", d.URL+"/sent")
	do("423", "-T", filepath.Join(d.dir, "upload"), "-H", "Expect: 100-continue", "-H", "If: (Not <x>)", d.URL+"/"+func() string { d.lock("/locked"); return "locked" }())
	do("201", "-X", "MOVE", "-H", "Destination: "+d.URL+"/g", d.URL+"/sent")
	d.holds("g", strings.Repeat("u", 5<<20))
	d.holds("f", "F")
	(&drive{t: t, dir: base}).holds("out", "-")
	d.tidy()
}
