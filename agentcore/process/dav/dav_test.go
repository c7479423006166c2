package dav

import (
	"bufio"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"sharetray/agentcore/process/intake"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

const lockBody = `<?xml version="1.0"?><D:lockinfo xmlns:D="DAV:"><D:lockscope><D:exclusive/></D:lockscope>` +
	`<D:locktype><D:write/></D:locktype><D:owner><x:href xmlns:x="urn:x">me &amp; you</x:href></D:owner></D:lockinfo>`

func propBody(props string) string {
	return `<?xml version="1.0"?><D:propfind xmlns:D="DAV:"><D:prop>` + props + `</D:prop></D:propfind>`
}

func (d *drive) lock(path string, headers ...string) string {
	d.t.Helper()
	a := d.do("LOCK", path, lockBody, headers...)
	if a.StatusCode/100 != 2 {
		d.t.Fatalf("LOCK %s: %d %s", path, a.StatusCode, a.body)
	}
	return a.Header.Get("Lock-Token")
}

// hrefs lists what a PROPFIND of depth 1 finds, and checks that it is XML.
func (d *drive) hrefs(path string, headers ...string) (all []string) {
	d.t.Helper()
	a := d.want(207, "PROPFIND", path, "", append(headers, "Depth: 1")...)
	var m struct {
		Response []struct {
			Href string `xml:"DAV: href"`
		} `xml:"DAV: response"`
	}
	if err := xml.Unmarshal([]byte(a.body), &m); err != nil {
		d.t.Fatalf("%v in %s", err, a.body)
	}
	for _, r := range m.Response {
		all = append(all, r.Href)
	}
	slices.Sort(all)
	return all
}

func (d *drive) lists(path string, want ...string) {
	d.t.Helper()
	if got := d.hrefs(path); !slices.Equal(got, want) {
		d.t.Errorf("%s lists %q, want %q", path, got, want)
	}
}

func TestReadOnly(t *testing.T) {
	t.Parallel()
	d := newDrive(t, Options{})
	d.write("a", "A")
	a := d.want(200, "OPTIONS", "/", "")
	if a.Header.Get("DAV") != "1" || strings.Contains(a.Header.Get("Allow"), "PUT") || a.Header.Get("MS-Author-Via") != "DAV" {
		t.Errorf("OPTIONS says %v", a.Header)
	}
	for _, m := range []string{"PUT", "MKCOL", "DELETE", "COPY", "MOVE", "PROPPATCH", "LOCK", "UNLOCK"} {
		a := d.want(405, m, "/a", "", "Destination: /b")
		if a.body != "This drive can only be read.\n" || a.Header.Get("Allow") != readMethods {
			t.Errorf("%s is refused with %q, Allow %q", m, a.body, a.Header.Get("Allow"))
		}
	}
	d.want(405, "POST", "/a", "x")
	d.lists("/", "/", "/a")
	if a := d.want(200, "GET", "/a", ""); a.body != "A" {
		t.Errorf("got %q", a.body)
	}
	if a := d.want(207, "PROPFIND", "/a", "", "Depth: 0"); strings.Contains(a.body, "lockentry") || strings.Contains(a.body, "lockdiscovery") {
		t.Errorf("it speaks of locks: %s", a.body)
	}
	d.holds("a", "A")
	d.holds("b", "-")
}

func TestFolderGone(t *testing.T) {
	t.Parallel()
	d := newDrive(t, Options{Root: func() *os.Root { return nil }})
	for _, m := range []string{"OPTIONS", "PROPFIND", "GET", "PUT"} {
		if a := d.want(503, m, "/", ""); a.Header.Get("Retry-After") == "" {
			t.Errorf("%s: when to try again is not said", m)
		}
	}
}

// TestNothingLeavesTheFolder tries every way out, and through links.
func TestNothingLeavesTheFolder(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	for _, dir := range []string{"outside/dir", "shared/sub"} {
		if err := os.MkdirAll(filepath.Join(base, dir), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	d := serveFolder(t, filepath.Join(base, "shared"), Options{Writable: true})
	out := &drive{t: t, dir: filepath.Join(base, "outside")}
	out.write("secret", "SECRET")
	d.write("a", "A")
	d.write("sub/f", "F")
	d.write("sub/.hidden", "H")
	for name, to := range map[string]string{
		"out": "../outside", "outfile": "../outside/secret", "abs": out.dir, "self": "self",
		"in": "sub", "infile": "sub/f", "inhidden": "sub/.hidden", "new": "../outside/new", "sub/up": "..",
	} {
		if err := os.Symlink(to, filepath.Join(d.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	d.lists("/", "/", "/a", "/in/", "/infile", "/sub/")
	d.lists("/in", "/in/", "/in/f", "/in/up/")
	d.want(207, "PROPFIND", "/in/up/in/", "", "Depth: 0")
	for _, p := range []string{"/out", "/out/secret", "/outfile", "/abs/secret", "/self", "/inhidden", "/out/dir", "/new"} {
		for _, m := range []string{"GET", "PROPFIND", "PROPPATCH", "DELETE"} {
			d.want(404, m, p, `<D:propertyupdate xmlns:D="DAV:"/>`)
		}
		d.want(404, "COPY", p, "", "Destination: /x")
		d.want(404, "MOVE", p, "", "Destination: /x")
		for _, m := range []string{"PUT", "LOCK"} {
			if a := d.do(m, p, lockBody); a.StatusCode != 409 && a.StatusCode != 403 && a.StatusCode != 404 {
				t.Errorf("%s %s: %d", m, p, a.StatusCode)
			}
		}
		for _, m := range []string{"COPY", "MOVE"} {
			if a := d.do(m, "/a", "", "Destination: "+p); a.StatusCode != 409 && a.StatusCode != 403 && a.StatusCode != 404 {
				t.Errorf("%s to %s: %d", m, p, a.StatusCode)
			}
		}
		if a := d.do("MKCOL", p+"/x", ""); a.StatusCode != 409 {
			t.Errorf("MKCOL %s: %d", p, a.StatusCode)
		}
	}
	for _, to := range []string{"/../outside/x", "/sub/../../x", "/%2e%2e/x", "/..%2fx", "/sub/%2e%2e/%2e%2e/x", "http://elsewhere.example/x",
		"//elsewhere.example/x", "mailto:x", "", "%zz"} {
		for _, m := range []string{"COPY", "MOVE"} {
			if a := d.do(m, "/a", "", "Destination: "+to); a.StatusCode != 400 && a.StatusCode != 502 {
				t.Errorf("%s to %q: %d", m, to, a.StatusCode)
			}
		}
	}
	for _, p := range []string{"/../outside/secret", "/%2e%2e/outside/secret", "/..%2foutside%2fsecret", "/sub/../../outside/secret", "/a%00"} {
		for _, m := range []string{"GET", "PUT", "DELETE", "PROPFIND", "MKCOL"} {
			d.want(400, m, p, "")
		}
	}
	// Links are removed and copied as what they are to a visitor.
	d.want(201, "COPY", "/in/f", "", "Destination: /copied")
	d.holds("copied", "F")
	d.want(204, "PUT", "/infile", "through a link")
	d.holds("sub/f", "through a link")
	d.want(204, "DELETE", "/in", "")
	d.holds("sub/f", "through a link")
	// A copy ends, though a link leads to where it came from.
	d.want(201, "COPY", "/sub", "", "Destination: /sub2")
	d.holds("sub2/f", "through a link")
	d.holds("sub2/up/a", "A")
	out.holds("secret", "SECRET")
	out.holds("new", "-")
	out.holds("x", "-")
	d.tidy()
	if err := os.Remove(filepath.Join(d.dir, intake.Folder)); err != nil {
		t.Error(err)
	}
}

// TestDeleteLeavesWhatALinkLeadsTo: not even a tree's removal follows links.
func TestDeleteLeavesWhatALinkLeadsTo(t *testing.T) {
	t.Parallel()
	d := newDrive(t, Options{Writable: true})
	d.write("keep/f", "F")
	d.write("tree/x/y", "Y")
	for name, to := range map[string]string{"tree/in": "../keep", "tree/out": t.TempDir(), "tree/broken": "nowhere"} {
		if err := os.Symlink(to, filepath.Join(d.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	d.want(204, "DELETE", "/tree/", "")
	d.holds("keep/f", "F")
	if _, err := os.Lstat(filepath.Join(d.dir, "tree")); !os.IsNotExist(err) {
		t.Errorf("the tree is still there: %v", err)
	}
	d.want(403, "DELETE", "/", "")
	d.want(403, "MOVE", "/", "", "Destination: /x")
	d.want(403, "COPY", "/keep", "", "Destination: /")
	d.want(403, "COPY", "/", "", "Destination: /x")
	d.want(400, "DELETE", "/keep", "", "Depth: 0")
}

func TestHiddenFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := serveFolder(t, dir, Options{Writable: true})
	d.write(".git/config", "C")
	d.write("dir/.env", "E")
	d.write("dir/f", "F")
	d.write(intake.Folder+"/half", "half")
	d.write("mac/f", "F")
	d.lists("/", "/", "/dir/", "/mac/")
	for _, p := range []string{"/.git", "/.git/config", "/dir/.env", "/" + intake.Folder, "/" + intake.Folder + "/half"} {
		for _, m := range []string{"GET", "PROPFIND", "DELETE"} {
			d.want(404, m, p, "")
		}
		d.want(403, "PUT", p, "x")
		d.want(403, "MKCOL", p, "")
		d.want(403, "LOCK", p, lockBody)
		d.want(403, "MOVE", "/dir/f", "", "Destination: "+p)
		d.want(404, "COPY", p, "", "Destination: /x")
	}
	a := d.want(403, "DELETE", "/dir", "")
	if !strings.Contains(a.body, "hidden files") {
		t.Errorf("why is not said: %q", a.body)
	}
	d.want(403, "COPY", "/mac", "", "Destination: /dir")
	d.want(403, "MOVE", "/mac", "", "Destination: /dir")
	d.holds("dir/.env", "E")
	d.holds("dir/f", "F")
	// A copy takes what can be seen; a move takes all.
	d.want(201, "COPY", "/dir", "", "Destination: /copy")
	d.holds("copy/f", "F")
	d.holds("copy/.env", "-")
	d.want(201, "MOVE", "/dir", "", "Destination: /moved")
	d.holds("moved/.env", "E")

	// What macOS puts beside files is kept and found, but not listed.
	for _, p := range []string{"/mac/._f", "/mac/.DS_Store"} {
		d.want(201, "PUT", p, "apple")
		if a := d.want(200, "GET", p, ""); a.body != "apple" {
			t.Errorf("got %q", a.body)
		}
		d.want(207, "PROPFIND", p, "", "Depth: 0")
	}
	d.lists("/mac", "/mac/", "/mac/f")
	d.want(204, "DELETE", "/mac", "")

	// Where hidden files are shared, ours are still nobody's.
	all := serveFolder(t, dir, Options{Writable: true, Hidden: true})
	all.lists("/", "/", "/.git/", "/copy/", "/moved/")
	for _, m := range []string{"GET", "PROPFIND", "DELETE"} {
		all.want(404, m, "/"+intake.Folder+"/half", "")
		all.want(404, m, "/"+intake.Folder, "")
	}
	all.want(403, "PUT", "/"+intake.Folder+"/x", "x")
	all.want(403, "MOVE", "/moved", "", "Destination: /"+intake.Folder)
	all.want(204, "PUT", "/.git/config", "changed")
	all.want(204, "DELETE", "/moved", "")
	all.holds(intake.Folder+"/half", "half")

	read := serveFolder(t, dir, Options{})
	read.write(".DS_Store", "names of files")
	read.want(404, "GET", "/.DS_Store", "")
}

func TestNames(t *testing.T) {
	t.Parallel()
	d := newDrive(t, Options{Writable: true})
	for _, name := range []string{"ünï", "with space", "per%cent", "ha#sh", "que?ry", "quo\"te", "a&b<c>", "日本", "-"} {
		p := (&url.URL{Path: "/" + name}).EscapedPath()
		d.want(201, "PUT", p, "of "+name)
		if runtime.GOOS != "windows" {
			d.holds(name, "of "+name)
		}
		if !slices.Contains(d.hrefs("/"), p) {
			t.Errorf("%q is not listed as %q: %q", name, p, d.hrefs("/"))
		}
		d.want(201, "MOVE", p, "", "Destination: "+d.URL+p+"2")
		d.want(204, "DELETE", p+"2", "")
	}
	for _, p := range []string{"/a%0ab", "/a%07", "/%ff", "/a%c2%85b"} {
		d.want(403, "PUT", p, "x")
		d.want(403, "MKCOL", p, "")
	}
	d.want(403, "PUT", "/"+strings.Repeat("x", 300), "x")
	d.want(414, "PUT", "/"+strings.Repeat("x/", 3000), "x")
	// What has such a name already can be had and be removed.
	d.write("line\nbreak", "x")
	d.lists("/", "/", "/line%0Abreak")
	d.want(204, "DELETE", "/line%0Abreak", "")

	for name, unfit := range map[string]bool{
		"CON": true, "con.txt": true, "NUL .x": true, "COM1": true, "lpt¹": true, "COM10": false, "CONSOLE": false, "a:b": true,
		"f.": true, "f ": true, "f::$DATA": true, `a\b`: true, "GIT~1": true, "LONGNA~2.TXT": true, "~$doc.docx": false,
		"a~b": false, "normal.txt": false, "": false, "COM": false, "what?": true, "notes~2024-final": false,
	} {
		if unfitForWindows(name) != unfit {
			t.Errorf("%q: unfit for Windows is %v", name, !unfit)
		}
	}
}

// TestPipes: what is no file or folder is not opened, as that may never end.
func TestPipes(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("there are none")
	}
	d := newDrive(t, Options{Writable: true})
	d.write("dir/f", "F")
	if out, err := exec.Command("mkfifo", filepath.Join(d.dir, "dir", "pipe")).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	d.lists("/dir", "/dir/", "/dir/f")
	for _, m := range []string{"GET", "PROPFIND", "DELETE"} {
		d.want(404, m, "/dir/pipe", "")
	}
	d.want(403, "PUT", "/dir/pipe", "x")
	d.want(201, "COPY", "/dir", "", "Destination: /copy")
	d.lists("/copy", "/copy/", "/copy/f")
}

func TestPutIsWholeOrNot(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var events []Event
	var free atomic.Uint64
	free.Store(1 << 40)
	d := newDrive(t, Options{Writable: true, MaxBytes: 1000, Stall: 5 * time.Second,
		Free: func(*os.Root) (uint64, error) { return free.Load(), nil },
		Done: func(e Event) { mu.Lock(); defer mu.Unlock(); events = append(events, e) }})
	d.write("f", "old")
	d.write("big", "more than 10 bytes")
	if err := os.Chmod(filepath.Join(d.dir, "f"), 0o640); err != nil {
		t.Fatal(err)
	}

	// A body that breaks off, by its length or in chunks.
	for _, head := range []string{"Content-Length: 100\r\n\r\nhalf", "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"} {
		conn, err := net.Dial("tcp", d.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "PUT /f HTTP/1.1\r\nHost: x\r\n%s", head)
		conn.(*net.TCPConn).CloseWrite()
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil || resp.StatusCode != 400 {
			t.Errorf("broken off: %v, %v", resp, err)
		}
		conn.Close()
		d.holds("f", "old")
	}

	a := d.want(413, "PUT", "/f", strings.Repeat("x", 1001))
	if !strings.Contains(a.body, "more than this drive accepts") {
		t.Errorf("why is not said: %q", a.body)
	}
	// Of a length that is not said.
	req, _ := http.NewRequest("PUT", d.URL+"/f", io.LimitReader(strings.NewReader(strings.Repeat("x", 5000)), 5000))
	if resp, err := d.Client().Do(req); err != nil || resp.StatusCode != 413 {
		t.Errorf("too much in chunks: %v, %v", resp, err)
	} else {
		resp.Body.Close()
	}
	free.Store(10)
	d.want(507, "PUT", "/f", strings.Repeat("x", 11))
	d.want(507, "COPY", "/big", "", "Destination: /big2")
	free.Store(1 << 40)
	d.want(400, "PUT", "/f", "part", "Content-Range: bytes 0-3/10")
	d.want(405, "PUT", "/f/", "x")
	d.want(405, "PUT", "/", "x")
	d.want(409, "PUT", "/no/such/folder", "x")
	d.want(409, "PUT", "/f/below", "x")
	d.holds("f", "old")

	d.want(204, "PUT", "/f", "new")
	d.holds("f", "new")
	if info, err := os.Stat(filepath.Join(d.dir, "f")); err != nil || info.Mode().Perm() != 0o640 && runtime.GOOS != "windows" {
		t.Errorf("its mode is %v, %v", info.Mode(), err)
	}
	d.want(201, "PUT", "/empty", "")
	d.holds("empty", "")
	d.tidy()
	mu.Lock()
	defer mu.Unlock()
	if len(events) != 2 || events[0].Op != "PUT" || events[0].Name != "f" || events[0].Bytes != 3 || events[1].Name != "empty" {
		t.Errorf("told %v", events)
	}
}

// TestRoomForCopies: a copy that has no room leaves nothing.
func TestRoomForCopies(t *testing.T) {
	t.Parallel()
	d := newDrive(t, Options{Writable: true, Reserve: 100, Free: func(*os.Root) (uint64, error) { return 150, nil }})
	d.write("tree/a", strings.Repeat("a", 30))
	d.write("tree/b", strings.Repeat("b", 30))
	d.want(507, "COPY", "/tree", "", "Destination: /copy")
	d.holds("copy", "-")
	d.want(201, "COPY", "/tree", "", "Destination: /copy", "Depth: 0")
	d.lists("/copy", "/copy/")
	d.want(204, "COPY", "/tree/a", "", "Destination: /copy")
	d.holds("copy", strings.Repeat("a", 30))
	if a := d.want(207, "PROPFIND", "/", propBody("<D:quota-available-bytes/>"), "Depth: 0"); !strings.Contains(a.body, ">50</D:quota") {
		t.Errorf("room is %s", a.body)
	}
	d.tidy()
}

// TestStalledBody: who sends nothing more is given up.
func TestStalledBody(t *testing.T) {
	t.Parallel()
	d := newDrive(t, Options{Writable: true, Stall: 100 * time.Millisecond})
	conn, err := net.Dial("tcp", d.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "PUT /f HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf")
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || resp.StatusCode != 408 {
		t.Fatalf("%v, %v", resp, err)
	}
	d.holds("f", "-")
	d.tidy()
}

func TestConditions(t *testing.T) {
	t.Parallel()
	d := newDrive(t, Options{Writable: true})
	tag := d.want(201, "PUT", "/f", "1", "If-None-Match: *").Header.Get("ETag")
	if tag == "" || tag[0] != '"' {
		t.Fatalf("ETag %q", tag)
	}
	if got := d.want(200, "GET", "/f", "").Header.Get("ETag"); got != tag {
		t.Errorf("GET says %s, PUT %s", got, tag)
	}
	if a := d.want(207, "PROPFIND", "/f", propBody("<D:getetag/>"), "Depth: 0"); !strings.Contains(a.body, ">"+tag+"<") {
		t.Errorf("PROPFIND does not say %s: %s", tag, a.body)
	}
	d.want(304, "GET", "/f", "", "If-None-Match: "+tag)
	d.want(412, "PUT", "/f", "2", "If-None-Match: *")
	d.want(412, "PUT", "/f", "2", "If-None-Match: "+tag)
	d.want(412, "PUT", "/f", "2", `If-Match: "other"`)
	d.want(412, "PUT", "/f", "2", "If-Match: W/"+tag)
	d.want(412, "PUT", "/new", "2", "If-Match: *")
	d.want(412, "PUT", "/f", "2", "If-Unmodified-Since: Mon, 02 Jan 2006 15:04:05 GMT")
	d.want(412, "DELETE", "/f", "", `If-Match: "other"`)
	d.want(412, "MOVE", "/f", "", `If-Match: "other"`, "Destination: /g")
	d.want(412, "PUT", "/f", "2", `If: (["other"])`)
	d.want(412, "PUT", "/f", "2", "If: (Not ["+tag+"])")
	d.want(412, "PUT", "/f", "2", "If: </g> (["+tag+"])")
	d.want(400, "PUT", "/f", "2", "If: ([")
	d.want(400, "PUT", "/f", "2", "If: "+strings.Repeat("(<a>)", maxIf+1))
	d.want(400, "PUT", "/f", "2", "If: ("+strings.Repeat("<a>", maxIf+1)+")")
	d.want(400, "PUT", "/f", "2", "If: ()")
	d.want(400, "PUT", "/f", "2", "If: ")
	d.holds("f", "1")
	d.want(204, "PUT", "/f", "2", `If-Match: "other", `+tag)
	now := d.do("HEAD", "/f", "").Header.Get("ETag")
	d.want(204, "PUT", "/f", "3", "If: <"+d.URL+"/f> (["+now+`]) (["other"])`)
	d.holds("f", "3")

	// Files of one size that follow each other at once have ETags of their own.
	seen := map[string]bool{}
	for i := range 50 {
		tag := d.want(204, "PUT", "/f", fmt.Sprint(i%10)).Header.Get("ETag")
		if seen[tag] {
			t.Fatalf("%s once more", tag)
		}
		seen[tag] = true
		d.want(201, "PUT", "/copied", "c")
		d.want(204, "COPY", "/copied", "", "Destination: /f")
		if tag = d.do("HEAD", "/f", "").Header.Get("ETag"); seen[tag] {
			t.Fatalf("%s once more, by a copy", tag)
		}
		seen[tag] = true
		d.want(204, "DELETE", "/copied", "")
	}

	// Of many that saw the same file, one changes it.
	tag = d.do("HEAD", "/f", "").Header.Get("ETag")
	var won atomic.Int32
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			if a := d.do("PUT", "/f", fmt.Sprintf("writer %02d", i), "If-Match: "+tag); a.StatusCode == 204 {
				won.Add(1)
			} else if a.StatusCode != 412 {
				t.Errorf("%d %s", a.StatusCode, a.body)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Errorf("%d won", won.Load())
	}
	d.tidy()
}

// TestETagIsCaddys: a client compares what the file server says with what we say.
func TestETagIsCaddys(t *testing.T) {
	t.Parallel()
	d := newDrive(t, Options{})
	d.write("f", strings.Repeat("x", 1234))
	for when, want := range map[time.Time]string{
		time.Unix(1700000000, 123456789): `"cwyvpeni7w9h-ya"`,
		time.Unix(1, 0):                  "", // Caddy takes it for no time
	} {
		if err := os.Chtimes(filepath.Join(d.dir, "f"), when, when); err != nil {
			t.Fatal(err)
		}
		if got := d.do("GET", "/f", "").Header.Get("ETag"); got != want {
			t.Errorf("%v: %s, want %s", when, got, want)
		}
	}
}

func TestCopyAndMove(t *testing.T) {
	t.Parallel()
	d := newDrive(t, Options{Writable: true})
	d.write("a/f", "F")
	d.write("a/b/g", "G")
	d.write("plain", "P")
	for _, m := range []string{"COPY", "MOVE"} {
		for _, to := range []string{"/a", "/a/", "/a/b/c", "/a/b", "/a/new"} {
			d.want(403, m, "/a", "", "Destination: "+to)
		}
		d.want(403, m, "/a/b", "", "Destination: /a") // it would go with what it replaces
		d.want(403, m, "/plain", "", "Destination: /plain")
		d.want(412, m, "/plain", "", "Destination: /a", "Overwrite: F")
		d.want(409, m, "/plain", "", "Destination: /no/where")
		d.want(409, m, "/plain", "", "Destination: /a/f/x")
		d.want(404, m, "/nothing", "", "Destination: /x")
		d.want(400, m, "/plain", "")
		d.want(400, m, "/plain", "", "Destination: /x", "Overwrite: maybe")
		d.want(400, m, "/a", "", "Destination: /x", "Depth: 1")
		d.want(502, m, "/plain", "", "Destination: http://example.com/x")
	}
	d.want(400, "MOVE", "/a", "", "Destination: /x", "Depth: 0")
	d.holds("a/b/g", "G")
	d.holds("plain", "P")

	host := strings.TrimPrefix(d.URL, "http://")
	d.want(201, "COPY", "/a", "", "Destination: https://"+host+"/copy")
	d.holds("copy/b/g", "G")
	d.want(201, "MOVE", "/copy/b", "", "Destination: http://outer.example/b", "X-Forwarded-Host: outer.example")
	d.holds("b/g", "G")
	d.holds("copy/b/g", "-")
	// One replaces the other, whatever they are; nothing of it is left.
	d.want(204, "MOVE", "/plain", "", "Destination: /copy")
	d.holds("copy", "P")
	d.want(204, "COPY", "/a", "", "Destination: /copy")
	d.lists("/copy", "/copy/", "/copy/b/", "/copy/f")
	d.want(204, "MOVE", "/copy", "", "Destination: /b", "Overwrite: T")
	d.lists("/b", "/b/", "/b/b/", "/b/f")
	d.tidy()
}

// TestPrefix is a drive under a secret link.
func TestPrefix(t *testing.T) {
	t.Parallel()
	d := newDrive(t, Options{Writable: true, Prefix: func(*http.Request) string { return "/s/token" }})
	d.want(201, "PUT", "/s/token/f", "F")
	d.want(201, "MKCOL", "/s/token/dir", "")
	d.lists("/s/token/", "/s/token/", "/s/token/dir/", "/s/token/f")
	d.want(502, "MOVE", "/s/token/f", "", "Destination: /g")
	d.want(502, "MOVE", "/s/token/f", "", "Destination: /s/tokenx/g")
	d.want(502, "COPY", "/s/token/f", "", "Destination: /s/other/g")
	d.want(201, "MOVE", "/s/token/f", "", "Destination: "+d.URL+"/s/token/dir/g")
	d.holds("dir/g", "F")
	a := d.want(200, "LOCK", "/s/token/dir", lockBody)
	if !strings.Contains(a.body, "<D:lockroot><D:href>/s/token/dir</D:href>") {
		t.Errorf("the lock is of %s", a.body)
	}
	d.want(423, "PUT", "/s/token/dir/g", "2", "If: </s/token/dir/g> (Not <DAV:no-lock>)")
	d.want(204, "PUT", "/s/token/dir/g", "2", "If: <"+d.URL+"/s/token/dir> ("+a.Header.Get("Lock-Token")+")")
}

func TestLocks(t *testing.T) {
	t.Parallel()
	d := newDrive(t, Options{Writable: true})
	d.write("dir/f", "F")
	d.write("other", "O")
	token := d.lock("/dir/f")
	for _, one := range [][]string{{"PUT", "/dir/f"}, {"DELETE", "/dir/f"}, {"DELETE", "/dir"}, {"MOVE", "/dir", "Destination: /x"},
		{"MOVE", "/other", "Destination: /dir/f"}, {"COPY", "/other", "Destination: /dir"}, {"LOCK", "/dir/f"}, {"LOCK", "/dir"},
		{"PROPPATCH", "/dir/f"}} {
		body := lockBody
		if one[0] == "PROPPATCH" {
			body = `<D:propertyupdate xmlns:D="DAV:"><D:set><D:prop><x xmlns="u">1</x></D:prop></D:set></D:propertyupdate>`
		}
		a := d.want(423, one[0], one[1], body, one[2:]...)
		var e struct{ XMLName xml.Name }
		if err := xml.Unmarshal([]byte(a.body), &e); err != nil || e.XMLName.Local != "error" {
			t.Errorf("%q: %v %s", one, err, a.body)
		}
	}
	d.want(201, "COPY", "/dir/f", "", "Destination: /copy") // reading is free
	d.want(201, "PUT", "/dir/new", "N")
	a := d.want(207, "PROPFIND", "/dir/f", propBody("<D:lockdiscovery/>"), "Depth: 0")
	if !strings.Contains(a.body, strings.Trim(token, "<>")) || !strings.Contains(a.body, `<href xmlns="urn:x">me &amp; you</href>`) {
		t.Errorf("the lock is not to be seen: %s", a.body)
	}
	d.want(204, "PUT", "/dir/f", "2", "If: ("+token+")")
	d.want(409, "UNLOCK", "/other", "", "Lock-Token: "+token)
	d.want(400, "UNLOCK", "/dir/f", "", "Lock-Token: x")
	// It goes with what it is of.
	d.want(201, "MOVE", "/dir/f", "", "Destination: /moved", "If: ("+token+")")
	d.want(409, "UNLOCK", "/moved", "", "Lock-Token: "+token)
	d.want(201, "PUT", "/dir/f", "again")

	// A lock of a tree, and of what is not there yet.
	token = d.lock("/dir")
	d.want(423, "PUT", "/dir/new", "x")
	d.want(423, "MKCOL", "/dir/sub", "")
	d.want(423, "LOCK", "/dir/unborn", lockBody)
	d.want(201, "MKCOL", "/dir/sub", "", "If: </dir/> ("+token+")")
	d.want(204, "UNLOCK", "/dir/sub", "", "Lock-Token: "+token)
	d.want(201, "LOCK", "/unborn", lockBody)
	d.holds("unborn", "")
	d.want(409, "LOCK", "/no/where", lockBody)

	// Of a folder's members only: what is in them may change, not which they are.
	token = d.lock("/dir/sub", "Depth: 0")
	d.want(423, "PUT", "/dir/sub/new", "x")
	d.want(204, "UNLOCK", "/dir/sub", "", "Lock-Token: "+token)

	// Several may share one.
	shared := strings.ReplaceAll(lockBody, "exclusive", "shared")
	one := d.want(200, "LOCK", "/other", shared).Header.Get("Lock-Token")
	two := d.want(200, "LOCK", "/other", shared).Header.Get("Lock-Token")
	d.want(423, "LOCK", "/other", lockBody)
	d.want(423, "PUT", "/other", "x")
	d.want(204, "PUT", "/other", "x", "If: ("+two+")")
	d.want(204, "UNLOCK", "/other", "", "Lock-Token: "+one)
	d.want(204, "PUT", "/other", "y", "If: ("+two+")")

	for body, status := range map[string]int{
		"<x": 400, "<x/>": 400, strings.ReplaceAll(lockBody, "exclusive", "none"): 400,
		strings.ReplaceAll(lockBody, "me", strings.Repeat("me", maxOwner)): 413,
	} {
		d.want(status, "LOCK", "/copy", body)
	}
	d.want(400, "LOCK", "/copy", lockBody, "Depth: 1")
	d.want(400, "LOCK", "/copy", "")
	d.want(412, "LOCK", "/copy", "", "If: (<opaquelocktoken:none>)")
}

// TestLockEnds: a lock that its client never releases ends, and one that is
// refreshed does not.
func TestLockEnds(t *testing.T) {
	t.Parallel()
	var clock atomic.Int64
	start := time.Now()
	d := newDrive(t, Options{Writable: true}, func(h *Handler) {
		h.locks.now = func() time.Time { return start.Add(time.Duration(clock.Load())) }
	})
	for header, seconds := range map[string]int{"Infinite, Second-4100000000": 3600, "Second-4100000000": 3600, "Second-60": 60,
		"": 600, "nonsense": 600, "Second-0": 600, "Second--5": 600, "Extend, Second-30": 30} {
		if got := lockLife(header); got != time.Duration(seconds)*time.Second {
			t.Errorf("%q: %v", header, got)
		}
	}
	a := d.want(201, "LOCK", "/f", lockBody, "Timeout: Second-60")
	if !strings.Contains(a.body, "Second-60<") {
		t.Errorf("its life is not said: %s", a.body)
	}
	token := a.Header.Get("Lock-Token")
	clock.Store(int64(50 * time.Second))
	d.want(200, "LOCK", "/f", "", "If: ("+token+")", "Timeout: Second-60")
	clock.Store(int64(100 * time.Second))
	d.want(423, "PUT", "/f", "x")
	clock.Store(int64(111 * time.Second))
	d.want(412, "PUT", "/f", "mine", "If: ("+token+")")
	d.want(204, "PUT", "/f", "x")
	d.want(412, "LOCK", "/f", "", "If: ("+token+")")
	clock.Store(int64(3 * time.Minute))
	d.want(204, "PUT", "/f", "y")
	d.h.locks.do(func() {
		if n := len(d.h.locks.byToken); n != 0 {
			t.Errorf("%d locks are remembered", n)
		}
	})
}

func TestLocksAreBounded(t *testing.T) {
	t.Parallel()
	l := locks{now: time.Now}
	for i := range maxLocks {
		if _, err := l.create(lock{Name: fmt.Sprint(i), Life: time.Hour}); err != nil {
			t.Fatal(i, err)
		}
	}
	if _, err := l.create(lock{Name: "x", Life: time.Hour}); explain(err).status != 503 {
		t.Errorf("one more: %v", err)
	}
	start := time.Now()
	l.now = func() time.Time { return start.Add(2 * time.Hour) }
	if _, err := l.create(lock{Name: "x", Life: time.Hour}); err != nil || len(l.byToken) != 1 {
		t.Errorf("when they are over: %v, %d", err, len(l.byToken))
	}
	l = locks{now: time.Now}
	var err error
	n := 0
	for ; err == nil; n++ {
		_, err = l.create(lock{Name: fmt.Sprint(n), Owner: strings.Repeat("x", maxOwner), Life: time.Hour})
	}
	if n > maxLockBytes/maxOwner+1 {
		t.Errorf("%d locks of %d bytes", n, maxOwner)
	}
}

// TestLocksOutliveTheProcess: another process that serves the same folder
// knows the locks of the one before.
func TestLocksOutliveTheProcess(t *testing.T) {
	t.Parallel()
	dir, file := t.TempDir(), StateFile(filepath.Join(t.TempDir(), "locks"))
	d := serveFolder(t, dir, Options{Writable: true, State: file})
	later := serveFolder(t, dir, Options{Writable: true, State: file}) // made before there is a lock
	d.write("f", "F")
	token, gone := d.lock("/f"), d.lock("/g")
	d.want(204, "UNLOCK", "/g", "", "Lock-Token: "+gone)
	later.want(423, "PUT", "/f", "x")
	later.want(204, "PUT", "/g", "x")
	later.want(204, "PUT", "/f", "x", "If: ("+token+")")
	later.want(200, "LOCK", "/f", "", "If: ("+token+")")
	if info, err := os.Stat(string(file)); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}

	// Nonsense is no lock, and keeps nobody from working.
	for _, bad := range []string{"{", "null", "[null]", `[{"name":"f","token":"t","expires":"9999-01-01T00:00:00Z"}]`} {
		if err := os.WriteFile(string(file), []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		serveFolder(t, dir, Options{Writable: true, State: file}).want(204, "PUT", "/f", "x")
	}
	failing := serveFolder(t, dir, Options{Writable: true, State: StateFile(filepath.Join(dir, "no", "folder"))})
	failing.lock("/f")
	failing.want(423, "PUT", "/f", "x")

	// Many at once are saved at once, and none is lost.
	counting := &countingState{}
	d = serveFolder(t, t.TempDir(), Options{Writable: true, State: counting})
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() { d.lock(fmt.Sprintf("/%d", i)) })
	}
	wg.Wait()
	if n := strings.Count(counting.last(), `"token"`); n != 20 {
		t.Errorf("%d locks were kept", n)
	}
}

type countingState struct {
	mu   sync.Mutex
	data []byte
}

func (c *countingState) Load() ([]byte, error) { return nil, nil }
func (c *countingState) Save(data []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.data = data
	return nil
}
func (c *countingState) last() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return string(c.data)
}

// TestTwoClients: one works under its lock while another tries.
func TestTwoClients(t *testing.T) {
	t.Parallel()
	d := newDrive(t, Options{Writable: true})
	d.write("f", "start")
	token := d.lock("/f")
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 10 {
				d.want(423, "PUT", "/f", "other")
				d.want(423, "LOCK", "/f", lockBody)
				d.want(207, "PROPFIND", "/", "", "Depth: 1")
			}
		})
	}
	for i := range 20 {
		d.want(204, "PUT", "/f", fmt.Sprint("mine ", i), "If: ("+token+")")
	}
	wg.Wait()
	d.holds("f", "mine 19")
	d.want(204, "UNLOCK", "/f", "", "Lock-Token: "+token)
	d.want(204, "PUT", "/f", "other")

	// A body that began before the lock does not end in it.
	r, w := io.Pipe()
	done := make(chan int)
	go func() {
		req, _ := http.NewRequest("PUT", d.URL+"/f", r)
		resp, err := d.Client().Do(req)
		if err != nil {
			done <- 0
			return
		}
		resp.Body.Close()
		done <- resp.StatusCode
	}()
	if _, err := w.Write([]byte("slow")); err != nil { // it is being read
		t.Fatal(err)
	}
	staged := filepath.Join(d.dir, intake.Folder)
	for deadline := time.Now().Add(20 * time.Second); ; {
		if names, _ := os.ReadDir(staged); len(names) > 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the body is not being taken")
		}
	}
	d.lock("/f")
	w.Close()
	if got := <-done; got != 423 {
		t.Errorf("the slow one is answered %d", got)
	}
	d.holds("f", "other")
	d.tidy()
}

