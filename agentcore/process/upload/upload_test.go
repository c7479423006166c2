package upload

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sharetray/agentcore/process/intake"
)

// inbox is a folder with a server that takes files into it.
type inbox struct {
	*testing.T
	*httptest.Server
	h   *Handler
	dir string

	mu   sync.Mutex
	done []string
}

func newInbox(t *testing.T, o Options) *inbox {
	t.Helper()
	in := &inbox{T: t, dir: t.TempDir()}
	root, err := os.OpenRoot(in.dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	o.Root = func() *os.Root { return root }
	o.Done = func(_ *http.Request, name string, size int64) {
		in.mu.Lock()
		defer in.mu.Unlock()
		in.done = append(in.done, fmt.Sprint(name, " ", size))
	}
	in.h = New(o)
	in.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !Takes(r) {
			in.h.Page(w, r, true)
			return
		}
		in.h.ServeHTTP(w, r)
	}))
	t.Cleanup(in.Close)
	return in
}

// ask returns the status, the answer and its headers.
func (in *inbox) ask(method, path string, body io.Reader, header ...string) (int, string, http.Header) {
	in.Helper()
	req, err := http.NewRequest(method, in.URL+path, body)
	if err != nil {
		in.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := in.Client().Do(req)
	if err != nil {
		in.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		in.Fatal(err)
	}
	return resp.StatusCode, string(b), resp.Header
}

func (in *inbox) want(status int, sentence, method, path, body string, header ...string) http.Header {
	in.Helper()
	got, said, h := in.ask(method, path, strings.NewReader(body), header...)
	if got != status || !strings.Contains(said, sentence) {
		in.Errorf("%s %s: %d %q, want %d %q", method, path, got, said, status, sentence)
	}
	return h
}

func (in *inbox) holds(name, content string) {
	in.Helper()
	b, err := os.ReadFile(filepath.Join(in.dir, name))
	if err != nil || string(b) != content {
		in.Errorf("%s holds %.50q, %v", name, b, err)
	}
}

// clean wants nothing unfinished to be left.
func (in *inbox) clean() {
	in.Helper()
	if left, err := os.ReadDir(filepath.Join(in.dir, intake.Folder)); len(left) > 0 || err != nil && !errors.Is(err, fs.ErrNotExist) {
		in.Errorf("left: %v, %v", left, err)
	}
}

func (in *inbox) mkdir(name string) {
	in.Helper()
	if err := os.Mkdir(filepath.Join(in.dir, name), 0o755); err != nil {
		in.Fatal(err)
	}
}

func TestSafeName(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		"cat.jpg": "cat.jpg", "a/../../b": "b", `C:\x\y.txt`: "y.txt", "e\u0301t\u00e9": "\u00e9t\u00e9", "a b.txt": "a b.txt", "ünïcödé 日本.txt": "ünïcödé 日本.txt",
		"console.txt": "console.txt", "-rf": "-rf", "100%": "100%", "a;b&c": "a;b&c", strings.Repeat("x", 255): strings.Repeat("x", 255),
	} {
		if got, err := SafeName(raw); err != nil || got != want {
			t.Errorf("%q: %q, %v", raw, got, err)
		}
	}
	for raw, why := range map[string]string{
		"": "is empty", "a/": "is empty", "..": "begins with a dot", ".": "begins with a dot", ".env": "begins with a dot", "a/..": "begins with a dot",
		"CON": "device", "con.txt": "device", "NUL": "device", "COM1": "device", "LPT9.x": "device", "a\x00b": "invisible", "a\nb": "invisible",
		"a\u202etxt.exe": "invisible", "a\u200bb": "invisible", "a\xff": "readable", "a.": "ends", "a ": "ends", " a": "begins", "a:b": "contains one of",
		"a?": "contains one of", strings.Repeat("x", 4000): "takes 4000 bytes", strings.Repeat("é", 128): "takes 256 bytes",
	} {
		if got, err := SafeName(raw); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%.30q: %q, %v", raw, got, err)
		}
	}
	for n, want := range map[string]string{"cat.jpg": "cat (2).jpg", "x": "x (2)", "a.tar.gz": "a.tar (2).gz"} {
		if got := numbered(n, 2); got != want {
			t.Errorf("%s: %s", n, got)
		}
	}
	if got := numbered(strings.Repeat("é", 127)+".jpg", 10); len(got) > maxName || !strings.HasSuffix(got, "é (10).jpg") {
		t.Errorf("%d bytes: %s", len(got), got)
	}
}

