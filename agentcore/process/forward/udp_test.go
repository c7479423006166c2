package forward

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// bindUDP binds a socket on the loopback address, for the length of the test.
func bindUDP(t testing.TB, addr string) *net.UDPConn {
	t.Helper()
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort(addr)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetWriteBuffer(1 << 20)
	return c
}

// echoUDP answers what it gets, with the port that it came from in front when it
// is "who".
func echoUDP(t testing.TB, addr string) *net.UDPConn {
	t.Helper()
	c := bindUDP(t, addr)
	done := make(chan struct{})
	t.Cleanup(func() { c.Close(); <-done })
	go func() {
		defer close(done)
		buf := make([]byte, maxPacket)
		for {
			n, from, err := c.ReadFromUDPAddrPort(buf)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			answer := buf[:n]
			if string(answer) == "who" {
				answer = fmt.Append(nil, from.Port())
			}
			_, _ = c.WriteToUDPAddrPort(answer, from)
		}
	}()
	return c
}

func startUDP(t testing.TB, target string, opt UDPOptions) (*UDP, string) {
	t.Helper()
	f := must(NewUDP(target, opt))
	conn := bindUDP(t, "127.0.0.1:0")
	return f, serveUDP(t, f, conn)
}

func serveUDP(t testing.TB, f *UDP, conn *net.UDPConn) string {
	served := make(chan error, 1)
	go func() { served <- f.Serve(conn) }()
	t.Cleanup(func() {
		f.Close()
		if err := <-served; !errors.Is(err, net.ErrClosed) {
			t.Errorf("Serve returned %v", err)
		}
		if s := f.Stats(); s.Active != 0 {
			t.Errorf("after Close: %+v", s)
		}
	})
	return conn.LocalAddr().String()
}

func dialUDP(t testing.TB, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return c
}

// ask sends a datagram and waits for one.
func ask(t testing.TB, c net.Conn, b []byte) []byte {
	t.Helper()
	if _, err := c.Write(b); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, maxPacket)
	n, err := c.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return buf[:n]
}

func TestDatagrams(t *testing.T) {
	for _, host := range []string{"127.0.0.1", "localhost"} {
		t.Run(host, func(t *testing.T) {
			target := echoUDP(t, "127.0.0.1:0")
			f, addr := startUDP(t, fmt.Sprintf("%s:%d", host, target.LocalAddr().(*net.UDPAddr).Port), UDPOptions{})
			a, b := dialUDP(t, addr), dialUDP(t, addr)
			total := uint64(0)
			for _, size := range []int64{5, 0, 1500, 65507, 1} {
				load := must(io.ReadAll(noise(1, size)))
				for _, c := range []net.Conn{a, b} {
					if got := ask(t, c, load); !bytes.Equal(got, load) {
						t.Errorf("sent %d bytes, got %d", size, len(got))
					}
					total += uint64(size)
				}
			}
			if string(ask(t, a, []byte("who"))) == string(ask(t, b, []byte("who"))) {
				t.Error("two visitors are one to the target")
			}
			eventually(t, "counted", func() bool {
				s := f.Stats()
				return s.Active == 2 && s.Total == 2 && s.In == total+6 && s.Denied == 0
			})
		})
	}
}

func TestSessionsEnd(t *testing.T) {
	target := echoUDP(t, "127.0.0.1:0")
	f, addr := startUDP(t, target.LocalAddr().String(), UDPOptions{Idle: 100 * time.Millisecond})
	c := dialUDP(t, addr)
	for i := range 2 {
		ask(t, c, []byte("x"))
		eventually(t, "the session ends", func() bool { return f.Stats().Active == 0 })
		if s := f.Stats(); s.Total != uint64(i+1) {
			t.Errorf("%+v", s)
		}
	}
}

