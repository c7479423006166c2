package process

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"sharetray/agentcore/link"
	"sharetray/agentcore/share"
	"sharetray/platform"
)

func (c *child) askToStop() {
	c.t.Helper()
	if err := platform.AskToStop(c.proc.Cmd.Process.Pid); err != nil {
		c.t.Fatal(err)
	}
}

func TestServesProbesAndEnds(t *testing.T) {
	t.Parallel()
	c := startChild(t)
	if h := c.hello(); h.Nonce != c.nonce || h.PID != c.proc.Cmd.Process.Pid || h.Version != "test" || h.Protocol != link.Protocol {
		t.Errorf("hello says %+v", h)
	}
	c.serveOn(share.Share{Kind: share.Web, Target: files(t, map[string]string{"a.txt": "hello"})}, listen(t))
	if a := c.get("/a.txt"); a.StatusCode != 200 || a.body != "hello" {
		t.Errorf("a.txt: %d %q", a.StatusCode, a.body)
	}
	a := c.get("/", link.ProbeHeader+": "+c.probe)
	if a.StatusCode != http.StatusNoContent || a.Header.Get(link.NonceHeader) != c.nonce || a.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("the probe was answered by %d %v", a.StatusCode, a.Header)
	}
	if a := c.get("/a.txt", link.ProbeHeader+": wrong"); a.body != "hello" || a.Header.Get(link.NonceHeader) != "" {
		t.Errorf("a wrong probe was answered by %d %v", a.StatusCode, a.Header)
	}
	if h := c.ping(); h.Requests != 2 || h.Active != 0 || h.TargetError != "" || h.Uptime <= 0 {
		t.Errorf("health is %+v", h)
	}
	c.askToStop()
	if code := c.exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if _, err := os.Stat(c.path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the link's socket is still there: %v", err)
	}
}

