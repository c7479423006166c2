package process

import (
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"sharetray/agentcore/link"
	"sharetray/agentcore/share"
	"sharetray/platform"
)

// TestRehearsal: a process that holds accepts nothing, may be told another
// share, or to forget it all; resumed, it serves who has waited.
func TestRehearsal(t *testing.T) {
	t.Parallel()
	c := startChild(t)
	c.hello()
	first, second := listen(t), listen(t)
	hold := func(content string, sock *platform.Socket) {
		t.Helper()
		m := c.message(share.Share{Kind: share.Web, Target: files(t, map[string]string{"a": content})})
		m.Serve.Hold = true
		if a := c.mustAsk(m, sock); a.Type != link.TypeOK {
			t.Fatalf("to hold was answered by %s", a.Type)
		}
	}
	hold("first", first)
	hold("second", second)

	c.addr = second.Addr().String()
	visitor, err := net.Dial("tcp", c.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer visitor.Close()
	if _, err := visitor.Write([]byte("GET /a HTTP/1.0\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	c.mustAsk(link.Message{Type: link.TypePing}) // it is awake, and has not answered
	if err := visitor.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if n, err := visitor.Read(make([]byte, 1)); n > 0 || err == nil {
		t.Fatal("it answers while it holds")
	}
	c.mustAsk(link.Message{Type: link.TypeResume})
	if a := c.get("/a"); a.body != "second" {
		t.Errorf("resumed, it says %q", a.body)
	}
	// The socket of the share it gave up is free again.
	first.Close()
	mustBind(t, first.Addr())
}

func TestUnhold(t *testing.T) {
	t.Parallel()
	c := startChild(t)
	c.hello()
	sock := listen(t)
	m := c.message(share.Share{Kind: share.Web, Target: t.TempDir()})
	m.Serve.Hold = true
	c.mustAsk(m, sock)
	sock.Close()
	c.mustAsk(link.Message{Type: link.TypeUnhold})
	mustBind(t, sock.Addr())
	// It is a standby like any other now.
	c.serveOn(share.Share{Kind: share.Web, Target: files(t, map[string]string{"a": "x"})}, listen(t))
	if a := c.get("/a"); a.body != "x" {
		t.Errorf("told afterwards, it says %q", a.body)
	}
}

func mustBind(t *testing.T, addr netip.AddrPort) {
	t.Helper()
	s, err := platform.Listen(addr)
	if err != nil {
		t.Fatalf("the socket is still held: %v", err)
	}
	s.Close()
}

// TestEveryStartComesUp: processes that start while their memory is first
// collected do not trip over the lifeline's thread.
func TestEveryStartComesUp(t *testing.T) {
	const starts, atOnce = 60, 6
	slots := make(chan struct{}, atOnce)
	var wg sync.WaitGroup
	for range starts {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			c := startChild(t)
			c.hello()
			c.mustAsk(link.Message{Type: link.TypePing})
			c.signal("KILL")
			_, _ = c.proc.Life.Read(make([]byte, 1)) // ends with the process
			if code := <-c.exited; code != -1 {
				t.Errorf("it ended by itself, with code %d", code)
			}
		})
	}
	wg.Wait()
}
