package forward

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// targets are the kinds of listener that can be forwarded to.
func targets(t *testing.T, test func(t *testing.T, ln net.Listener, target string)) {
	t.Run("tcp", func(t *testing.T) {
		ln := listen(t)
		test(t, ln, ln.Addr().String())
	})
	t.Run("unix", func(t *testing.T) {
		dir := must(os.MkdirTemp("", "f")) // t.TempDir is too long for a socket
		t.Cleanup(func() { os.RemoveAll(dir) })
		path := filepath.Join(dir, "s")
		ln, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { ln.Close() })
		test(t, ln, "unix:"+path)
	})
}

// sizes are what is copied through memory, and what the kernel copies.
func sizes(t *testing.T, test func(t *testing.T, load string)) {
	for name, load := range map[string]string{"chat": "hello", "bulk": big} {
		t.Run(name, func(t *testing.T) { test(t, load) })
	}
}

func TestHalfClose(t *testing.T) {
	targets(t, func(t *testing.T, ln net.Listener, target string) {
		sizes(t, func(t *testing.T, load string) {
			accepted := make(chan net.Conn, 1)
			go func() { accepted <- must(ln.Accept()) }()
			f, addr := startTCP(t, target, Options{})
			visitor := dial(t, addr)
			say(t, visitor, load)
			c := <-accepted
			defer c.Close()

			if err := visitor.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			if got := end(c); got != load {
				t.Fatalf("the target got %d bytes, want %d", len(got), len(load))
			}
			for range 3 { // the other direction goes on
				say(t, c, load)
				hear(t, visitor, load)
			}
			if s := f.Stats(); s.Active != 1 || s.Total != 1 {
				t.Errorf("%+v", s)
			}
			c.Close()
			if got := end(visitor); got != "" {
				t.Errorf("the visitor got %q", got)
			}
			eventually(t, "closed", func() bool { return f.Stats().Active == 0 })
			if s, n := f.Stats(), uint64(len(load)); s.In != n || s.Out != 3*n || s.Denied != 0 {
				t.Errorf("%+v", s)
			}

			// And the other way round.
			go func() { accepted <- must(ln.Accept()) }()
			visitor = dial(t, addr)
			c = <-accepted
			defer c.Close()
			_ = c.(interface{ CloseWrite() error }).CloseWrite()
			if got := end(visitor); got != "" {
				t.Fatalf("the visitor got %q", got)
			}
			say(t, visitor, load)
			hear(t, c, load)
			visitor.Close()
			if got := end(c); got != "" {
				t.Errorf("the target got %q", got)
			}
		})
	})
}

func TestMuchBothWays(t *testing.T) {
	targets(t, func(t *testing.T, ln net.Listener, target string) {
		const size = 32<<20 + 12345
		type result struct {
			n   int64
			sum [32]byte
			err error
		}
		exchange := func(c net.Conn, seed byte) result {
			var wg sync.WaitGroup
			defer wg.Wait()
			wg.Go(func() {
				_, _ = io.Copy(c, noise(seed, size))
				_ = c.(interface{ CloseWrite() error }).CloseWrite()
			})
			n, sum, err := sum(c)
			return result{n, sum, err}
		}
		got := make(chan result, 1)
		serveTarget(t, ln, func(c net.Conn) { got <- exchange(c, 2) })
		f, addr := startTCP(t, target, Options{Idle: time.Minute})
		at := [2]result{exchange(dial(t, addr), 1), <-got}
		for i, seed := range []byte{2, 1} {
			if _, want, _ := sum(noise(seed, size)); at[i].err != nil || at[i].sum != want {
				t.Errorf("side %d got other bytes: %d of %d, %v", i, at[i].n, size, at[i].err)
			}
		}
		eventually(t, "counted", func() bool { s := f.Stats(); return s.In == size && s.Out == size })
	})
}