func TestStandbyStops(t *testing.T) {
	t.Parallel()
	for _, sig := range platform.StopSignals() {
		t.Run(sig.String(), func(t *testing.T) {
			c := startChild(t)
			c.hello() // it lives, warm or not
			if err := c.proc.Cmd.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			if code := c.exit(); code != 0 {
				t.Errorf("exit code %d", code)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	refused := func(t *testing.T, c *child, m link.Message, socks ...*platform.Socket) link.Refusal {
		t.Helper()
		_, err := c.ask(m, socks...)
		var r *link.Refused
		if !errors.As(err, &r) {
			t.Fatalf("not refused: %v", err)
		}
		return r.Refusal
	}
	hello := func(h link.Hello) link.Message { return link.Message{Type: link.TypeHello, Hello: &h} }
	web := share.Share{Kind: share.Web, Target: t.TempDir()}

	t.Run("hello", func(t *testing.T) {
		c := startChild(t)
		refused(t, c, link.Message{Type: link.TypePing})
		refused(t, c, c.message(web), listen(t))
		refused(t, c, hello(link.Hello{Protocol: link.OldestProtocol - 1, Nonce: "n"}))
		refused(t, c, hello(link.Hello{Protocol: link.Protocol}))
		c.hello()
		refused(t, c, link.Message{Type: "dance"})
		if r := refused(t, c, c.message(web)); r.Permanent {
			t.Errorf("without a socket: %+v", r)
		}
		c.serveOn(web, listen(t)) // nothing of that has spoilt it
		if r := refused(t, c, c.message(web), listen(t)); r.Permanent {
			t.Errorf("a second serve: %+v", r)
		}
		if a := c.get("/", link.ProbeHeader+": "+c.probe); a.Header.Get(link.NonceHeader) != c.nonce {
			t.Error("it serves no more")
		}
	})
	for name, s := range map[string]share.Share{
		"kind":   {Kind: "dance", Target: "/"},
		"path":   {Kind: share.Web, Target: "relative"},
		"scheme": {Kind: share.Proxy, Target: "gopher://localhost"},
		"port":   {Kind: share.Proxy, Target: "http://localhost:99999"},
	} {
		t.Run(name, func(t *testing.T) {
			c := startChild(t)
			c.hello()
			if r := refused(t, c, c.message(s), listen(t)); !r.Permanent || r.Sentence == "" {
				t.Errorf("%+v", r)
			}
			if code := c.exit(); code != link.ExitConfig {
				t.Errorf("exit code %d", code)
			}
		})
	}
}

// TestServeWhileWarmingUp does not wait for anything: most of these are told
// their share in the middle of the warm-up.
func TestServeWhileWarmingUp(t *testing.T) {
	t.Parallel()
	dir := files(t, map[string]string{"a": "hello"})
	for i := range 10 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			c := startChild(t)
			c.hello()
			time.Sleep(time.Duration(i) * time.Millisecond) // no outcome depends on it
			c.serveOn(share.Share{Kind: share.Web, Target: dir}, listen(t))
			for range 3 {
				if a := c.get("/a"); a.body != "hello" {
					t.Errorf("%d %q", a.StatusCode, a.body)
				}
			}
		})
	}
}

func TestNewestAgentIsTheAgent(t *testing.T) {
	t.Parallel()
	c := serve(t, share.Share{Kind: share.Web, Target: files(t, map[string]string{"a": "hello"})})
	conn, err := net.Dial("unix", c.path)
	if err != nil {
		t.Fatal(err)
	}
	second := link.New(conn, c.handle)
	defer second.Close()
	first := c.link
	c.link = second
	a := c.mustAsk(link.Message{Type: link.TypeHello, Hello: &link.Hello{Protocol: link.Protocol + 1, Nonce: "another"}})
	if a.Hello.Nonce != c.nonce || a.Hello.Protocol != link.Protocol {
		t.Errorf("it gave up its nonce, or speaks what it can't: %+v", a.Hello)
	}
	if _, err := c.ask(link.Message{Type: link.TypePause}); err == nil {
		t.Error("it obeys an agent that has not adopted it")
	}
	a = c.mustAsk(link.Message{Type: link.TypeAdopt})
	if a.Role == nil || a.Role.Duty != link.Serves || len(a.Sockets) != 1 || a.Sockets[0].Addr().String() != c.addr {
		t.Fatalf("%+v", a)
	}
	a.Sockets[0].Close()
	select {
	case <-first.Done():
	case <-time.After(patience):
		t.Error("the first agent is still connected")
	}
	if c.ping().Requests != 0 || c.get("/a").body != "hello" {
		t.Error("it does not serve on")
	}
}

func TestEndsWithoutAnAgent(t *testing.T) {
	t.Parallel()
	c := serve(t, share.Share{Kind: share.Web, Target: files(t, map[string]string{"a": "hello"})})
	c.link.Close()
	if a := c.get("/a"); a.body != "hello" { // not at once
		t.Errorf("%d %q", a.StatusCode, a.body)
	}
	if code := c.exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestPauseAndResume(t *testing.T) {
	t.Parallel()
	c := serve(t, share.Share{Kind: share.Web, Target: files(t, map[string]string{"a": "hello"})})
	open, err := net.Dial("tcp", c.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	ask := func(conn net.Conn) string {
		t.Helper()
		_ = conn.SetDeadline(time.Now().Add(patience))
		fmt.Fprint(conn, "GET /a HTTP/1.1\r\nHost: localhost\r\n\r\n")
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(resp.Body)
		return string(b)
	}
	if ask(open) != "hello" {
		t.Fatal("no answer to begin with")
	}
	for range 3 {
		c.mustAsk(link.Message{Type: link.TypePause})
		waits, err := net.Dial("tcp", c.addr) // the kernel takes it
		if err != nil {
			t.Fatal(err)
		}
		defer waits.Close()
		fmt.Fprint(waits, "GET /a HTTP/1.1\r\nHost: localhost\r\n\r\n")
		if ask(open) != "hello" {
			t.Error("what was open is served no more")
		}
		_ = waits.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		if n, err := waits.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("answered while paused: %d bytes, %v", n, err)
		}
		c.mustAsk(link.Message{Type: link.TypeResume})
		_ = waits.SetReadDeadline(time.Now().Add(patience))
		if resp, err := http.ReadResponse(bufio.NewReader(waits), nil); err != nil || resp.StatusCode != 200 {
			t.Fatalf("not answered after resume: %v", err)
		}
	}
}

// TestKilled: what it leaves behind is a socket file, no more, and the port is
// still the agent's.
func TestKilled(t *testing.T) {
	t.Parallel()
	sock := listen(t)
	web := share.Share{Kind: share.Web, Target: files(t, map[string]string{"a": "hello"})}
	c := startChild(t)
	c.hello()
	c.serveOn(web, sock)
	if err := platform.KillGroup(c.proc.Cmd.Process.Pid); err != nil {
		t.Fatal(err)
	}
	<-c.link.Done()
	c.exit()
	waits, err := net.Dial("tcp", c.addr)
	if err != nil {
		t.Fatalf("refused while nobody serves: %v", err)
	}
	defer waits.Close()
	fmt.Fprint(waits, "GET /a HTTP/1.1\r\nHost: localhost\r\n\r\n")
	next := startChild(t)
	next.hello()
	next.serveOn(web, sock)
	_ = waits.SetReadDeadline(time.Now().Add(patience))
	if resp, err := http.ReadResponse(bufio.NewReader(waits), nil); err != nil || resp.StatusCode != 200 {
		t.Errorf("the next one did not answer: %v", err)
	}
}

// TestNothingGrows: many requests of all sorts leave no descriptors and no
// threads behind.
func TestNothingGrows(t *testing.T) {
	t.Parallel()
	c := serve(t, share.Share{Kind: share.Web, Listing: true, Target: files(t, map[string]string{"a": strings.Repeat("x", 5000), "a.br": "y"})})
	dir := fmt.Sprintf("/proc/%d/fd", c.proc.Cmd.Process.Pid)
	count := func() int {
		fds, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		return len(fds)
	}
	round := func() {
		for _, path := range []string{"/", "/a", "/none"} {
			c.get(path, "Accept-Encoding: br, gzip")
			c.get(path, "Accept: text/html")
			c.get(path, link.ProbeHeader+": "+c.probe)
		}
		c.ping()
	}
	for range 20 {
		round()
	}
	before := count()
	for range 200 {
		round()
	}
	eventually(t, fmt.Sprintf("%d descriptors again", before), func() bool { return count() <= before+1 })
	if h := c.ping(); h.Active != 0 {
		t.Errorf("%d in flight", h.Active)
	}
}
