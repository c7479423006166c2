package process

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sharetray/agentcore/share"
)

func TestWebFiles(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("a line of text that is worth compressing\n", 100)
	c := serve(t, share.Share{Kind: share.Web, Listing: true, Target: files(t, map[string]string{
		"page.txt":        text,
		"digits.bin":      "0123456789",
		"pre.js":          "plain",
		"pre.js.br":       "as brotli",
		"pre.js.gz":       "as gzip",
		"only.css":        "plain",
		"only.css.zst":    "as zstd",
		"dir/file":        "in a folder",
		"site/index.html": "<p>index</p>",
		"dir/ü ö#?.txt":   "odd",
	})})
	get := c.get

	t.Run("range", func(t *testing.T) {
		a := get("/digits.bin", "Range: bytes=2-4")
		if a.StatusCode != http.StatusPartialContent || a.body != "234" || a.Header.Get("Content-Range") != "bytes 2-4/10" {
			t.Errorf("%d %q %v", a.StatusCode, a.body, a.Header)
		}
		if a := get("/digits.bin", "Range: bytes=20-"); a.StatusCode != http.StatusRequestedRangeNotSatisfiable {
			t.Errorf("beyond the end: %d", a.StatusCode)
		}
	})
	t.Run("etag", func(t *testing.T) {
		a := get("/digits.bin")
		etag, modified := a.Header.Get("Etag"), a.Header.Get("Last-Modified")
		if etag == "" || modified == "" {
			t.Fatalf("no validators: %v", a.Header)
		}
		if a := get("/digits.bin", "If-None-Match: "+etag); a.StatusCode != http.StatusNotModified || a.body != "" {
			t.Errorf("same etag: %d", a.StatusCode)
		}
		if a := get("/digits.bin", "If-Modified-Since: "+modified); a.StatusCode != http.StatusNotModified {
			t.Errorf("same time: %d", a.StatusCode)
		}
		if a := get("/digits.bin", `If-Match: "other"`); a.StatusCode != http.StatusPreconditionFailed {
			t.Errorf("other etag: %d", a.StatusCode)
		}
	})
	t.Run("head", func(t *testing.T) {
		if a := c.do(http.MethodHead, "/digits.bin"); a.StatusCode != 200 || a.ContentLength != 10 || a.body != "" {
			t.Errorf("%d, %d bytes", a.StatusCode, a.ContentLength)
		}
	})
	t.Run("precompressed", func(t *testing.T) {
		for _, test := range []struct{ path, accept, encoding, body string }{
			{"/pre.js", "gzip, br", "br", "as brotli"},
			{"/pre.js", "gzip", "gzip", "as gzip"},
			{"/pre.js", "gzip, br;q=0", "gzip", "as gzip"},
			{"/only.css", "gzip, zstd", "zstd", "as zstd"},
			{"/pre.js", "identity", "", "plain"},
		} {
			a := get(test.path, "Accept-Encoding: "+test.accept)
			if a.Header.Get("Content-Encoding") != test.encoding || a.body != test.body {
				t.Errorf("%s for %q: %q %q", test.path, test.accept, a.Header.Get("Content-Encoding"), a.body)
			}
		}
	})
	t.Run("encoded", func(t *testing.T) {
		a := get("/page.txt", "Accept-Encoding: zstd, gzip")
		if a.Header.Get("Content-Encoding") != "zstd" || !strings.HasPrefix(a.body, "\x28\xb5\x2f\xfd") {
			t.Errorf("zstd: %v %.8q", a.Header, a.body)
		}
		a = get("/page.txt", "Accept-Encoding: gzip")
		g, err := gzip.NewReader(bytes.NewReader([]byte(a.body)))
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(g); err != nil || string(b) != text {
			t.Errorf("gzip: %v", err)
		}
		if a := get("/page.txt"); a.body != text || a.Header.Get("Content-Encoding") != "" {
			t.Errorf("unasked: %v", a.Header)
		}
	})
	t.Run("folders", func(t *testing.T) {
		if a := get("/dir"); a.StatusCode/100 != 3 || a.Header.Get("Location") != "/dir/" {
			t.Errorf("without slash: %d %v", a.StatusCode, a.Header)
		}
		if a := get("/site/"); a.body != "<p>index</p>" || a.Header.Get("Content-Type") != "text/html; charset=utf-8" {
			t.Errorf("index: %q %v", a.body, a.Header)
		}
		a := get("/dir/", "Accept: text/html")
		if a.StatusCode != 200 || !strings.Contains(a.body, `href="./file"`) {
			t.Errorf("listing: %d %s", a.StatusCode, a.body)
		}
		if a := get("/dir/%C3%BC%20%C3%B6%23%3F.txt"); a.body != "odd" {
			t.Errorf("odd name: %d", a.StatusCode)
		}
	})
	t.Run("errors", func(t *testing.T) {
		a := get("/none", "Accept: text/html")
		if a.StatusCode != 404 || !strings.Contains(a.body, "There is nothing here") || a.Header.Get("Content-Security-Policy") == "" {
			t.Errorf("for a browser: %d %v %s", a.StatusCode, a.Header, a.body)
		}
		if a := get("/none"); a.StatusCode != 404 || strings.Contains(a.body, "<") || a.body == "" {
			t.Errorf("for others: %d %q", a.StatusCode, a.body)
		}
		a = c.do(http.MethodPost, "/pre.js", "Accept-Encoding: br")
		if a.StatusCode != 405 || a.Header.Get("Content-Encoding") != "" || a.Header.Get("Allow") != "GET, HEAD" {
			t.Errorf("post: %d %v", a.StatusCode, a.Header)
		}
	})
}