// TestManySources: a flood of sources takes no more than there are sessions, and
// not the session of one who talks.
func TestManySources(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has all of 127.0.0.0/8")
	}
	const sources, sessions = 10000, 1024
	target := bindUDP(t, "127.0.0.1:0") // answers one of them only
	talker := make(chan netip.AddrPort, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, 100)
		for {
			n, from, err := target.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			if string(b[:n]) == "talk" {
				_, _ = target.WriteToUDPAddrPort(fmt.Append(nil, from.Port()), from)
			}
		}
	}()
	defer func() { target.Close(); <-done }()
	close(talker)
	f, addr := startUDP(t, target.LocalAddr().String(), UDPOptions{})
	to := net.UDPAddrFromAddrPort(netip.MustParseAddrPort(addr))

	good := dialUDP(t, addr)
	me := string(ask(t, good, []byte("talk")))
	before, memory := runtime.NumGoroutine(), heap()
	most := 0
	for i := range sources {
		from := &net.UDPAddr{IP: net.IPv4(127, 1, byte(i>>8), byte(i)), Port: 9}
		from.Port = 20000
		c, err := net.DialUDP("udp", from, to)
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Write([]byte("flood"))
		c.Close()
		if err != nil {
			t.Fatal(err)
		}
		if i%100 == 0 { // which also keeps the flood from being dropped by the kernel
			if got := string(ask(t, good, []byte("talk"))); got != me {
				t.Fatalf("the session of one who talks was replaced after %d: %s, was %s", i, got, me)
			}
			most = max(most, int(f.Stats().Active))
		}
	}
	ask(t, good, []byte("talk"))
	s := f.Stats()
	t.Logf("%+v; %d goroutines and %d KiB more", s, runtime.NumGoroutine()-before, (heap()-memory)>>10)
	if s.Active > sessions || most > sessions || s.Total != sources+1 {
		t.Errorf("%+v, at most %d", s, most)
	}
	if more := heap() - memory; more > 32<<20 {
		t.Errorf("%d bytes for %d sessions", more, sessions)
	}
	eventually(t, "goroutines of evicted sessions end", func() bool { return runtime.NumGoroutine() <= before+sessions })
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

func TestEviction(t *testing.T) {
	target := echoUDP(t, "127.0.0.1:0")
	f, addr := startUDP(t, target.LocalAddr().String(), UDPOptions{Sessions: 2})
	a, b, c := dialUDP(t, addr), dialUDP(t, addr), dialUDP(t, addr)
	ask(t, a, []byte("x"))
	ask(t, b, []byte("x"))
	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "dropped: both others talk", func() bool { return f.Stats().Denied == 1 })

	f.mu.Lock() // let a be silent for long
	for _, s := range f.sessions {
		if s.from == netip.MustParseAddrPort(a.LocalAddr().String()) {
			s.last.Add(-int64(evictAfter))
		}
	}
	f.mu.Unlock()
	ask(t, c, []byte("x"))
	if s := f.Stats(); s.Active != 2 || s.Total != 3 || s.Denied != 1 {
		t.Errorf("%+v", s)
	}
	f.mu.Lock()
	for _, s := range f.sessions {
		if s.from == netip.MustParseAddrPort(a.LocalAddr().String()) {
			t.Error("the silent one is still there")
		}
	}
	if f.fresh.Len()+f.proven.Len() != len(f.sessions) {
		t.Errorf("%d and %d of %d", f.fresh.Len(), f.proven.Len(), len(f.sessions))
	}
	f.mu.Unlock()
}

func TestRefusedDatagrams(t *testing.T) {
	target := bindUDP(t, "127.0.0.1:0")
	addr := target.LocalAddr().String()
	port := target.LocalAddr().(*net.UDPAddr).Port
	for _, name := range []string{addr, fmt.Sprintf("localhost:%d", port)} {
		t.Run(name, func(t *testing.T) {
			target.Close()
			var changed atomic.Int32
			f, at := startUDP(t, name, UDPOptions{Changed: func() { changed.Add(1) }})
			if got := f.Check(soon(t)); got != "" {
				t.Errorf("nothing is known, but %q", got)
			}
			c := dialUDP(t, at)
			eventually(t, "refused", func() bool {
				_, _ = c.Write([]byte("x"))
				return f.TargetError() == "nothing listens at "+name
			})
			back := echoUDP(t, addr)
			answered := make(chan struct{})
			go func() {
				defer close(answered)
				_, _ = c.Read(make([]byte, 10))
			}()
			eventually(t, "served again", func() bool {
				_, _ = c.Write([]byte("x"))
				return isClosed(answered) && f.TargetError() == ""
			})
			if changed.Load() < 2 {
				t.Errorf("told %d changes", changed.Load())
			}
			back.Close()
		})
	}
}

func TestAddressesOfAName(t *testing.T) {
	a, b := netip.MustParseAddrPort("127.0.0.1:1"), netip.MustParseAddrPort("[::1]:1")
	n := names{host: "localhost", port: 1, addrs: []netip.AddrPort{a, b}, since: time.Now()}
	for i, step := range []struct {
		refused      netip.AddrPort
		another, all bool
		then         netip.AddrPort
	}{
		{a, true, false, b},
		{a, true, false, b}, // another session, later
		{b, true, true, a},
		{a, true, false, b},
	} {
		another, all := n.next(step.refused)
		if then, stale := n.pick(); another != step.another || all != step.all || then != step.then || stale {
			t.Errorf("%d: %v, %v, then %v", i, another, all, then)
		}
	}
	n.since = time.Now().Add(-2 * namesLast)
	if _, stale := n.pick(); !stale {
		t.Error("an old address is taken for new")
	}
	if _, stale := n.pick(); stale {
		t.Error("two look it up")
	}
}

