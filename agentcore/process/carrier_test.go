package process

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"sharetray/agentcore/link"
	"sharetray/agentcore/share"
	"sharetray/agentcore/share/schema"
	"sharetray/platform"
)

// echoTCP is a target that says everything again, by TCP and UDP.
func echoTCP(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			}()
		}
	}()
	return ln.Addr().String()
}

func echoUDP(t *testing.T) string {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	go func() {
		b := make([]byte, 1<<16)
		for {
			n, from, err := conn.ReadFrom(b)
			if err != nil {
				return
			}
			_, _ = conn.WriteTo(b[:n], from)
		}
	}()
	return conn.LocalAddr().String()
}

func listenPacket(t *testing.T) *platform.Socket {
	t.Helper()
	sock, err := platform.ListenPacket(netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sock.Close() })
	return sock
}

// carry starts a share process for a share that is not HTTP.
func carry(t *testing.T, s share.Share, sock *platform.Socket) *child {
	t.Helper()
	p := startChild(t)
	p.hello()
	p.serveOn(s, sock)
	return p
}

func dialTo(t *testing.T, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return c
}

// echoes sends text and wants it back.
func echoes(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, len(text))
	if _, err := io.ReadFull(c, b); err != nil || string(b) != text {
		t.Fatalf("%q, %v", b, err)
	}
}

// echoesByUDP sends text until it comes back: datagrams may be lost.
func echoesByUDP(t *testing.T, addr, text string) {
	t.Helper()
	c, err := net.Dial("udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	eventually(t, "an answer to "+text, func() bool {
		_, _ = io.WriteString(c, text)
		_ = c.SetReadDeadline(time.Now().Add(time.Second))
		b := make([]byte, 1<<16)
		n, err := c.Read(b)
		return err == nil && string(b[:n]) == text
	})
}