func TestPropfindIsBounded(t *testing.T) {
	t.Parallel()
	d := newDrive(t, Options{Writable: true})
	d.write(strings.Repeat("d/", 300)+"f", "deep")
	d.write("plain", "P")
	for _, headers := range [][]string{nil, {"Depth: infinity"}, {"Depth: Infinity"}} {
		a := d.want(403, "PROPFIND", "/", "", headers...)
		if !strings.Contains(a.body, "<D:propfind-finite-depth>") {
			t.Errorf("the reason is not said as RFC 4918 has it: %s", a.body)
		}
		d.want(207, "PROPFIND", "/plain", "", headers...) // there is nothing below it
	}
	d.want(400, "PROPFIND", "/", "", "Depth: 2")
	d.want(207, "PROPFIND", "/"+strings.Repeat("d/", 300), "", "Depth: 1")
	d.want(403, "COPY", "/d", "", "Destination: /e")
	d.want(403, "DELETE", "/d", "")
	d.want(204, "DELETE", "/"+strings.Repeat("d/", 150), "")
	d.want(204, "DELETE", "/d", "")

	for name, tc := range map[string]struct {
		status int
		body   string
	}{
		"large":         {413, propBody(strings.Repeat(" ", maxXML))},
		"deep":          {400, propBody(strings.Repeat("<a>", 100) + strings.Repeat("</a>", 100))},
		"many":          {413, propBody(manyProps(maxAsked+1, "<p%d/>"))},
		"elements":      {400, propBody(strings.Repeat("<a/>", maxXMLElements))},
		"attributes":    {400, propBody("<a " + manyProps(100_000, `p%d="" `) + "/>")},
		"entities":      {400, `<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;">]>` + propBody("<x>&b;</x>")},
		"external":      {400, `<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>` + propBody("<x>&a;</x>")},
		"no entity":     {400, propBody("<x>&unknown;</x>")},
		"not XML":       {400, "hello"},
		"half":          {400, "<D:propfind xmlns:D='DAV:'>"},
		"two":           {400, propBody("<x/>")[21:] + propBody("<x/>")[21:]},
		"other":         {400, "<x/>"},
		"both":          {400, `<D:propfind xmlns:D="DAV:"><D:allprop/><D:propname/></D:propfind>`},
		"no namespace":  {400, propBody(`<x:y xmlns:x=""/>`)},
		"digit":         {400, propBody(`<x:1 xmlns:x="u"/>`)},
		"xml namespace": {400, propBody(`<xml:y/>`)},
		"twice":         {400, propBody(`<y a="1" a="2"/>`)},
		"other charset": {400, `<?xml version="1.0" encoding="utf-7"?>` + propBody("<x/>")[21:]},
	} {
		if a := d.do("PROPFIND", "/plain", tc.body, "Depth: 0"); a.StatusCode != tc.status {
			t.Errorf("%s: %d %s", name, a.StatusCode, a.body)
		}
	}
}