func TestReset(t *testing.T) {
	sizes(t, func(t *testing.T, load string) {
		ln := listen(t)
		pair := func(t *testing.T) (visitor, target *net.TCPConn) {
			_, addr := startTCP(t, ln.Addr().String(), Options{})
			visitor = dial(t, addr)
			say(t, visitor, load)
			target = must(ln.Accept()).(*net.TCPConn)
			t.Cleanup(func() { target.Close() })
			_ = target.SetDeadline(time.Now().Add(patience))
			hear(t, target, load)
			say(t, target, load)
			hear(t, visitor, load)
			return visitor, target
		}
		t.Run("by the visitor", func(t *testing.T) {
			visitor, target := pair(t)
			reset(visitor)
			if got := end(target); got != "<reset>" {
				t.Errorf("the target got %q", got)
			}
		})
		t.Run("by the target", func(t *testing.T) {
			visitor, target := pair(t)
			reset(target)
			if got := end(visitor); got != "<reset>" {
				t.Errorf("the visitor got %q", got)
			}
		})
		t.Run("after one direction ended", func(t *testing.T) {
			visitor, target := pair(t)
			_ = visitor.CloseWrite()
			if got := end(target); got != "" {
				t.Fatalf("the target got %q", got)
			}
			reset(target)
			if got := end(visitor); got != "<reset>" {
				t.Errorf("the visitor got %q", got)
			}
		})
		t.Run("while much is sent", func(t *testing.T) {
			visitor, target := pair(t)
			sent := make(chan error, 1)
			go func() {
				_, err := io.Copy(visitor, noise(1, 1<<40))
				sent <- err
			}()
			_, _ = io.CopyN(io.Discard, target, 8<<20)
			reset(target)
			if err := <-sent; !isReset(err) {
				t.Errorf("the visitor's write: %v", err)
			}
		})
		t.Run("while much is received", func(t *testing.T) {
			visitor, target := pair(t)
			sent := make(chan error, 1)
			go func() {
				_, err := io.Copy(target, noise(1, 1<<40))
				sent <- err
			}()
			_, _ = io.CopyN(io.Discard, visitor, 8<<20)
			reset(visitor)
			if err := <-sent; !isReset(err) {
				t.Errorf("the target's write: %v", err)
			}
		})
	})
}

// An app that answers before it has read everything, and closes, resets. Its
// answer must arrive all the same.
func TestAnswerBeforeReset(t *testing.T) {
	targets(t, func(t *testing.T, ln net.Listener, target string) {
		serveTarget(t, ln, func(c net.Conn) {
			_, _ = io.ReadFull(c, make([]byte, 100))
			_, _ = io.WriteString(c, "too large")
		})
		_, addr := startTCP(t, target, Options{})
		visitor := dial(t, addr)
		go func() { _, _ = io.Copy(visitor, noise(1, 16<<20)) }()
		if got := strings.TrimSuffix(end(visitor), "<reset>"); got != "too large" {
			t.Errorf("the visitor got %q", got)
		}
	})
}

func TestUnixTargetGone(t *testing.T) {
	targets(t, func(t *testing.T, ln net.Listener, target string) {
		serveTarget(t, ln, func(c net.Conn) { _, _ = io.CopyN(io.Discard, c, 8<<20) })
		f, addr := startTCP(t, target, Options{})
		visitor := dial(t, addr)
		if _, err := io.Copy(visitor, noise(1, 1<<40)); !isReset(err) {
			t.Errorf("the visitor's write: %v", err)
		}
		eventually(t, "closed", func() bool { return f.Stats().Active == 0 })
	})
}

func TestTargetDownAndUp(t *testing.T) {
	ln := listen(t)
	target := ln.Addr().String()
	ln.Close()
	changed := make(chan struct{}, 16)
	f, addr := startTCP(t, target, Options{Patience: patience, Changed: func() { changed <- struct{}{} }})

	visitor := dial(t, addr)
	say(t, visitor, "are you there?")
	<-changed
	if want := "nothing listens at " + target; f.TargetError() != want {
		t.Errorf("%q, want %q", f.TargetError(), want)
	}
	ln = must(net.Listen("tcp", target)).(*net.TCPListener)
	serveTarget(t, ln, echoes)
	hear(t, visitor, "are you there?")
	<-changed
	if f.TargetError() != "" || f.Check(soon(t)) != "" {
		t.Errorf("%q", f.TargetError())
	}

	ln.Close()
	if got := f.Check(soon(t)); got == "" {
		t.Error("a target that is down was found up")
	}
	<-changed
	say(t, visitor, "still?") // who is connected stays so
	hear(t, visitor, "still?")
}

