package process

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"sharetray/agentcore/share"
)

// TestHiddenBehindLinks: a link whose own name is not hidden does not open what
// is; one that leads to something visible inside works; one that leads out, or
// in circles, is not there.
func TestHiddenBehindLinks(t *testing.T) {
	t.Parallel()
	dir := files(t, map[string]string{".env": "secret", ".git/config": "secret", "sub/a": "seen"})
	for link, to := range map[string]string{
		"env": ".env", "git": ".git", "inner": "sub", "sub/up": "../.env", "out": "/etc/hostname", "circle": "circle",
	} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	c := serve(t, share.Share{Kind: share.Web, Target: dir, Listing: true})
	for path, want := range map[string]int{
		"/env": 404, "/git/config": 404, "/git/": 404, "/sub/up": 404, "/inner/up": 404, "/out": 404, "/circle": 404,
		"/inner/a": 200, "/sub/a": 200,
	} {
		if a := c.get(path); a.StatusCode != want {
			t.Errorf("GET %s: %d, want %d", path, a.StatusCode, want)
		}
	}
	open := serve(t, share.Share{Kind: share.Web, Target: dir, HiddenFiles: true})
	if a := open.get("/git/config"); a.StatusCode != 200 {
		t.Errorf("hidden files are shared, and it is %d", a.StatusCode)
	}
}

// TestLinkInPlaceOfTheFolder: a folder that has become a link to another one is
// not served; one that was a link from the first may point elsewhere.
func TestLinkInPlaceOfTheFolder(t *testing.T) {
	t.Parallel()
	parent, other := t.TempDir(), files(t, map[string]string{"a": "other"})
	dir := filepath.Join(parent, "d")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	c := serve(t, share.Share{Kind: share.Web, Target: dir})
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(other, dir); err != nil {
		t.Fatal(err)
	}
	c.ping() // it looks
	if a := c.get("/a"); a.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("the folder became a link, and it is %d", a.StatusCode)
	}

	link := filepath.Join(parent, "current")
	first, second := files(t, map[string]string{"a": "1"}), files(t, map[string]string{"b": "2"})
	if err := os.Symlink(first, link); err != nil {
		t.Fatal(err)
	}
	c = serve(t, share.Share{Kind: share.Web, Target: link})
	if a := c.get("/a"); a.StatusCode != 200 {
		t.Errorf("a link to a folder: %d", a.StatusCode)
	}
	if err := os.Remove(link); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(second, link); err != nil {
		t.Fatal(err)
	}
	c.ping()
	if a := c.get("/b"); a.StatusCode != 200 {
		t.Errorf("a link that points elsewhere now: %d", a.StatusCode)
	}
}

// TestWebCanOnlyBeRead: every other method is refused as such.
func TestWebCanOnlyBeRead(t *testing.T) {
	t.Parallel()
	c := serve(t, share.Share{Kind: share.Web, Target: files(t, map[string]string{"a": "x"}), Listing: true})
	for _, method := range []string{"PUT", "POST", "DELETE", "PROPFIND", "MKCOL"} {
		for _, path := range []string{"/", "/a", "/new"} {
			req, err := http.NewRequest(method, "http://"+c.addr+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != http.StatusMethodNotAllowed || resp.Header.Get("Allow") != "GET, HEAD" {
				t.Errorf("%s %s: %d, Allow %q", method, path, resp.StatusCode, resp.Header.Get("Allow"))
			}
		}
	}
}
