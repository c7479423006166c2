package process

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"sharetray/agentcore/link"
	"sharetray/agentcore/share"
	"sharetray/platform"
)

// announced connects as the supervisor does: from a port that is bound first, and
// announced before anybody sees the connection come.
func (c *child) announced() (conn net.Conn, err error) {
	d := net.Dialer{Timeout: patience, Control: func(_, _ string, raw syscall.RawConn) error {
		from, err := platform.BindSource(raw)
		if err == nil {
			_, err = c.ask(link.Message{Type: link.TypeExpect, Source: from})
		}
		return err
	}}
	if conn, err = d.Dial("tcp", c.addr); err == nil {
		_ = conn.SetDeadline(time.Now().Add(patience))
	}
	return conn, err
}

// TestProbeGuesses: while the supervisor probes, strangers try to be taken for it,
// from as many ports as they can. None of them hears the nonce, and neither does
// who comes from a port that was announced once more.
func TestProbeGuesses(t *testing.T) {
	t.Parallel()
	tcp := carry(t, share.Share{Kind: share.TCP, Target: echoTCP(t)}, listen(t))
	udp := carry(t, share.Share{Kind: share.UDP, Target: echoUDP(t), Sessions: 64, Idle: time.Minute}, listenPacket(t))
	var heard, guesses atomic.Int64
	var over atomic.Bool
	var strangers sync.WaitGroup
	defer strangers.Wait()
	defer over.Store(true)
	look := func(c net.Conn, nonce string) {
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(500 * time.Millisecond)) // a datagram may find no room
		_, _ = io.WriteString(c, "?")
		b := make([]byte, 100)
		n, err := c.Read(b)
		if strings.Contains(string(b[:n]), nonce) {
			heard.Add(1)
		} else if err == nil {
			guesses.Add(1)
		}
	}
	for range 4 {
		strangers.Go(func() {
			for !over.Load() {
				if c, err := net.Dial("tcp", tcp.addr); err == nil {
					look(c, tcp.nonce)
				}
				if c, err := net.Dial("udp", udp.addr); err == nil {
					look(c, udp.nonce)
				}
			}
		})
	}
	twice := 0
	for range 100 {
		probeUDP(t, udp)
		c, err := tcp.announced()
		if err != nil {
			t.Fatal(err)
		}
		from := c.LocalAddr().(*net.TCPAddr)
		if b, err := io.ReadAll(c); err != nil || string(b) != tcp.nonce {
			t.Fatalf("the probe hears %q, %v", b, err)
		}
		c.Close()
		again, err := (&net.Dialer{LocalAddr: from, Timeout: patience}).Dial("tcp", tcp.addr)
		if err != nil {
			continue // somebody else has it
		}
		twice++
		look(again, tcp.nonce)
	}
	if heard.Load() > 0 || guesses.Load() == 0 || twice == 0 {
		t.Errorf("%d strangers hear the nonce, %d don't, %d came from an announced port", heard.Load(), guesses.Load(), twice)
	}
	for _, s := range []string{"10.0.0.1:5", "[fe80::1]:5", "0.0.0.0:5"} {
		if _, err := tcp.ask(link.Message{Type: link.TypeExpect, Source: netip.MustParseAddrPort(s)}); err == nil {
			t.Errorf("a probe from %s is expected", s)
		}
	}
}

// TestUDPFlood: ten thousand visitors take no more of a process than it may, and
// one who talks is served all the while.
func TestUDPFlood(t *testing.T) {
	t.Parallel()
	const sessions = 200
	p := carry(t, share.Share{Kind: share.UDP, Target: echoUDP(t), Idle: time.Minute, Sessions: sessions}, listenPacket(t))
	friend, err := net.Dial("udp", p.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer friend.Close()
	for i := range 10_000 {
		v, err := net.Dial("udp", p.addr)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(v, "flood")
		v.Close()
		if i%100 != 0 {
			continue
		}
		text := fmt.Sprint("friend ", i)
		eventually(t, "an answer to "+text, func() bool { // the kernel's queue may be full
			fmt.Fprint(friend, text)
			_ = friend.SetReadDeadline(time.Now().Add(time.Second))
			b := make([]byte, 100)
			for {
				n, err := friend.Read(b)
				if err != nil || string(b[:n]) == text {
					return err == nil
				}
			}
		})
		if h := p.ping(); h.Active > sessions {
			t.Fatalf("%d sessions", h.Active)
		}
	}
	if h := p.ping(); h.Requests < sessions {
		t.Errorf("only %d visitors have come", h.Requests)
	}
	if files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.proc.Cmd.Process.Pid)); err == nil && len(files) > sessions+100 {
		t.Errorf("%d files are open", len(files))
	}
}