func TestPut(t *testing.T) {
	t.Parallel()
	in := newInbox(t, Options{MaxBytes: 100})
	in.mkdir("sub")
	in.mkdir(".git")
	in.want(201, "", "PUT", "/a", "hello")
	in.want(409, "is not replaced", "PUT", "/a", "again")
	in.holds("a", "hello")
	in.want(201, "", "PUT", "/sub/b%20c", "")
	in.holds("sub/b c", "")
	in.want(201, "", "PUT", "/sub/../x", "x")
	in.want(400, "ends with a slash", "PUT", "/sub/", "x")
	in.want(404, "no such folder", "PUT", "/none/a", "x")
	in.want(404, "no such folder", "PUT", "/a/b", "x")
	in.want(404, "no such folder", "PUT", "/.git/b", "x")
	in.want(404, "no such folder", "PUT", "/"+intake.Folder+"/b", "x")
	in.want(400, "device", "PUT", "/CON", "x")
	in.want(400, "begins with a dot", "PUT", "/.env", "x")
	in.want(400, "takes 4000 bytes", "PUT", "/"+strings.Repeat("x", 4000), "x")
	in.want(400, "readable text", "PUT", "/%ff", "x")
	in.want(400, "A part of a file", "PUT", "/part", "x", "Content-Range", "bytes 0-0/5")
	in.want(413, "at most 100 bytes", "PUT", "/large", strings.Repeat("x", 101))
	if status, said, _ := in.ask("PUT", "/large", io.MultiReader(strings.NewReader(strings.Repeat("x", 101)))); status != 413 { // of unknown length
		t.Errorf("%d %s", status, said)
	}
	in.want(201, "", "PUT", "/most", strings.Repeat("x", 100))
	in.want(403, "Another web page", "PUT", "/csrf", "x", "Origin", "http://evil.example")
	in.want(403, "Another web page", "PUT", "/csrf", "x", "Sec-Fetch-Site", "cross-site")
	in.want(201, "", "PUT", "/own", "x", "Origin", in.URL, "Sec-Fetch-Site", "same-origin")
	in.want(405, "no use", "PATCH", "/own", "x")
	in.clean()
	if got := strings.Join(in.done, ", "); got != "/a 5, /sub/b c 0, /x 1, /most 100, /own 1" {
		t.Error(got)
	}
}

func TestOverwrite(t *testing.T) {
	t.Parallel()
	in := newInbox(t, Options{Overwrite: true})
	in.mkdir("dir")
	in.want(201, "", "PUT", "/a", "one")
	in.want(204, "", "PUT", "/a", "two")
	in.holds("a", "two")
	in.want(409, "is a folder", "PUT", "/dir", "x")
	in.clean()
}

// TestLinksLeadNowhere: a link is neither followed nor replaced.
func TestLinksLeadNowhere(t *testing.T) {
	t.Parallel()
	outside := t.TempDir()
	for _, overwrite := range []bool{false, true} {
		in := newInbox(t, Options{Overwrite: overwrite})
		for name, to := range map[string]string{"out": outside, "file": filepath.Join(outside, "x")} {
			if err := os.Symlink(to, filepath.Join(in.dir, name)); err != nil {
				t.Fatal(err)
			}
		}
		in.want(404, "no such folder", "PUT", "/out/a", "x")
		in.want(409, "", "PUT", "/file", "x")
		in.want(409, "", "PUT", "/out", "x")
		in.clean()
	}
	if left, _ := os.ReadDir(outside); len(left) > 0 {
		t.Errorf("written outside: %v", left)
	}
}

// TestTwoAtOnce: of many who send the same name, one has it, and no file is of two.
func TestTwoAtOnce(t *testing.T) {
	t.Parallel()
	in := newInbox(t, Options{})
	var wg sync.WaitGroup
	var created atomic.Int32
	for i := range 20 {
		wg.Go(func() {
			body := strings.Repeat(fmt.Sprint(i%10), 1<<18)
			if i%2 == 0 {
				if status, _, _ := in.ask("PUT", "/a", strings.NewReader(body)); status == 201 {
					created.Add(1)
				} else if status != 409 {
					t.Errorf("%d", status)
				}
				return
			}
			var form bytes.Buffer
			m := multipart.NewWriter(&form)
			w, _ := m.CreateFormFile("f", "b.txt")
			io.WriteString(w, body)
			m.Close()
			if status, said, _ := in.ask("POST", "/", &form, "Content-Type", m.FormDataContentType()); status != 201 {
				t.Errorf("%d %s", status, said)
			}
		})
	}
	wg.Wait()
	if created.Load() != 1 {
		t.Errorf("%d were created", created.Load())
	}
	entries, err := os.ReadDir(in.dir)
	if err != nil || len(entries) != 1+10+1 { // a, ten of b, the private folder
		t.Errorf("%v, %v", entries, err)
	}
	for _, e := range entries {
		if e.IsDir() {
			continue
		}
		b, err := os.ReadFile(filepath.Join(in.dir, e.Name()))
		if err != nil || len(b) != 1<<18 || strings.Trim(string(b), string(b[:1])) != "" {
			t.Errorf("%s: %d bytes, %v", e.Name(), len(b), err)
		}
	}
	in.clean()
}