// refusedAt expects a visitor to be reset, which he may be before he knows that
// he was connected.
func refusedAt(t *testing.T, addr string) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil && !isReset(err) {
		t.Fatal(err)
	} else if err == nil {
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(patience))
		if got := end(c); got != "<reset>" {
			t.Errorf("the visitor got %q", got)
		}
	}
}

func TestTargetStaysDown(t *testing.T) {
	ln := listen(t)
	target := ln.Addr().String()
	ln.Close()
	for _, wait := range []time.Duration{-1, 200 * time.Millisecond} {
		f, addr := startTCP(t, target, Options{Patience: wait})
		began := time.Now()
		refusedAt(t, addr)
		if wait > 0 && time.Since(began) < wait/2 {
			t.Errorf("gave up after %v", time.Since(began))
		}
		eventually(t, "counted", func() bool { s := f.Stats(); return s.Denied == 1 && s.Total == 1 && s.Active == 0 })
	}
}

func TestTargetSentences(t *testing.T) {
	dir := t.TempDir()
	for target, want := range map[string]string{
		"no-such-name.invalid:80": "the name no-such-name.invalid can't be resolved",
		"unix:" + dir + "/none":   "there is no socket " + dir + "/none",
	} {
		f := must(NewTCP(target, Options{}))
		if got := f.Check(soon(t)); got != want {
			t.Errorf("%s: %q, want %q", target, got, want)
		}
		f.Close()
	}
	for _, target := range []string{"", "80", ":80", "host", "host:0", "host:http", "host:70000", "unix:relative", "unix:"} {
		if _, err := NewTCP(target, Options{}); err == nil {
			t.Errorf("%q passed as a target", target)
		}
	}
}

func TestBound(t *testing.T) {
	ln := listen(t)
	serveTarget(t, ln, echoes)
	probes := make(chan uint16, 1)
	f, addr := startTCP(t, ln.Addr().String(), Options{Conns: 2, Patience: time.Hour, Probe: probeOf(probes)})
	a, b := dial(t, addr), dial(t, addr)
	for _, c := range []*net.TCPConn{a, b} {
		say(t, c, "one")
		hear(t, c, "one")
	}
	c := dial(t, addr)
	say(t, c, "two")
	eventually(t, "one waits", func() bool { return f.waiting.Load() == 1 })
	if s := f.Stats(); s.Active != 2 || s.Total != 3 {
		t.Errorf("%+v", s)
	}
	if got := probe(t, addr, probes); got != "it is me" { // nobody waits before it
		t.Errorf("the probe got %q", got)
	}
	a.Close()
	hear(t, c, "two")

	var crowd []net.Conn // more than there is room to wait
	for range waitingRoom + 1 {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			crowd = append(crowd, c)
		} else if !isReset(err) {
			t.Fatal(err)
		}
	}
	eventually(t, "one is turned away", func() bool { return f.Stats().Denied == 1 })
	for _, c := range crowd {
		c.Close()
	}
}

// probeOf knows a probe by the port that was announced.
func probeOf(ports chan uint16) Probe {
	var expected atomic.Uint32
	return func(remote netip.AddrPort) ([]byte, bool) {
		select {
		case p := <-ports:
			expected.Store(uint32(p))
		default:
		}
		return []byte("it is me"), uint32(remote.Port()) == expected.Load()
	}
}

// probe does what a supervisor does: it binds a port, announces it, and connects.
func probe(t *testing.T, addr string, ports chan uint16) string {
	t.Helper()
	ln := listen(t)
	port := ln.Addr().(*net.TCPAddr).Port
	ln.Close()
	ports <- uint16(port)
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port}}
	c, err := d.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	return end(c)
}