// TestCutIsAReset: what a target cuts is not taken for the whole, with a limit of
// bandwidth neither.
func TestCutIsAReset(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.WriteString(c, "half")
				_, _ = c.Read(make([]byte, 1)) // it was heard
				_ = c.(*net.TCPConn).SetLinger(0)
			}()
		}
	}()
	for _, s := range []share.Share{{}, {Bandwidth: 1_000_000}, {Connections: 5}, {Bandwidth: 1_000_000, Connections: 5}} {
		s.Kind, s.Target = share.TCP, ln.Addr().String()
		p := carry(t, s, listen(t))
		c := dialTo(t, p.addr)
		expectBytes(t, c, "half")
		fmt.Fprint(c, "!")
		if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
			t.Errorf("bandwidth %s, connections %d: cut, it reads %v", s.Bandwidth, s.Connections, err)
		}
	}
}

// TestExpiredIsCut: at its end a share lets go of those who are connected, too.
func TestExpiredIsCut(t *testing.T) {
	t.Parallel()
	expires := share.Moment(time.Now().Add(8 * time.Second).Unix())
	tcp := carry(t, share.Share{Kind: share.TCP, Target: echoTCP(t), Expires: expires}, listen(t))
	udp := carry(t, share.Share{Kind: share.UDP, Target: echoUDP(t), Expires: expires, Sessions: 10, Idle: time.Hour}, listenPacket(t))
	c := dialTo(t, tcp.addr)
	echoes(t, c, "hello")
	echoesByUDP(t, udp.addr, "hello")
	if h := udp.ping(); h.Active == 0 || h.Expired != "" {
		t.Fatalf("%+v", h)
	}
	if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("at the end it reads %v", err)
	}
	for _, p := range []*child{tcp, udp} {
		p.told("that it has ended", func(h link.Health) bool { return h.Expired != "" })
		eventually(t, "nobody is there", func() bool { return p.ping().Active == 0 })
	}
	conn, err := tcp.announced() // it still is what it says
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	expectBytes(t, conn, tcp.nonce)
}

// TestPortsAreRehearsed: a process that holds one kind of share may be told to be
// another, with Caddy or without.
func TestPortsAreRehearsed(t *testing.T) {
	t.Parallel()
	web := share.Share{Kind: share.Web, Target: files(t, map[string]string{"a": "from a folder"})}
	tcp := share.Share{Kind: share.TCP, Target: echoTCP(t)}
	udp := share.Share{Kind: share.UDP, Target: echoUDP(t), Sessions: 10, Idle: time.Minute}
	hold := func(c *child, s share.Share, sock *platform.Socket) {
		t.Helper()
		m := c.message(s)
		m.Serve.Hold = true
		c.mustAsk(m, sock)
		c.addr = sock.Addr().String()
	}
	c := startChild(t)
	c.hello()
	past := []*platform.Socket{listen(t), listen(t), listenPacket(t)}
	hold(c, web, past[0])
	hold(c, tcp, past[1])
	hold(c, udp, past[2])
	last := listen(t)
	hold(c, web, last)
	c.mustAsk(link.Message{Type: link.TypeResume})
	if a := c.get("/a"); a.body != "from a folder" {
		t.Errorf("resumed, it says %q", a.body)
	}
	for _, s := range past { // nothing of what was rehearsed is left
		listenAgain := platform.Listen
		if s.IsUDP() {
			listenAgain = platform.ListenPacket
		}
		s.Close()
		again, err := listenAgain(s.Addr())
		if err != nil {
			t.Error(err)
			continue
		}
		again.Close()
	}

	// While it holds, datagrams wait.
	c = startChild(t)
	c.hello()
	hold(c, tcp, listen(t))
	c.mustAsk(link.Message{Type: link.TypeUnhold})
	hold(c, udp, listenPacket(t))
	v, err := net.Dial("udp", c.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	fmt.Fprint(v, "who waits")
	if h := c.ping(); h.Requests != 0 {
		t.Errorf("held, it serves: %+v", h.Use)
	}
	c.mustAsk(link.Message{Type: link.TypeResume})
	_ = v.SetReadDeadline(time.Now().Add(patience))
	expectBytes(t, v, "who waits")
}

// TestPortLimitsAreTold: a limit that is not kept is not said to be.
func TestPortLimitsAreTold(t *testing.T) {
	t.Parallel()
	p := carry(t, share.Share{Kind: share.UDP, Target: echoUDP(t), Sessions: 10, Connections: 5, Bandwidth: 1000}, listenPacket(t))
	for _, line := range p.ping().Limits {
		if !strings.Contains(line, "not enforced") {
			t.Errorf("of UDP it is said: %s", line)
		}
	}
}