func TestWebTypes(t *testing.T) {
	t.Parallel()
	content := map[string]string{}
	for ext := range types {
		content["f"+ext] = "x"
	}
	c := serve(t, share.Share{Kind: share.Web, Target: files(t, content)})
	for ext, typ := range types {
		if got := c.get("/f" + ext).Header.Get("Content-Type"); got != typ && got != typ+"; charset=utf-8" {
			t.Errorf("%s is %q, not %q", ext, got, typ)
		}
	}
}

func TestWebWithoutListing(t *testing.T) {
	t.Parallel()
	c := serve(t, share.Share{Kind: share.Web, Target: files(t, map[string]string{"secret-name.txt": "x"})})
	if a := c.get("/", "Accept: text/html"); a.StatusCode != 404 || strings.Contains(a.body, "secret-name") {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	if a := c.get("/secret-name.txt"); a.body != "x" {
		t.Errorf("the file itself: %d", a.StatusCode)
	}
}

func TestWebHiddenFiles(t *testing.T) {
	t.Parallel()
	content := map[string]string{
		".env": "SECRET", ".git/config": "SECRET", "d/.hidden/x": "SECRET", "d/.htpasswd": "SECRET",
		"seen.txt": "seen", "..twodots": "SECRET", "d/seen": "seen", "index/.index.html": "SECRET",
	}
	dir := filepath.Join(t.TempDir(), ".dotted", "root") // the way to the share may have dots
	fill(t, dir, content)
	hidden := serve(t, share.Share{Kind: share.Web, Listing: true, Target: dir})
	shown := serve(t, share.Share{Kind: share.Web, Listing: true, HiddenFiles: true, Target: dir})
	for name, body := range content {
		a := hidden.get("/" + name)
		if body == "SECRET" && (a.StatusCode != 404 || strings.Contains(a.body, body)) || body == "seen" && a.body != body {
			t.Errorf("%s: %d %q", name, a.StatusCode, a.body)
		}
		if a := shown.get("/" + name); a.body != body {
			t.Errorf("%s, asked for: %d %q", name, a.StatusCode, a.body)
		}
	}
	for _, path := range []string{"/", "/d/"} {
		for _, accept := range []string{"text/html", "application/json", "text/plain"} {
			a := hidden.get(path, "Accept: "+accept)
			if !strings.Contains(a.body, "seen") || strings.Contains(a.body, ".env") || strings.Contains(a.body, ".ht") ||
				strings.Contains(a.body, ".hidden") || strings.Contains(a.body, ".git") || strings.Contains(a.body, "twodots") {
				t.Errorf("listing of %s as %s:\n%s", path, accept, a.body)
			}
		}
	}
	if a := shown.get("/", "Accept: application/json"); !strings.Contains(a.body, ".env") {
		t.Errorf("the listing lacks what was asked for:\n%s", a.body)
	}
}

func TestWebNeverLeavesTheFolder(t *testing.T) {
	t.Parallel()
	const secret = "OUTSIDE"
	base := files(t, map[string]string{
		"secret":              secret,
		"other/secret":        secret,
		"root/in.txt":         "inside",
		"root/sub/in.txt":     "inside",
		"root/back\\slash":    "inside",
		"root/good":           "-> in.txt",
		"root/goodup":         "-> sub/../in.txt",
		"root/gooddir":        "-> sub",
		"root/out":            "-> ../secret",
		"root/outdir":         "-> ../other",
		"root/sub/outup":      "-> ../../secret",
		"root/loop":           "-> loop",
		"root/page.js":        "inside",
		"root/page.js.br":     "-> ../secret",
		"root/idx/index.html": "-> ../../secret",
	})
	abs := filepath.Join(base, "secret")
	fill(t, base, map[string]string{"root/absolute": "-> " + abs, "root/proc": "-> /proc/self/environ"})
	c := serve(t, share.Share{Kind: share.Web, Listing: true, HiddenFiles: true, Target: filepath.Join(base, "root")})

	for _, path := range []string{"/good", "/goodup", "/gooddir/in.txt", "/back%5Cslash", "/sub/../in.txt", "/sub/%2e%2e/in.txt"} {
		if a := c.get(path); a.StatusCode != 200 || a.body != "inside" {
			t.Errorf("%s: %d %q", path, a.StatusCode, a.body)
		}
	}
	if a := c.get("/page.js", "Accept-Encoding: br"); a.body != "inside" {
		t.Errorf("a sidecar leads out: %q", a.body)
	}
	paths := []string{
		"/out", "/outdir/secret", "/outdir/", "/sub/outup", "/loop", "/absolute", "/proc", "/idx/",
		"/../secret", "/../../../../../../etc/passwd", "/..%2fsecret", "/%2e%2e/secret", "/%2e%2e%2fsecret",
		"/.%2e/secret", "/sub/../../secret", "/sub/%2e%2e/%2e%2e/secret", "/..\\secret", "/..%5csecret", "/%5c..%5c..%5csecret",
		"/%c0%ae%c0%ae/secret", "/%c0%ae%c0%ae%c0%afsecret", "/%e0%80%ae%e0%80%ae/secret", "/..%c0%afsecret", "/%252e%252e/secret",
		"/..%00/secret", "/in.txt%00.js", "/%00", "//../secret", "///secret", "/./../secret", "/;/../secret", "/..;/secret",
		abs, "/" + abs, "//" + strings.TrimPrefix(abs, "/"), "/file://" + abs, "/C:/secret", "/secret:$DATA", "/.../secret", "/....//secret",
		"/in.txt/../../secret", "/in.txt/secret", "/~root/secret", "/$HOME/secret", "/{env.HOME}", "/{http.vars.root}/../secret",
		"http://h/../secret", "*", "/\xff\xfe/../../secret", "/%ff%fe/..%2f..%2fsecret", "/sub/..%2f..%2fsecret",
	}
	for _, path := range paths {
		for _, method := range []string{"GET", "HEAD", "POST", "OPTIONS", "PROPFIND"} {
			a := c.raw(method + " " + path + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
			if strings.Contains(a, secret) || strings.Contains(a, "root:x:") || strings.Contains(a, "PATH=") {
				t.Errorf("%s %q got out:\n%s", method, path, a)
			}
			if !strings.HasPrefix(a, "HTTP/1.1 ") || strings.HasPrefix(a, "HTTP/1.1 5") && path != "/loop" {
				t.Errorf("%s %q: %.40q", method, path, a)
			}
		}
	}
}

func TestWebNoPipes(t *testing.T) {
	t.Parallel()
	dir := files(t, map[string]string{"a": "x"})
	if err := mkfifo(filepath.Join(dir, "pipe")); err != nil {
		t.Fatal(err)
	}
	c := serve(t, share.Share{Kind: share.Web, Target: dir})
	if a := c.get("/pipe"); a.StatusCode != 404 {
		t.Errorf("%d", a.StatusCode)
	}
}

func TestWebUnreadable(t *testing.T) {
	t.Parallel()
	if os.Geteuid() == 0 {
		t.Skip("root reads everything")
	}
	dir := files(t, map[string]string{"a": "x"})
	if err := os.Chmod(filepath.Join(dir, "a"), 0); err != nil {
		t.Fatal(err)
	}
	c := serve(t, share.Share{Kind: share.Web, Target: dir})
	if a := c.get("/a"); a.StatusCode != 403 {
		t.Errorf("%d", a.StatusCode)
	}
}