func TestProbe(t *testing.T) {
	ports := make(chan uint16, 1)
	f, addr := startTCP(t, "127.0.0.1:1", Options{Patience: -1, Probe: probeOf(ports)})
	if got := probe(t, addr, ports); got != "it is me" {
		t.Errorf("the probe got %q", got)
	}
	if s := f.Stats(); s != (Stats{}) {
		t.Errorf("a probe was counted: %+v", s)
	}
	refusedAt(t, addr)
}

func TestIdle(t *testing.T) {
	sizes(t, func(t *testing.T, load string) {
		t.Parallel()
		ln := listen(t)
		serveTarget(t, ln, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
		_, addr := startTCP(t, ln.Addr().String(), Options{Idle: time.Second})
		visitor := dial(t, addr)
		for began := time.Now(); time.Since(began) < 1500*time.Millisecond; time.Sleep(20 * time.Millisecond) {
			say(t, visitor, load) // one direction is enough
		}
		if got := end(visitor); got != "<reset>" {
			t.Errorf("the visitor got %q", got)
		}
	})
}

// Who takes what is sent only slowly is not idle: how much of it has gone can't
// be seen for a while.
func TestStalledIsNotIdle(t *testing.T) {
	const size = 64 << 20
	ln := listen(t)
	serveTarget(t, ln, func(c net.Conn) { _, _ = io.Copy(c, noise(1, size)) })
	const idle = 200 * time.Millisecond
	f, addr := startTCP(t, ln.Addr().String(), Options{Idle: idle})
	visitor := dial(t, addr)
	last, since := uint64(0), time.Now()
	eventually(t, "it stands still", func() bool {
		if now := f.Stats().Out; now != last {
			last, since = now, time.Now()
		}
		return time.Since(since) > 4*idle
	})
	if n, got, err := sum(visitor); err != nil || n != size {
		t.Errorf("%d bytes, %x, %v", n, got, err)
	}
}

func TestDrain(t *testing.T) {
	const size = 16 << 20
	ln := listen(t)
	more := make(chan struct{})
	serveTarget(t, ln, func(c net.Conn) {
		_, _ = io.Copy(c, noise(1, size/2))
		<-more
		_, _ = io.Copy(c, noise(2, size/2))
	})
	f, addr := startTCP(t, ln.Addr().String(), Options{})
	visitor := dial(t, addr)
	_, _ = io.CopyN(io.Discard, visitor, size/2)

	drained := make(chan error, 1)
	go func() { drained <- f.Drain(soon(t)) }()
	eventually(t, "nothing new", func() bool {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	select {
	case err := <-drained:
		t.Fatalf("drained in the middle of a transfer: %v", err)
	default:
	}
	close(more)
	n, got, err := sum(visitor)
	if _, want, _ := sum(noise(2, size/2)); err != nil || got != want {
		t.Errorf("%d bytes, %v", n, err)
	}
	visitor.Close()
	if err := <-drained; err != nil {
		t.Error(err)
	}
	if err := f.Serve(listen(t)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Serve after Drain: %v", err)
	}
}

func TestDrainEnds(t *testing.T) {
	ln := listen(t)
	serveTarget(t, ln, echoes)
	f, addr := startTCP(t, ln.Addr().String(), Options{})
	visitor := dial(t, addr)
	say(t, visitor, "x")
	hear(t, visitor, "x")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := f.Drain(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if got := end(visitor); got != "<reset>" { // not an end that looks like one
		t.Errorf("the visitor got %q", got)
	}
}

// wrapped is a connection that package net can't splice.
type wrapped struct{ net.Conn }

func (w wrapped) CloseWrite() error { return w.Conn.(*net.TCPConn).CloseWrite() }

type wrapping struct{ net.Listener }

func (w wrapping) Accept() (net.Conn, error) {
	c, err := w.Listener.Accept()
	return wrapped{c}, err
}

func TestWrappedConnections(t *testing.T) {
	ln := listen(t)
	serveTarget(t, ln, echoes)
	f := must(NewTCP(ln.Addr().String(), Options{Idle: time.Minute}))
	own := listen(t)
	served := make(chan error, 1)
	go func() { served <- f.Serve(wrapping{own}) }()
	defer func() { f.Close(); <-served }()
	visitor := dial(t, own.Addr().String())
	go func() {
		_, _ = io.Copy(visitor, noise(1, 4<<20))
		_ = visitor.CloseWrite()
	}()
	n, got, err := sum(visitor)
	if _, want, _ := sum(noise(1, 4<<20)); err != nil || got != want {
		t.Errorf("%d bytes, %v", n, err)
	}
}

// TestManySlow: two thousand that hold a connection and say a byte now and then
// take nothing from one who has much to fetch.
func TestManySlow(t *testing.T) {
	slow, size := 2000, int64(64<<20)
	if testing.Short() {
		slow = 200
	}
	ln := listen(t)
	serveTarget(t, ln, func(c net.Conn) {
		var b [1]byte
		for {
			if _, err := io.ReadFull(c, b[:]); err != nil {
				return
			}
			if b[0] == 'G' {
				_, _ = io.CopyN(c, zeros{}, size)
				return
			}
			_, _ = c.Write(b[:])
		}
	})
	f, addr := startTCP(t, ln.Addr().String(), Options{Conns: slow + 1})
	fetch := func() time.Duration {
		c := dial(t, addr)
		defer c.Close()
		began := time.Now()
		say(t, c, "G")
		if n, err := io.Copy(io.Discard, c); err != nil || n != size {
			t.Fatalf("%d bytes, %v", n, err)
		}
		return time.Since(began)
	}
	fetch()
	alone := fetch()

	conns := make([]*net.TCPConn, slow)
	for i := range conns {
		conns[i] = dial(t, addr)
		say(t, conns[i], "s")
		hear(t, conns[i], "s")
	}
	if runtime.GOOS == "linux" {
		if n := pipes(t); n > 200 {
			t.Errorf("%d ends of pipes are held for %d idle connections", n, slow)
		}
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
				_, _ = conns[i%slow].Write([]byte("s"))
			}
		}
	}()
	among := fetch()
	close(stop)
	<-stopped
	t.Logf("%d MiB: %v alone, %v among %d", size>>20, alone, among, slow)
	if among > 10*alone+time.Second {
		t.Errorf("%v among %d slow ones, %v alone", among, slow, alone)
	}
	if s := f.Stats(); s.Active != int64(slow) && s.Active != int64(slow)+1 {
		t.Errorf("%+v", s)
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { return len(b), nil }

// pipes counts the ends of pipes that this process has open.
func pipes(t *testing.T) (n int) {
	t.Helper()
	fds := must(os.ReadDir("/proc/self/fd"))
	for _, fd := range fds {
		if to, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil && strings.HasPrefix(to, "pipe:") {
			n++
		}
	}
	return n
}

// TestKernelCopies: a transfer goes through a pipe, so not through this process.
func TestKernelCopies(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has splice")
	}
	targets(t, func(t *testing.T, ln net.Listener, target string) {
		serveTarget(t, ln, func(c net.Conn) { _, _ = io.Copy(c, noise(1, 1<<40)) })
		_, addr := startTCP(t, target, Options{})
		dial(t, addr) // reads nothing: the transfer stands still in the middle
		eventually(t, "a pipe", func() bool { return pipes(t) >= 2 })
	})
}

func TestCloseWhileBusy(t *testing.T) {
	ln := listen(t)
	serveTarget(t, ln, func(c net.Conn) { _, _ = io.Copy(c, noise(1, 1<<40)) })
	f, addr := startTCP(t, ln.Addr().String(), Options{})
	var visitors sync.WaitGroup
	for range 20 {
		c := dial(t, addr)
		visitors.Go(func() {
			if _, err := io.Copy(io.Discard, c); !isReset(err) {
				t.Error(fmt.Errorf("a visitor met %w", err))
			}
		})
	}
	eventually(t, "all busy", func() bool { return f.Stats().Active == 20 })
	f.Close()
	visitors.Wait()
}