func TestNoRoom(t *testing.T) {
	t.Parallel()
	var free atomic.Uint64
	in := newInbox(t, Options{Reserve: 1000, Free: func(*os.Root) (uint64, error) { return free.Load(), nil }})
	for _, n := range []uint64{0, 1000, 1004} {
		free.Store(n)
		in.want(507, "no room", "PUT", "/a", "hello")
		in.want(507, "no room", "POST", "/?upload=new", "", nameHeader, "a", lengthHeader, "5")
	}
	free.Store(1005)
	in.want(201, "", "PUT", "/a", "hello")
	// The disk fills up while a file is on its way.
	body := io.MultiReader(strings.NewReader(strings.Repeat("x", 1<<20)), readerFunc(func(p []byte) (int, error) {
		free.Store(1000)
		return len(p), nil
	}))
	free.Store(1 << 40)
	if status, said, _ := in.ask("PUT", "/b", io.LimitReader(body, 64<<20)); status != 507 {
		t.Errorf("%d %s", status, said)
	}
	in.clean()
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// TestBrokenOff: of a file that breaks off or stalls, nothing stays.
func TestBrokenOff(t *testing.T) {
	t.Parallel()
	in := newInbox(t, Options{Stall: time.Second})
	for _, stall := range []bool{false, true} {
		conn, err := net.Dial("tcp", in.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "PUT /half HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nhalf")
		if stall {
			_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
			if b, err := io.ReadAll(conn); err != nil || !strings.Contains(string(b), "408") {
				t.Errorf("%q, %v", b, err)
			}
		}
		conn.Close()
		for end := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			left, _ := os.ReadDir(filepath.Join(in.dir, intake.Folder))
			if len(left) == 0 {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("left: %v", left)
			}
		}
	}
	if len(in.done) > 0 {
		t.Errorf("%v", in.done)
	}
}

func TestForm(t *testing.T) {
	t.Parallel()
	in := newInbox(t, Options{})
	form := func(names ...string) (string, string) {
		var b strings.Builder
		m := multipart.NewWriter(&b)
		_ = m.WriteField("comment", "is not taken")
		for _, name := range names {
			w, _ := m.CreateFormFile("f", name)
			io.WriteString(w, "of "+name)
		}
		m.Close()
		return b.String(), m.FormDataContentType()
	}
	body, kind := form("a.txt", "b.txt", "a.txt")
	in.want(201, "Added: a.txt, b.txt, a (2).txt.", "POST", "/", body, "Content-Type", kind)
	in.holds("a (2).txt", "of a.txt")
	in.want(200, `role="status">Added: a (3).txt`, "POST", "/", string(replaceForm(form("a.txt"))), "Content-Type", kindOf(form("a.txt")), "Accept", "text/html")
	body, kind = form("../../etc/passwd")
	in.want(201, "Added: passwd.", "POST", "/", body, "Content-Type", kind)
	body, kind = form("CON")
	in.want(400, "device", "POST", "/", body, "Content-Type", kind)
	body, kind = form()
	in.want(400, "no file in the form", "POST", "/", body, "Content-Type", kind)
	in.want(415, "no form", "POST", "/", "x")
	in.want(400, "", "POST", "/", body[:len(body)/2], "Content-Type", kind)
	in.clean()
}

func replaceForm(body, _ string) []byte {
	return []byte(strings.ReplaceAll(body, boundaryOf(body), "fixed"))
}
func kindOf(_, _ string) string { return "multipart/form-data; boundary=fixed" }
func boundaryOf(body string) string {
	line, _, _ := strings.Cut(body, "\r\n")
	return strings.TrimPrefix(line, "--")
}

