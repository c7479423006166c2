package process

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sharetray/agentcore/link"
	"sharetray/agentcore/share"
	"sharetray/platform"
)

// patience is how long a test waits for what should happen at once.
const patience = 20 * time.Second

// TestMain is a share process when it is started as one.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "share-process" {
		os.Exit(Main(os.Args[2], "test"))
	}
	if len(os.Args) == 4 && os.Args[1] == reviveRole {
		os.Exit(revivedAgent(os.Args[2], os.Args[3]))
	}
	os.Setenv("GORACE", "atexit_sleep_ms=0") // else each share process takes a second to exit under -race
	os.Exit(m.Run())
}

// child is a share process as its agent sees it.
type child struct {
	t      testing.TB
	proc   *platform.Child
	link   *link.Conn
	path   string // of the link
	nonce  string
	probe  string
	addr   string
	log    string
	health chan link.Health // told unasked
	exited chan int
}

func startChild(t testing.TB, env ...string) *child {
	t.Helper()
	dir, err := os.MkdirTemp("", "st") // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	c := &child{
		t: t, path: filepath.Join(dir, "l"), nonce: rand.Text(), probe: rand.Text(),
		log: filepath.Join(dir, "log"), health: make(chan link.Health, 64), exited: make(chan int, 1),
	}
	stderr, err := os.Create(filepath.Join(dir, "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	defer stderr.Close()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c.proc, err = platform.StartChild(exe, []string{"share-process", c.path}, env, c.path, stderr)
	if err != nil {
		t.Fatal(err)
	}
	c.link = link.New(c.proc.Link, c.handle)
	go func() {
		_ = c.proc.Cmd.Wait()
		c.exited <- c.proc.Cmd.ProcessState.ExitCode()
	}()
	t.Cleanup(func() {
		_ = c.proc.Cmd.Process.Kill()
		c.link.Close()
		if t.Failed() {
			for _, name := range []string{"log", "stderr"} {
				if b, _ := os.ReadFile(filepath.Join(dir, name)); len(b) > 0 {
					t.Logf("%s:\n%s", name, b[:min(len(b), 8<<10)])
				}
			}
		}
	})
	return c
}

func (c *child) handle(m link.Message, _ []*platform.Socket) *link.Message {
	if m.Type == link.TypeHealth && m.Health != nil {
		c.health <- *m.Health
	}
	return nil
}

func (c *child) ask(m link.Message, socks ...*platform.Socket) (link.Message, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return c.link.Ask(ctx, m, socks...)
}

func (c *child) mustAsk(m link.Message, socks ...*platform.Socket) link.Message {
	c.t.Helper()
	a, err := c.ask(m, socks...)
	if err != nil {
		c.t.Fatalf("%s: %v", m.Type, err)
	}
	return a
}

func (c *child) hello() link.Hello {
	c.t.Helper()
	a := c.mustAsk(link.Message{Type: link.TypeHello, Hello: &link.Hello{Protocol: link.Protocol, Nonce: c.nonce, Standby: true}})
	if a.Hello == nil {
		c.t.Fatalf("hello was answered by %+v", a)
	}
	return *a.Hello
}

func (c *child) ping() link.Health {
	c.t.Helper()
	return *c.mustAsk(link.Message{Type: link.TypePing}).Health
}

func (c *child) message(s share.Share) link.Message {
	var err error
	if s.Name, err = share.ParseName("test"); err != nil {
		c.t.Fatal(err)
	}
	return link.Message{Type: link.TypeServe, Serve: &link.Serve{
		Share: s, Probe: c.probe, Log: link.Log{Path: c.log, MaxBytes: 64 << 10, Keep: 1},
	}}
}

// serveOn makes the child the share on a socket that stays the test's.
func (c *child) serveOn(s share.Share, sock *platform.Socket) {
	c.t.Helper()
	c.addr = sock.Addr().String()
	if a := c.mustAsk(c.message(s), sock); a.Type != link.TypeOK {
		c.t.Fatalf("serve was answered by %+v", a)
	}
}

func listen(t testing.TB) *platform.Socket {
	t.Helper()
	sock, err := platform.Listen(netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sock.Close() })
	return sock
}

// serve starts a share process for s.
func serve(t testing.TB, s share.Share) *child {
	t.Helper()
	c := startChild(t)
	c.hello()
	c.serveOn(s, listen(t))
	return c
}

func (c *child) url(path string) string { return "http://" + c.addr + path }

// signal sends a signal by name. Windows has no names for most of them, and this
// must compile there.
func (c *child) signal(name string) {
	c.t.Helper()
	if out, err := exec.Command("kill", "-s", name, fmt.Sprint(c.proc.Cmd.Process.Pid)).CombinedOutput(); err != nil {
		c.t.Fatalf("%v: %s", err, out)
	}
}

// exit waits for the end of the process.
func (c *child) exit() int {
	c.t.Helper()
	select {
	case code := <-c.exited:
		c.exited <- code
		return code
	case <-time.After(patience):
		c.t.Fatal("the process does not end")
		return -1
	}
}

// told waits until the process tells a health that is as wanted.
func (c *child) told(what string, want func(link.Health) bool) link.Health {
	c.t.Helper()
	late := time.After(patience)
	for {
		select {
		case h := <-c.health:
			if want(h) {
				return h
			}
		case <-late:
			c.t.Fatalf("was never told: %s", what)
		}
	}
}

// eventually asks until the answer is as wanted.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// answer is a response that was read to its end.
type answer struct {
	*http.Response
	body string
}

// plain is a client that adds nothing of its own to a request.
var plain = &http.Client{
	Transport:     &http.Transport{DisableCompression: true, DisableKeepAlives: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	Timeout:       patience,
}

// get fetches path; headers are "Name: value".
func (c *child) get(path string, headers ...string) answer {
	c.t.Helper()
	return c.do(http.MethodGet, path, headers...)
}

func (c *child) do(method, path string, headers ...string) answer {
	c.t.Helper()
	req, err := http.NewRequest(method, c.url(path), nil)
	if err != nil {
		c.t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		if name == "Host" {
			req.Host = value
		}
		req.Header.Add(name, value)
	}
	resp, err := plain.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return answer{resp, string(b)}
}

// raw sends bytes as they are and returns the whole answer.
func (c *child) raw(request string) string {
	c.t.Helper()
	conn, err := net.Dial("tcp", c.addr)
	if err != nil {
		c.t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(conn, request); err != nil {
		c.t.Fatal(err)
	}
	b, err := io.ReadAll(bufio.NewReader(conn))
	if err != nil && !errors.Is(err, net.ErrClosed) && len(b) == 0 {
		c.t.Fatal(err)
	}
	return string(b)
}

// files fills a new folder: name to content. A name that ends in "/" is a
// folder, a content that begins with "-> " a symbolic link.
func files(t testing.TB, content map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	fill(t, dir, content)
	return dir
}

func fill(t testing.TB, dir string, content map[string]string) {
	t.Helper()
	for name, body := range content {
		path := filepath.Join(dir, name)
		err := os.MkdirAll(filepath.Dir(path), 0o755)
		switch target, isLink := strings.CutPrefix(body, "-> "); {
		case err != nil:
		case strings.HasSuffix(name, "/"):
			err = os.MkdirAll(path, 0o755)
		case isLink:
			err = os.Symlink(target, path)
		default:
			err = os.WriteFile(path, []byte(body), 0o644)
		}
		if err != nil {
			t.Fatal(fmt.Errorf("prepare %s: %w", name, err))
		}
	}
}