func manyProps(n int, format string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

// TestHugeFolder: a listing comes as it is made, and takes no memory.
func TestHugeFolder(t *testing.T) {
	t.Parallel()
	d := newDrive(t, Options{})
	const n = 20_000
	for i := range n {
		f, err := os.Create(filepath.Join(d.dir, fmt.Sprintf("file-%05d", i)))
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	req, err := http.NewRequest("PROPFIND", d.URL+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Depth", "1")
	resp, err := d.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.ContentLength >= 0 {
		t.Errorf("it was kept in memory: %d bytes", resp.ContentLength)
	}
	found := 0
	for dec := xml.NewDecoder(resp.Body); ; {
		token, err := dec.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := token.(xml.StartElement); ok && e.Name.Local == "response" {
			found++
		}
	}
	if found != n+1 {
		t.Errorf("%d of %d are listed", found, n+1)
	}
}

func TestDeadProperties(t *testing.T) {
	t.Parallel()
	for name, memory := range map[string]bool{"attributes": false, "memory": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			d := serveFolder(t, dir, Options{Writable: true}, inMemory(memory))
			d.write("f", "F")
			d.write("dir/g", "G")
			patch := func(path, what string, status int) answer {
				t.Helper()
				a := d.want(207, "PROPPATCH", path, `<D:propertyupdate xmlns:D="DAV:" xmlns:x="urn:x">`+what+`</D:propertyupdate>`)
				if !strings.Contains(a.body, fmt.Sprintf("HTTP/1.1 %d ", status)) {
					t.Errorf("PROPPATCH %s %.100s: %s", path, what, a.body)
				}
				return a
			}
			has := func(path, want string) {
				t.Helper()
				for _, body := range []string{"", propBody(`<note xmlns="urn:x"/>`)} {
					a := d.want(207, "PROPFIND", path, body, "Depth: 0")
					if strings.Contains(a.body, "</note>") != (want != "") || !strings.Contains(a.body, want) {
						t.Errorf("%s has not %q: %s", path, want, a.body)
					}
				}
			}
			const note = `<D:set><D:prop xml:lang="de"><x:note>a <x:b c="&lt;">&amp;</x:b></x:note></D:prop></D:set>`
			const is = `xml:lang="de">a <b xmlns="urn:x" c="&lt;">&amp;</b></note>`
			patch("/f", note, 200)
			patch("/dir", note, 200)
			patch("/dir/g", note, 200)
			has("/f", is)
			d.want(204, "PUT", "/f", "new") // a new content, but the same file
			has("/f", is)
			d.want(201, "COPY", "/dir", "", "Destination: /copy")
			d.want(201, "MOVE", "/dir", "", "Destination: /moved")
			for _, p := range []string{"/copy", "/copy/g", "/moved", "/moved/g"} {
				has(p, is)
			}
			d.want(204, "DELETE", "/copy", "")
			d.want(201, "MKCOL", "/copy", "")
			d.want(201, "PUT", "/copy/g", "")
			has("/copy", "")
			has("/copy/g", "")
			// What replaces it is not it.
			d.want(204, "COPY", "/copy/g", "", "Destination: /f")
			has("/f", "")
			patch("/moved/g", `<D:remove><D:prop><x:note/></D:prop></D:remove>`, 200)
			has("/moved/g", "")

			// All or nothing.
			a := patch("/copy/g", note+`<D:set><D:prop><D:getetag>x</D:getetag></D:prop></D:set>`, 403)
			if !strings.Contains(a.body, "424") || !strings.Contains(a.body, "cannot-modify-protected-property") {
				t.Errorf("answered %s", a.body)
			}
			has("/copy/g", "")
			patch("/copy/g", `<D:set><D:prop><x:note>`+strings.Repeat("x", maxProps)+`</x:note></D:prop></D:set>`, 507)
			has("/copy/g", "")
			d.want(400, "PROPPATCH", "/f", "<x/>")
			d.want(400, "PROPPATCH", "/f", "")

			when := "Fri, 02 Jan 2015 03:04:05 GMT"
			patch("/f", `<D:set><D:prop><Win32LastModifiedTime xmlns="urn:schemas-microsoft-com:">`+when+`</Win32LastModifiedTime></D:prop></D:set>`, 200)
			if got := d.do("HEAD", "/f", "").Header.Get("Last-Modified"); got != when {
				t.Errorf("it is of %s", got)
			}
			if a := d.want(207, "PROPFIND", "/moved", `<D:propfind xmlns:D="DAV:"><D:propname/></D:propfind>`, "Depth: 0"); !strings.Contains(a.body, `<note xmlns="urn:x"/>`) {
				t.Errorf("its name is not told: %s", a.body)
			}
			if memory {
				d.want(204, "DELETE", "/moved", "")
				d.want(204, "DELETE", "/f", "")
				d.Close()
				if p := &d.h.props; p.bytes != 0 || len(p.memory) != 0 {
					t.Errorf("%d bytes are remembered: %v", p.bytes, p.memory)
				}
				return
			}
			// They outlive the process.
			d = serveFolder(t, dir, Options{Writable: true})
			has("/moved", is)
			d.tidy()
		})
	}
}

// TestOtherPagesCantWrite: a browser sends what any page tells it to.
func TestOtherPagesCantWrite(t *testing.T) {
	t.Parallel()
	d := newDrive(t, Options{Writable: true})
	d.write("f", "F")
	for _, m := range []string{"PUT", "DELETE", "MKCOL", "MOVE", "COPY", "PROPPATCH", "LOCK", "UNLOCK", "POST"} {
		d.want(403, m, "/f", "x", "Sec-Fetch-Site: cross-site", "Destination: /g")
		d.want(403, m, "/f", "x", "Sec-Fetch-Site: same-site", "Destination: /g")
		d.want(403, m, "/f", "x", "Origin: http://evil.example", "Destination: /g")
	}
	d.holds("f", "F")
	d.want(204, "PUT", "/f", "mine", "Origin: "+d.URL)
	d.want(204, "PUT", "/f", "mine", "Sec-Fetch-Site: same-origin")
	for k := range d.do("OPTIONS", "/", "", "Origin: http://evil.example", "Access-Control-Request-Method: PUT").Header {
		if strings.HasPrefix(k, "Access-Control") {
			t.Errorf("another page is let in: %s", k)
		}
	}
}

// TestWhatCantBeRemoved is told by name, and the rest is removed.
func TestWhatCantBeRemoved(t *testing.T) {
	t.Parallel()
	d := newDrive(t, Options{Writable: true}, func(h *Handler) {
		h.unlink = func(in *os.Root, name string) error {
			if path.Base(name) == "stays" {
				return &os.PathError{Op: "unlink", Path: name, Err: syscall.EACCES}
			}
			return in.Remove(name)
		}
	})
	d.write("tree/dir/stays", "F")
	d.write("tree/dir/goes", "x")
	d.write("tree/goes", "x")
	token := d.lock("/tree/dir/stays")
	a := d.want(207, "DELETE", "/tree", "", "If: </tree/dir/stays> ("+token+")")
	if strings.Count(a.body, "<D:href>") != 1 || !strings.Contains(a.body, "<D:href>/tree/dir/stays</D:href><D:status>HTTP/1.1 403 ") {
		t.Errorf("answered %s", a.body)
	}
	d.holds("tree/dir/stays", "F")
	d.lists("/tree/dir", "/tree/dir/", "/tree/dir/stays")
	d.lists("/tree", "/tree/", "/tree/dir/")
	d.want(423, "PUT", "/tree/dir/stays", "x")
	d.want(403, "DELETE", "/tree/dir/stays", "", "If: ("+token+")")

	d.write("ro", "RO")
	if err := os.Chmod(filepath.Join(d.dir, "ro"), 0o444); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() != 0 { // nothing is read only to root
		d.want(403, "PUT", "/ro", "x")
		d.holds("ro", "RO")
	}
}

// TestAnotherDisk: where one is mounted in the folder, files go there all the
// same, whole; what can't is said, and nothing is lost.
func TestAnotherDisk(t *testing.T) {
	t.Parallel()
	for name, memory := range map[string]bool{"attributes": false, "memory": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDrive(t, Options{Writable: true}, inMemory(memory), func(h *Handler) {
				h.rename = func(root *os.Root, from, to string) error {
					if strings.HasPrefix(from, "mnt/") != strings.HasPrefix(to, "mnt/") {
						return &os.LinkError{Op: "rename", Old: from, New: to, Err: syscall.EXDEV}
					}
					return root.Rename(from, to)
				}
			})
			d.write("mnt/dir/f", "F")
			d.write("tree/f", "T")
			d.want(201, "PUT", "/mnt/new", "N")
			d.want(207, "PROPPATCH", "/mnt/new", `<D:propertyupdate xmlns:D="DAV:"><D:set><D:prop><x xmlns="u">kept</x></D:prop></D:set></D:propertyupdate>`)
			d.want(204, "PUT", "/mnt/new", "N2")
			if a := d.want(207, "PROPFIND", "/mnt/new", "", "Depth: 0"); !strings.Contains(a.body, ">kept<") {
				t.Errorf("its properties are lost: %s", a.body)
			}
			d.want(201, "COPY", "/tree/f", "", "Destination: /mnt/copy")
			d.holds("mnt/new", "N2")
			d.holds("mnt/copy", "T")
			d.want(502, "MOVE", "/tree", "", "Destination: /mnt/tree")
			d.want(502, "MOVE", "/tree", "", "Destination: /mnt/dir")
			d.want(502, "COPY", "/tree", "", "Destination: /mnt/dir")
			d.holds("tree/f", "T")
			d.holds("mnt/dir/f", "F")
			d.lists("/mnt", "/mnt/", "/mnt/copy", "/mnt/dir/", "/mnt/new")
			if left, _ := filepath.Glob(filepath.Join(d.dir, "mnt", ".*")); len(left) > 0 {
				t.Errorf("left behind: %q", left)
			}
			d.tidy()
		})
	}
}