// A target that never answers is up when nothing comes back.
func TestSilentTargetIsUp(t *testing.T) {
	target := bindUDP(t, "127.0.0.1:0")
	addr := target.LocalAddr().String()
	target.Close()
	f, at := startUDP(t, addr, UDPOptions{})
	c := dialUDP(t, at)
	eventually(t, "refused", func() bool {
		_, _ = c.Write([]byte("x"))
		return f.TargetError() != ""
	})
	bindUDP(t, addr)
	eventually(t, "up", func() bool {
		_, _ = c.Write([]byte("x"))
		return f.Check(context.Background()) == ""
	})
}

func TestPause(t *testing.T) {
	target := echoUDP(t, "127.0.0.1:0")
	f := must(NewUDP(target.LocalAddr().String(), UDPOptions{}))
	own := bindUDP(t, "127.0.0.1:0")
	file := must(own.File()) // as another process has it
	defer file.Close()
	other := must(net.FilePacketConn(file))
	defer other.Close()
	addr := serveUDP(t, f, own)
	c := dialUDP(t, addr)
	b := make([]byte, 10)
	for range 3 {
		ask(t, c, []byte("x"))
		f.Pause()
		if _, err := c.Write([]byte("wait")); err != nil {
			t.Fatal(err)
		}
		_ = other.SetReadDeadline(time.Now().Add(patience))
		if n, _, err := other.ReadFrom(b); err != nil || string(b[:n]) != "wait" {
			t.Errorf("the other process got %q, %v", b[:n], err)
		}
		_ = other.SetReadDeadline(time.Unix(1, 0))
		if _, err := c.Write([]byte("more")); err != nil {
			t.Fatal(err)
		}
		f.Resume()
		if n, err := c.Read(b); err != nil || string(b[:n]) != "more" {
			t.Errorf("%q, %v", b[:n], err)
		}
	}
	eventually(t, "counted", func() bool { return f.Stats().In == 3*5 }) // and what the other took is not
	f.Pause()                                                            // and closed while it is
}

func TestProbeDatagram(t *testing.T) {
	ports := make(chan uint16, 1)
	f, addr := startUDP(t, "127.0.0.1:1", UDPOptions{Probe: probeOf(ports)})
	before := f.Stats()
	p := dialUDP(t, addr)
	ports <- uint16(p.LocalAddr().(*net.UDPAddr).Port)
	if got := string(ask(t, p, []byte("?"))); got != "it is me" {
		t.Errorf("the probe got %q", got)
	}
	if f.Stats() != before {
		t.Errorf("a probe was counted: %+v", f.Stats())
	}
}

func TestDrainDatagrams(t *testing.T) {
	target := echoUDP(t, "127.0.0.1:0")
	f, addr := startUDP(t, target.LocalAddr().String(), UDPOptions{})
	c := dialUDP(t, addr)
	ask(t, c, []byte("x"))
	drained := make(chan error, 1)
	go func() { drained <- f.Drain(soon(t)) }()
	eventually(t, "draining", func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.draining
	})
	other := dialUDP(t, addr)
	_, _ = other.Write([]byte("x"))
	eventually(t, "no new session", func() bool { return f.Stats().Denied == 1 })
	ask(t, c, []byte("a session goes on"))
	if err := <-drained; err != nil {
		t.Error(err)
	}
	if s := f.Stats(); s.Active != 0 || s.Total != 1 {
		t.Errorf("%+v", s)
	}

	f, addr = startUDP(t, target.LocalAddr().String(), UDPOptions{})
	ask(t, dialUDP(t, addr), []byte("x"))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := f.Drain(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// Sessions end, are replaced and closed while datagrams go both ways.
func TestCloseWhileDatagramsPass(t *testing.T) {
	target := echoUDP(t, "127.0.0.1:0")
	for range 5 {
		f, addr := startUDP(t, target.LocalAddr().String(), UDPOptions{Sessions: 2, Idle: time.Millisecond})
		stop := make(chan struct{})
		var talkers sync.WaitGroup
		for range 4 {
			c := dialUDP(t, addr)
			talkers.Go(func() {
				for !isClosed(stop) {
					_, _ = c.Write([]byte("x"))
				}
			})
		}
		eventually(t, "many answers", func() bool { return f.Stats().Out > 200 })
		f.Close()
		close(stop)
		talkers.Wait()
		if s := f.Stats(); s.Active != 0 {
			t.Errorf("%+v", s)
		}
	}
}