func TestTCP(t *testing.T) {
	t.Parallel()
	sock := listen(t)
	p := carry(t, share.Share{Kind: share.TCP, Target: echoTCP(t)}, sock)
	c := dialTo(t, p.addr)
	echoes(t, c, "hello")
	p.told("what was carried", func(h link.Health) bool {
		return h.Active == 1 && h.Requests == 1 && h.BytesIn == 5 && h.BytesOut == 5
	})

	// Half of it closed, the rest still comes.
	half := dialTo(t, p.addr)
	much := bytes.Repeat([]byte("x"), 1<<20)
	go func() {
		_, _ = half.Write(much)
		_ = half.(*net.TCPConn).CloseWrite()
	}()
	if got, err := io.ReadAll(half); err != nil || !bytes.Equal(got, much) {
		t.Errorf("%d bytes, %v", len(got), err)
	}

	// A successor on the same socket serves new ones, this one those it has.
	p.mustAsk(link.Message{Type: link.TypePause})
	next := carry(t, share.Share{Kind: share.TCP, Target: echoTCP(t)}, dup(t, sock))
	echoes(t, dialTo(t, p.addr), "next")
	if h := next.ping(); h.Requests != 1 {
		t.Errorf("%+v", h.Use)
	}
	p.askToStop()
	echoes(t, c, "still here")
	c.Close()
	if code := p.exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func dup(t *testing.T, sock *platform.Socket) *platform.Socket {
	t.Helper()
	d, err := sock.Dup()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// TestTCPCrash: with the socket held, who connects while there is no process is
// served by the next one.
func TestTCPCrash(t *testing.T) {
	t.Parallel()
	sock := listen(t)
	s := share.Share{Kind: share.TCP, Target: echoTCP(t)}
	first := carry(t, s, dup(t, sock))
	echoes(t, dialTo(t, first.addr), "one")
	first.signal("KILL")
	first.exit()
	var waiting []net.Conn
	for range 20 {
		waiting = append(waiting, dialTo(t, first.addr))
	}
	carry(t, s, dup(t, sock))
	for i, c := range waiting {
		echoes(t, c, fmt.Sprint("two ", i))
	}
}

func TestUDP(t *testing.T) {
	t.Parallel()
	sock := listenPacket(t)
	s := share.Share{Kind: share.UDP, Target: echoUDP(t), Idle: time.Minute, Sessions: 100}
	first := carry(t, s, dup(t, sock))
	echoesByUDP(t, first.addr, "hello")
	first.told("what was carried", func(h link.Health) bool { return h.Requests >= 1 && h.BytesIn >= 5 && h.BytesOut >= 5 })
	first.signal("KILL")
	first.exit()

	// What comes while there is no process is answered by the next one.
	c, err := net.Dial("udp", first.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for i := range 10 {
		fmt.Fprint(c, i)
	}
	second := carry(t, s, dup(t, sock))
	_ = c.SetReadDeadline(time.Now().Add(patience))
	b := make([]byte, 10)
	for i := range 10 {
		if n, err := c.Read(b); err != nil || string(b[:n]) != fmt.Sprint(i) {
			t.Fatalf("%d: %q, %v", i, b[:n], err)
		}
	}

	// A flood of visitors takes no more than it may.
	for range 1000 {
		v, err := net.Dial("udp", first.addr)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(v, "flood")
		v.Close()
	}
	echoesByUDP(t, first.addr, "after the flood")
	if h := second.ping(); h.Active > 100 {
		t.Errorf("%+v", h.Use)
	}

	// Adopted, its socket goes to the new agent.
	conn, err := net.Dial("unix", second.path)
	if err != nil {
		t.Fatal(err)
	}
	agent := link.New(conn, func(link.Message, []*platform.Socket) *link.Message { return nil })
	defer agent.Close()
	second.link, second.nonce = agent, ""
	second.mustAsk(link.Message{Type: link.TypeHello, Hello: &link.Hello{Protocol: link.Protocol}})
	a := second.mustAsk(link.Message{Type: link.TypeAdopt})
	if len(a.Sockets) != 1 || !a.Sockets[0].IsUDP() || a.Sockets[0].Addr().String() != first.addr {
		t.Fatalf("%+v", a.Sockets)
	}
	a.Sockets[0].Close()
	second.mustAsk(link.Message{Type: link.TypePause})
	third := carry(t, s, dup(t, sock))
	second.askToStop()
	second.exit()
	echoesByUDP(t, third.addr, "third")
}

func TestSOCKS(t *testing.T) {
	t.Parallel()
	to := echoTCP(t)
	for _, c := range []struct {
		what    string
		share   share.Share
		login   string // "user:password"
		want    byte   // of the answer to the request; 255: the login fails
		request string
	}{
		{"allowed", share.Share{Destinations: schema.List(to)}, "", 0, to},
		{"closed by default", share.Share{}, "", 2, to},
		{"another port", share.Share{Destinations: "127.0.0.1:1"}, "", 2, to},
		{"right password", share.Share{Destinations: schema.List(to), Users: schema.ListOf(user(t, "ann", "right"))}, "ann:right", 0, to},
		{"wrong password", share.Share{Destinations: schema.List(to), Users: schema.ListOf(user(t, "ann", "right"))}, "ann:wrong", 255, to},
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			c.share.Kind = share.SOCKS
			p := carry(t, c.share, listen(t))
			conn := dialTo(t, p.addr)
			r := bufio.NewReader(conn)
			if c.login == "" {
				fmt.Fprint(conn, "\x05\x01\x00")
				expectBytes(t, r, "\x05\x00")
			} else {
				name, password, _ := strings.Cut(c.login, ":")
				fmt.Fprint(conn, "\x05\x01\x02")
				expectBytes(t, r, "\x05\x02")
				fmt.Fprintf(conn, "\x01%c%s%c%s", len(name), name, len(password), password)
				if c.want == 255 {
					expectBytes(t, r, "\x01\x01")
					return
				}
				expectBytes(t, r, "\x01\x00")
			}
			a := netip.MustParseAddrPort(c.request)
			ip := a.Addr().As4()
			_, _ = conn.Write(append([]byte{5, 1, 0, 1, ip[0], ip[1], ip[2], ip[3], byte(a.Port() >> 8)}, byte(a.Port())))
			expectBytes(t, r, string([]byte{5, c.want, 0, 1, 0, 0, 0, 0, 0, 0}))
			if c.want == 0 {
				echoes(t, conn, "through")
			}
		})
	}
	p := startChild(t)
	p.hello()
	if _, err := p.ask(p.message(share.Share{Kind: share.SOCKS, Destinations: "[::1"}), listen(t)); err == nil || !strings.Contains(err.Error(), "bracket") {
		t.Errorf("a bad destination: %v", err)
	}
}

func expectBytes(t *testing.T, r io.Reader, want string) {
	t.Helper()
	b := make([]byte, len(want))
	if _, err := io.ReadFull(r, b); err != nil || string(b) != want {
		t.Fatalf("%q, %v, want %q", b, err, want)
	}
}

// TestDoor: who may not come in is turned away, by TCP and by UDP.
func TestDoor(t *testing.T) {
	t.Parallel()
	for what, s := range map[string]share.Share{"another network": {Networks: "10.0.0.0/8"}, "expired": {Expires: 1}} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			s.Kind, s.Target = share.TCP, echoTCP(t)
			p := carry(t, s, listen(t))
			if c, err := net.Dial("tcp", p.addr); err == nil { // else it was reset that early
				defer c.Close()
				_ = c.SetDeadline(time.Now().Add(patience))
				if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil {
					t.Errorf("%d, %v", n, err)
				}
			}
			s.Kind, s.Target, s.Sessions = share.UDP, echoUDP(t), 10
			u := carry(t, s, listenPacket(t))
			v, err := net.Dial("udp", u.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer v.Close()
			fmt.Fprint(v, "hello")
			probeUDP(t, u) // it comes after that
			if h := u.ping(); h.Requests != 0 || h.Active != 0 {
				t.Errorf("%+v", h.Use)
			}
			if h := p.ping(); (what == "expired") != (h.Expired != "") {
				t.Errorf("%q", h.Expired)
			}
		})
	}
}

