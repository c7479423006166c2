package dav

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sharetray/agentcore/process/intake"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// drive is a folder that is served by a real server.
type drive struct {
	t   *testing.T
	dir string
	h   *Handler
	*httptest.Server
}

func newDrive(t *testing.T, o Options, tweaks ...func(*Handler)) *drive {
	t.Helper()
	return serveFolder(t, t.TempDir(), o, tweaks...)
}

func serveFolder(t *testing.T, dir string, o Options, tweaks ...func(*Handler)) *drive {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	if o.Root == nil {
		o.Root = func() *os.Root { return root }
	}
	h := New(o)
	for _, tweak := range tweaks {
		tweak(h)
	}
	prefix := h.o.Prefix(nil)
	s := httptest.NewServer(http.StripPrefix(prefix, h))
	t.Cleanup(func() { s.Close(); root.Close() })
	return &drive{t, dir, h, s}
}

// inMemory pretends that the disk has no extended attributes.
func inMemory(yes bool) func(*Handler) { return func(h *Handler) { h.props.noAttrib = yes } }

type answer struct {
	*http.Response
	body string
}

// do sends a request; headers are "Key: value". The path goes out as it is.
func (d *drive) do(method, path, body string, headers ...string) answer {
	d.t.Helper()
	var r io.Reader
	if body != "" {
		r = strings.NewReader(body)
	}
	req, err := http.NewRequest(method, d.URL, r)
	if err != nil {
		d.t.Fatal(err)
	}
	u, err := url.ParseRequestURI(path)
	if err != nil {
		d.t.Fatal(err)
	}
	u.Scheme, u.Host = req.URL.Scheme, req.URL.Host
	req.URL = u
	for _, line := range headers {
		k, v, _ := strings.Cut(line, ": ")
		if k == "Host" {
			req.Host = v
		}
		req.Header[k] = append(req.Header[k], v)
	}
	resp, err := d.Client().Do(req)
	if err != nil {
		d.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		d.t.Fatalf("%s %s: %v", method, path, err)
	}
	return answer{resp, string(got)}
}

// want sends a request and checks the status of the answer.
func (d *drive) want(status int, method, path, body string, headers ...string) answer {
	d.t.Helper()
	a := d.do(method, path, body, headers...)
	if a.StatusCode != status {
		d.t.Errorf("%s %s %q: %d, want %d: %s", method, path, headers, a.StatusCode, status, a.body)
	}
	return a
}

func (d *drive) write(name, content string) {
	d.t.Helper()
	path := filepath.Join(d.dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		d.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o666); err != nil {
		d.t.Fatal(err)
	}
}

// holds checks what a file contains; "-" is that it is not there.
func (d *drive) holds(name, content string) {
	d.t.Helper()
	got, err := os.ReadFile(filepath.Join(d.dir, filepath.FromSlash(name)))
	switch {
	case content == "-" && !os.IsNotExist(err):
		d.t.Errorf("%s is there: %q, %v", name, got, err)
	case content != "-" && (err != nil || string(got) != content):
		d.t.Errorf("%s holds %q, %v, want %q", name, got, err, content)
	}
}

// tidy checks that nothing half-done is left.
func (d *drive) tidy() {
	d.t.Helper()
	d.Close() // a request that was broken off may still be cleaning up
	left, err := os.ReadDir(filepath.Join(d.dir, intake.Folder))
	if err != nil && !os.IsNotExist(err) || len(left) > 0 {
		d.t.Errorf("left behind: %v, %v", left, err)
	}
}

// tool is a program that the tests need, or the end of the test.
func tool(t *testing.T, name, debian string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("this test needs %s: install the Debian package %s (make test-tools does)", name, debian)
	}
	return path
}

// run runs a program in a home and folder of its own.
func run(t *testing.T, stdin string, name string, args ...string) (string, error) {
	t.Helper()
	home := t.TempDir()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = home
	cmd.Env = append(os.Environ(), "HOME="+home, "XDG_CONFIG_HOME="+home, "XDG_CACHE_HOME="+home, "no_proxy=*", "LC_ALL=C.UTF-8")
	cmd.Stdin = strings.NewReader(stdin)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if err != nil {
		if log, readErr := os.ReadFile(filepath.Join(home, "debug.log")); readErr == nil {
			fmt.Fprintf(&out, "\n--- debug.log\n%s", log[max(0, len(log)-4000):])
		}
	}
	return out.String(), err
}
