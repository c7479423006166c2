package process

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sharetray/agentcore/link"
	"sharetray/agentcore/share"
)

func mkfifo(path string) error { return exec.Command("mkfifo", path).Run() }

func down(h link.Health) bool { return h.TargetError != "" }
func up(h link.Health) bool   { return h.TargetError == "" }

func TestFolderGoesAndReturns(t *testing.T) {
	t.Parallel()
	base := files(t, map[string]string{"shared/a": "first", "other/a": "OTHER"})
	dir := filepath.Join(base, "shared")
	c := serve(t, share.Share{Kind: share.Web, Listing: true, Target: dir})
	is := func(status int, body string) func() bool {
		return func() bool {
			a := c.get("/a")
			if strings.Contains(a.body, "OTHER") {
				t.Fatal("another folder is served in its place")
			}
			return a.StatusCode == status && strings.Contains(a.body, body)
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	if !is(200, "first")() {
		t.Fatal("it is not served to begin with")
	}

	must(os.Rename(dir, dir+"2"))
	eventually(t, "503 when renamed", is(503, "not there"))
	if h := c.told("the folder is gone", down); !strings.Contains(h.TargetError, "does not exist") || !strings.Contains(h.TargetError, dir) {
		t.Errorf("told %q", h.TargetError)
	}
	a := c.get("/a", "Accept: text/html")
	if a.Header.Get(downHeader) == "" || !strings.Contains(a.body, "<script>") || a.Header.Get("Retry-After") == "" {
		t.Errorf("the page can't reload: %v %s", a.Header, a.body)
	}

	must(os.Rename(dir+"2", dir))
	eventually(t, "200 when it is back", is(200, "first"))
	c.told("the folder is back", up)

	must(os.RemoveAll(dir))
	// No request this time: the ping notices.
	if h := c.ping(); !down(h) {
		t.Errorf("health is %+v", h)
	}
	must(os.WriteFile(dir, []byte("a file"), 0o644))
	eventually(t, "503 for a file", is(503, "not there"))
	if h := c.ping(); !strings.Contains(h.TargetError, "is not a folder") {
		t.Errorf("health is %+v", h)
	}
	must(os.Remove(dir))
	fill(t, dir, map[string]string{"a": "second"})
	if h := c.ping(); down(h) {
		t.Errorf("health is %+v", h)
	}
	eventually(t, "the new folder at its path", is(200, "second"))

	// Replaced at once, as build tools do.
	must(os.Rename(dir, dir+"3"))
	fill(t, dir, map[string]string{"a": "third"})
	eventually(t, "the one that replaced it", is(200, "third"))
}

func TestFolderMissingFromTheStart(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "later")
	c := serve(t, share.Share{Kind: share.Web, Target: dir})
	if a := c.get("/a"); a.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("%d", a.StatusCode)
	}
	if h := c.ping(); !down(h) {
		t.Errorf("health is %+v", h)
	}
	fill(t, dir, map[string]string{"a": "here"})
	if h := c.ping(); down(h) {
		t.Errorf("health is %+v", h)
	}
	if a := c.get("/a"); a.body != "here" {
		t.Errorf("%d %q", a.StatusCode, a.body)
	}
}

func TestHidesIn(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		".": false, "": false, "a": false, "a/b": false, "a.b/c.": false, "a..b": false,
		".a": true, "..": true, "a/.b": true, "a/.b/c": true, "..a": true,
	} {
		if got := hidesIn(name); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
}
