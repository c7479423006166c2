package process

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sharetray/agentcore/link"
	"sharetray/agentcore/share"
)

// TestDriveLitmus: the WebDAV suite passes whole, through Caddy and the guard, under
// a secret link too.
func TestDriveLitmus(t *testing.T) {
	t.Parallel()
	exe, err := exec.LookPath("litmus")
	if err != nil {
		t.Fatal("litmus is needed: install the Debian package litmus")
	}
	summary := regexp.MustCompile(`summary for .*: of \d+ tests run: \d+ passed, 0 failed. 100.0%`)
	for prefix, secret := range map[string]string{"/": "", "/s/" + aSecret + "/": aSecret} {
		t.Run(prefix, func(t *testing.T) {
			t.Parallel()
			p := serve(t, share.Share{Kind: share.Drive, Target: t.TempDir(), Writable: true, Listing: true, Secret: secret})
			cmd := exec.Command(exe, "-k", p.url(prefix))
			cmd.Dir = t.TempDir() // it writes a log
			out, err := cmd.CombinedOutput()
			if n := len(summary.FindAll(out, -1)); err != nil || n != 5 || strings.Contains(string(out), "WARNING") {
				t.Errorf("%d suites, %v:\n%s", n, err, out)
			}
		})
	}
}

// TestDrive: browsers get pages, clients get a drive, and nobody what is private.
func TestDrive(t *testing.T) {
	t.Parallel()
	dir := files(t, map[string]string{"a": "hello", "sub/b": "deep", ".git/x": "hidden", "out": "-> /etc/passwd"})
	readable := serve(t, share.Share{Kind: share.Drive, Target: dir, Listing: true})
	writable := serve(t, share.Share{Kind: share.Drive, Target: dir, Listing: true, Writable: true, HiddenFiles: true})
	if a := readable.get("/", "Accept: text/html"); a.StatusCode != 200 || !strings.Contains(a.body, `"./a"`) || strings.Contains(a.body, ".git") {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	for _, c := range []struct {
		p            *child
		method, path string
		status       int
	}{
		{readable, "GET", "/a", 200}, {readable, "PROPFIND", "/", 207}, {readable, "PUT", "/new", 405}, {readable, "DELETE", "/a", 405},
		{readable, "GET", "/.git/x", 404}, {readable, "GET", "/out", 404}, {readable, "OPTIONS", "/", 200},
		{writable, "PUT", "/new", 201}, {writable, "GET", "/new", 200}, {writable, "GET", "/.git/x", 200}, {writable, "MKCOL", "/dir", 201},
		{writable, "GET", "/.sharetray/", 404}, {writable, "PROPFIND", "/.sharetray", 404}, {writable, "DELETE", "/new", 204},
		{writable, "PUT", "/._a", 201}, {writable, "GET", "/._a", 200}, {writable, "POST", "/a", 405},
	} {
		depth := map[bool]string{true: "Depth: 1", false: "X: y"}[c.method == "PROPFIND"]
		if a := c.p.do(c.method, c.path, depth); a.StatusCode != c.status {
			t.Errorf("%s %s: %d %s", c.method, c.path, a.StatusCode, a.body)
		}
	}
	// An ETag that WebDAV tells is the one that comes with the file.
	tag := readable.get("/a").Header.Get("Etag")
	if a := readable.do("PROPFIND", "/a", "Depth: 0"); tag == "" || !strings.Contains(a.body, "getetag>"+strings.ReplaceAll(tag, `"`, "&#34;")) && !strings.Contains(a.body, "getetag>"+tag) {
		t.Errorf("%s in %s", tag, a.body)
	}
	if vs := writable.mustAsk(link.Message{Type: link.TypeGuests}).Guests; len(vs) != 1 {
		t.Errorf("%+v", vs)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".sharetray", "*")); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}