func probeUDP(t *testing.T, p *child) {
	t.Helper()
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	p.mustAsk(link.Message{Type: link.TypeExpect, Source: conn.LocalAddr().(*net.UDPAddr).AddrPort()})
	_, _ = conn.WriteToUDPAddrPort([]byte{0}, netip.MustParseAddrPort(p.addr))
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	b := make([]byte, 100)
	if n, err := conn.Read(b); err != nil || string(b[:n]) != p.nonce {
		t.Fatalf("%q, %v", b[:n], err)
	}
}

// TestProbesAreAnnounced: only who was announced hears the nonce, and once.
func TestProbesAreAnnounced(t *testing.T) {
	t.Parallel()
	p := carry(t, share.Share{Kind: share.TCP, Target: echoTCP(t)}, listen(t))
	hear := func(from *net.TCPAddr) string {
		d := net.Dialer{LocalAddr: from, Timeout: patience}
		c, err := d.Dial("tcp", p.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.(*net.TCPConn).CloseWrite()
		_ = c.SetReadDeadline(time.Now().Add(patience))
		b, _ := io.ReadAll(c)
		return string(b)
	}
	ln, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		t.Fatal(err)
	}
	from := ln.Addr().(*net.TCPAddr)
	ln.Close()
	if got := hear(from); got != "" {
		t.Errorf("a visitor hears %q", got)
	}
	p.mustAsk(link.Message{Type: link.TypeExpect, Source: from.AddrPort()})
	if got := hear(nil); got != "" {
		t.Errorf("another visitor hears %q", got)
	}
	from2 := *from
	from2.IP = net.IPv4(127, 0, 0, 3)
	p.mustAsk(link.Message{Type: link.TypeExpect, Source: from2.AddrPort()})
	if got := hear(&from2); got != p.nonce {
		t.Errorf("the probe hears %q", got)
	}
	if _, err := p.ask(link.Message{Type: link.TypeExpect, Source: netip.MustParseAddrPort("10.0.0.1:5")}); err == nil {
		t.Error("a probe from elsewhere is expected")
	}
}