// TestWhatWasInTheWayIsPutBack when a folder can't be replaced after all.
func TestWhatWasInTheWayIsPutBack(t *testing.T) {
	t.Parallel()
	d := newDrive(t, Options{Writable: true}, func(h *Handler) {
		h.rename = func(root *os.Root, from, to string) error {
			if to == "b" {
				return &os.LinkError{Op: "rename", Old: from, New: to, Err: syscall.EACCES}
			}
			return root.Rename(from, to)
		}
	})
	d.write("a/f", "A")
	d.write("b/f", "B")
	d.want(403, "MOVE", "/a", "", "Destination: /b")
	d.want(403, "COPY", "/a", "", "Destination: /b")
	d.holds("a/f", "A")
	d.holds("b/f", "B")
	d.tidy()
}

// TestSweep: what processes that died have left goes, what is being sent stays.
func TestSweep(t *testing.T) {
	t.Parallel()
	d := newDrive(t, Options{Writable: true})
	for _, left := range []string{"old", "tree/old", "young"} {
		d.write(intake.Folder+"/"+left, "half")
	}
	before := time.Now().Add(-2 * intake.LeftFor)
	for _, left := range []string{"old", "tree"} {
		if err := os.Chtimes(filepath.Join(d.dir, intake.Folder, left), before, before); err != nil {
			t.Fatal(err)
		}
	}
	d.want(201, "PUT", "/f", "F")
	d.holds(intake.Folder+"/old", "-")
	d.holds(intake.Folder+"/tree/old", "-")
	d.holds(intake.Folder+"/young", "half")
}