// TestPieces: an upload goes on where it was, whatever happened to its connection
// or to the process.
func TestPieces(t *testing.T) {
	t.Parallel()
	in := newInbox(t, Options{MaxBytes: 1000})
	begin := func(name, length string) string {
		t.Helper()
		h := in.want(201, "", "POST", "/?upload=new", "", nameHeader, url.PathEscape(name), lengthHeader, length)
		return "/" + h.Get("Location")
	}
	to := begin("ü x.txt", "10")
	in.want(204, "", "PATCH", to, "0123", offsetHeader, "0")
	in.want(409, "another place", "PATCH", to, "0123", offsetHeader, "0")
	if h := in.want(200, "", "HEAD", to, ""); h.Get(offsetHeader) != "4" || h.Get(lengthHeader) != "10" {
		t.Errorf("%v", h)
	}
	in.want(400, "longer than was said", "PATCH", to, "4567890", offsetHeader, "4")

	// Broken off, what has come stays.
	conn, err := net.Dial("tcp", in.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "PATCH %s HTTP/1.1\r\nHost: h\r\n%s: 4\r\nContent-Length: 6\r\n\r\n45", to, offsetHeader)
	_ = conn.(*net.TCPConn).CloseWrite()
	_, _ = io.ReadAll(conn)
	conn.Close()
	if h := in.want(200, "", "HEAD", to, ""); h.Get(offsetHeader) != "6" {
		t.Errorf("%v", h)
	}
	in.h.busy = parts{} // another process
	if h := in.want(201, "", "PATCH", to, "6789", offsetHeader, "6"); h.Get(nameHeader) != url.PathEscape("ü x.txt") {
		t.Errorf("%v", h)
	}
	in.holds("ü x.txt", "0123456789")
	in.want(404, "", "PATCH", to, "", offsetHeader, "10")

	to = begin("ü x.txt", "0") // taken, and empty
	if h := in.want(201, "", "PATCH", to, "", offsetHeader, "0"); h.Get(nameHeader) != url.PathEscape("ü x (2).txt") {
		t.Errorf("%v", h)
	}
	to = begin("gone", "5")
	in.want(204, "", "DELETE", to, "")
	in.want(404, "", "HEAD", to, "")
	for _, id := range []string{"../a", "AAAA", "a", "%00"} {
		in.want(404, "", "PATCH", "/?upload="+id, "x", offsetHeader, "0")
	}
	in.want(400, "How long", "POST", "/?upload=new", "", nameHeader, "a")
	in.want(413, "", "POST", "/?upload=new", "", nameHeader, "a", lengthHeader, "1001")
	in.want(400, "readable", "POST", "/?upload=new", "", nameHeader, "%zz", lengthHeader, "1")
	in.clean()
	for range maxParts {
		begin("x", "5")
	}
	in.want(503, "unfinished", "POST", "/?upload=new", "", nameHeader, "x", lengthHeader, "5")
}

func TestPage(t *testing.T) {
	t.Parallel()
	in := newInbox(t, Options{MaxBytes: 2_500_000})
	h := in.want(200, "At most 2.5 MB each.", "GET", "/my%3Cb%3Efolder/", "")
	if !strings.Contains(h.Get("Content-Security-Policy"), "default-src 'none'") {
		t.Errorf("%v", h)
	}
	in.want(200, "Add files to my&lt;b&gt;folder", "GET", "/my%3Cb%3Efolder/", "")
	in.want(200, `href="./?sort=`, "GET", "/", "")
	in.want(400, `class="wrong"`, "PUT", "/CON", "x", "Accept", "text/html")
	in.want(400, `{"message":"The name is that of a device`, "PUT", "/CON", "x", "Accept", "application/json")
}

// TestCurl: what people type.
func TestCurl(t *testing.T) {
	t.Parallel()
	in := newInbox(t, Options{MaxBytes: 1 << 20})
	small, large := filepath.Join(t.TempDir(), "small.txt"), filepath.Join(t.TempDir(), "large.bin")
	if err := errors.Join(os.WriteFile(small, []byte("hello"), 0o600), os.WriteFile(large, make([]byte, 8<<20), 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		want string
		args []string
	}{
		{"201", []string{"-T", small, in.URL + "/"}},
		{"409", []string{"-T", small, in.URL + "/"}},
		{"201", []string{"-F", "x=@" + small, in.URL + "/"}},
		{"413", []string{"-T", large, in.URL + "/"}},
		{"413", []string{"-F", "x=@" + large, in.URL + "/"}},
	} {
		out, err := exec.Command("curl", append([]string{"-s", "-o", filepath.Join(t.TempDir(), "out"), "-w", "%{http_code}"}, c.args...)...).Output()
		if !strings.HasPrefix(string(out), c.want) { // curl may fail when it is answered before it has sent all
			t.Errorf("%q: %s, %v", c.args, out, err)
		}
	}
	in.holds("small (2).txt", "hello")
	in.clean()
}
