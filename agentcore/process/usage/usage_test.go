package usage

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"sharetray/agentcore/link"
	"sharetray/agentcore/share"
)

// scene is a server of a folder whose use goes into a book.
type scene struct {
	*testing.T
	*httptest.Server
	book *Book
	log  *lockedBuffer
	dir  string

	mu     sync.Mutex
	visits []link.Visit
	ended  chan struct{} // receives at the end of each request
}

func newScene(t *testing.T, opt Options) *scene {
	s := &scene{T: t, log: &lockedBuffer{}, dir: t.TempDir(), ended: make(chan struct{}, 1000)}
	opt.Visit = func(v link.Visit) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.visits = append(s.visits, v)
	}
	opt.Log, opt.Files = s.log, true
	s.book = New(opt)
	files := http.FileServer(http.Dir(s.dir))
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := s.book.Begin(w, r)
		files.ServeHTTP(q, r)
		_, _ = io.Copy(io.Discard, r.Body)
		if q.Over() {
			http.Error(q, "over", http.StatusGone)
		}
		q.Admit("ann")
		q.End()
		s.ended <- struct{}{}
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *scene) file(name, content string) {
	s.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(content), 0o600); err != nil {
		s.Fatal(err)
	}
}

// get returns the status and the body, after the request was booked.
func (s *scene) get(path string, header ...string) (int, string) {
	s.Helper()
	req, err := http.NewRequest(http.MethodGet, s.URL+path, nil)
	if err != nil {
		s.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := s.Client().Do(req)
	if err != nil {
		s.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		s.Fatal(err)
	}
	<-s.ended
	return resp.StatusCode, string(b)
}

func (s *scene) whats() (whats []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, v := range s.visits {
		whats = append(whats, v.What)
	}
	return whats
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func TestCounts(t *testing.T) {
	t.Parallel()
	s := newScene(t, Options{})
	s.file("a.bin", strings.Repeat("x", 3*piece/2))
	s.file("b.html", "<p>")
	for _, path := range []string{"/a.bin", "/b.html", "/none", "/"} {
		s.get(path, "User-Agent", "t\"est\u202e")
	}
	resp, err := http.Post(s.URL+"/b.html", "", strings.NewReader("hello"))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	<-s.ended
	in, out := s.book.Bytes()
	if in != 5 || out < 3*piece/2 || out > 3*piece/2+500 {
		t.Errorf("in %d, out %d", in, out)
	}
	if got := fmt.Sprint(s.whats()); got != "[visitor download]" {
		t.Errorf("visits %s", got)
	}
	vs := s.book.Visitors()
	if len(vs) != 1 || vs[0].Addr != "127.0.0.1" || vs[0].Requests != 5 || vs[0].BytesIn != 5 || vs[0].BytesOut != out || vs[0].User != "ann" || vs[0].Path != "/b.html" {
		t.Errorf("%+v", vs)
	}
	s.book.Flush()
	lines := strings.Split(strings.TrimSpace(s.log.String()), "\n")
	combined := regexp.MustCompile(`^127\.0\.0\.1 - ann \[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] "(GET|POST) /\S* HTTP/1\.1" \d{3} \d+ "" "(t\\"est\\xe2\\x80\\xae|Go-http-client/1\.1)"$`)
	for _, l := range lines {
		if !combined.MatchString(l) {
			t.Errorf("%q", l)
		}
	}
	if len(lines) != 5 {
		t.Errorf("%d lines", len(lines))
	}
}

// TestPartsOfAFile: only who has a file's end has downloaded it, and who breaks
// off has not.
func TestPartsOfAFile(t *testing.T) {
	t.Parallel()
	s := newScene(t, Options{})
	s.file("a.bin", strings.Repeat("x", 64<<20))
	for _, c := range []struct {
		bounds string
		more   int
	}{{"bytes=0-9", 0}, {"bytes=-1", 1}, {"bytes=5-10", 0}, {"bytes=67108000-", 1}} {
		before := len(s.whats())
		s.get("/a.bin", "Range", c.bounds)
		if before == 0 {
			before = 1 // the visitor
		}
		if got := len(s.whats()) - before; got != c.more {
			t.Errorf("%s: %d downloads", c.bounds, got)
		}
	}
	before := len(s.whats())
	conn, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(conn, "GET /a.bin HTTP/1.1\r\nHost: localhost\r\n\r\n")
	if _, err := bufio.NewReader(conn).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	conn.Close()
	<-s.ended
	if len(s.whats()) != before {
		t.Errorf("broken off: %v", s.whats())
	}
}

// TestNoFurtherDownload: what may not be sent any more is not sent, not even its
// first byte, and something else can be.
func TestNoFurtherDownload(t *testing.T) {
	t.Parallel()
	left := 1
	var ends []bool
	s := newScene(t, Options{Download: func() (func(bool), bool) {
		left--
		return func(whole bool) { ends = append(ends, whole) }, left >= 0
	}})
	s.file("a.bin", "secret")
	s.file("b.html", "page")
	if status, body := s.get("/a.bin"); status != 200 || body != "secret" {
		t.Errorf("%d %s", status, body)
	}
	for range 2 {
		if status, body := s.get("/a.bin"); status != http.StatusGone || strings.Contains(body, "secret") {
			t.Errorf("%d %s", status, body)
		}
	}
	if status, _ := s.get("/b.html"); status != 200 {
		t.Errorf("a page: %d", status)
	}
	if fmt.Sprint(ends) != "[true]" || fmt.Sprint(s.whats()) != "["+share.FirstVisit+" "+share.DownloadVisit+"]" {
		t.Errorf("%v %v", ends, s.whats())
	}
}

// TestVisitorsAreBounded: the last ones are known, whatever they say.
func TestVisitorsAreBounded(t *testing.T) {
	t.Parallel()
	b := New(Options{})
	for i := range 3 * maxVisitors {
		r := httptest.NewRequest(http.MethodGet, "/"+strings.Repeat("é", 1000), nil)
		r.RemoteAddr = fmt.Sprintf("10.0.%d.%d:1", i/250, i%250)
		r.Header.Set("User-Agent", strings.Repeat("u", 10000))
		q := b.Begin(httptest.NewRecorder(), r)
		q.Admit("")
		q.End()
	}
	vs := b.Visitors()
	if len(vs) != maxVisitors || vs[0].Addr != "10.0.2.99" || len(vs[0].Path) > maxText+3 || len(vs[0].Agent) > maxText+3 {
		t.Errorf("%d visitors, first %+v", len(vs), vs[0])
	}
}

// TestFilesGoTheShortWay: a file's bytes still go from the file to the
// connection by the server's own ReadFrom, in pieces.
func TestFilesGoTheShortWay(t *testing.T) {
	t.Parallel()
	w := &readFrom{ResponseRecorder: httptest.NewRecorder()}
	b := New(Options{})
	q := b.Begin(w, httptest.NewRequest(http.MethodGet, "/", nil))
	f, err := os.Create(filepath.Join(t.TempDir(), "f"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(2*piece + 5); err != nil {
		t.Fatal(err)
	}
	if n, err := io.CopyN(q, f, 2*piece+3); n != 2*piece+3 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if fmt.Sprint(w.files) != "[true true true]" {
		t.Errorf("files: %v", w.files)
	}
	if n, err := io.CopyN(q, f, 10); n != 2 || err != io.EOF {
		t.Errorf("at the end: %d, %v", n, err)
	}
	if _, out := b.Bytes(); out != 2*piece+5 {
		t.Errorf("%d bytes", out)
	}
}

type readFrom struct {
	*httptest.ResponseRecorder
	files []bool
}

func (w *readFrom) ReadFrom(r io.Reader) (int64, error) {
	l, _ := r.(*io.LimitedReader)
	_, isFile := l.R.(*os.File)
	w.files = append(w.files, isFile)
	return io.Copy(io.Discard, r)
}

// TestPresent: an address counts once while anything is served to it.
func TestPresent(t *testing.T) {
	t.Parallel()
	b := New(Options{})
	come := func(addr string) *Request {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr = addr
		q := b.Begin(httptest.NewRecorder(), r)
		q.Admit("")
		return q
	}
	one, two, other := come("10.0.0.1:1"), come("10.0.0.1:2"), come("10.0.0.2:1")
	turned := b.Begin(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
	if n := b.Present(); n != 2 {
		t.Errorf("%d are present", n)
	}
	one.End()
	turned.End()
	if n := b.Present(); n != 2 {
		t.Errorf("%d are present", n)
	}
	two.End()
	other.End()
	if n := b.Present(); n != 0 {
		t.Errorf("%d are present", n)
	}
}