// TestExplained: each error that a disk can have is a status and a sentence.
func TestExplained(t *testing.T) {
	t.Parallel()
	for err, status := range map[error]int{
		&os.PathError{Err: syscall.ENOSPC}: 507, &os.PathError{Err: syscall.EDQUOT}: 507, &os.PathError{Err: syscall.EROFS}: 403,
		&os.PathError{Err: syscall.EACCES}: 403, &os.LinkError{Err: syscall.ENOENT}: 404, &os.PathError{Err: syscall.ENOTDIR}: 404,
		os.ErrDeadlineExceeded: 408, io.ErrUnexpectedEOF: 400, errors.New("x"): 500,
		errors.Join(nil, &http.MaxBytesError{}): 413,
	} {
		why := explain(err)
		if why.status != status || !strings.HasSuffix(why.sentence, ".") {
			t.Errorf("%v: %d %q", err, why.status, why.sentence)
		}
	}
}

// FuzzIf: whatever a client sends is read or refused.
func FuzzIf(f *testing.F) {
	for _, s := range []string{"(<a>)", "<http://x/y> (Not <a> [\"b\"]) ([W/\"c\"])", "(", "()", "(Not)", "<", "x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		lists, ok := parseIf(s)
		if ok != (len(lists) > 0) {
			t.Errorf("%q: %v, %v", s, lists, ok)
		}
	})
}

// FuzzXML: what is said again can be read again, and says the same.
func FuzzXML(f *testing.F) {
	for _, s := range []string{lockBody, `<a xmlns="u" xml:lang="de"><b x="1" y:z="2" xmlns:y="v">t&lt;<c xmlns="" xml:lang=""/></b></a>`, `<a><b:c/></a>`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := readXML([]byte(s))
		if err != nil || n == nil {
			return
		}
		inner := n.inner()
		again, err := readXML([]byte(`<r xml:lang="` + escape(n.lang) + `">` + inner + "</r>"))
		if err != nil {
			t.Fatalf("%q became %q: %v", s, inner, err)
		}
		if got := again.inner(); got != inner {
			t.Errorf("%q became %q, then %q", s, inner, got)
		}
	})
}
