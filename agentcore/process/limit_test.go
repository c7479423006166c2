package process

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sharetray/agentcore/share"
	"sharetray/platform"
)

// bounded makes the limits of a share; changes are counted.
func bounded(t testing.TB, s share.Share) (*limits, <-chan struct{}) {
	changes := make(chan struct{}, 100)
	l := newLimits(s, func() { changes <- struct{}{} }, slog.New(slog.DiscardHandler))
	t.Cleanup(l.close)
	return l, changes
}

// gateOf is a gate on a socket of its own, which closes with the test.
func gateOf(t testing.TB) *gate {
	t.Helper()
	ln, err := listen(t).Listener()
	if err != nil {
		t.Fatal(err)
	}
	g := newGate(ln)
	t.Cleanup(func() { g.Close() })
	return g
}

func dial(t testing.TB, ln net.Listener) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return c
}

// acceptAll gives what a listener accepts to the channel it returns.
func acceptAll(t testing.TB, lns ...net.Listener) <-chan net.Conn {
	accepted := make(chan net.Conn, 100)
	for _, ln := range lns {
		go func() {
			for {
				c, err := ln.Accept()
				if err != nil {
					return
				}
				t.Cleanup(func() { c.Close() })
				accepted <- c
			}
		}()
	}
	return accepted
}

func TestNothingLimited(t *testing.T) {
	t.Parallel()
	l, _ := bounded(t, share.Share{Memory: 64 << 20, OpenFiles: 64})
	if g := gateOf(t); l.listen(g) != net.Listener(g) {
		t.Error("a listener without limits is wrapped")
	}
	if l.crowded() || l.full() != "" || l.excess() != "" {
		t.Error("limits that are not there are reached")
	}
}

// TestConnectionsWait: who comes when all slots are taken waits, and is accepted
// when another leaves.
func TestConnectionsWait(t *testing.T) {
	t.Parallel()
	l, changes := bounded(t, share.Share{Connections: 2})
	ln := l.listen(gateOf(t))
	accepted := acceptAll(t, ln)
	dial(t, ln)
	first := <-accepted
	if l.crowded() {
		t.Error("one of two is all")
	}
	dial(t, ln)
	<-accepted
	if !l.crowded() {
		t.Error("two of two are not all")
	}
	third := dial(t, ln) // the kernel takes it
	<-changes
	if want := "all of its 2 connections are in use: further visitors wait"; l.full() != want {
		t.Errorf("full: %q, want %q", l.full(), want)
	}
	select {
	case <-accepted:
		t.Fatal("a third was accepted")
	default:
	}
	first.Close()
	first.Close() // twice is once
	if c := <-accepted; c.RemoteAddr().String() != third.LocalAddr().String() {
		t.Error("not the one that has waited")
	} else {
		c.Close()
	}
	<-changes
	if l.full() != "" || l.crowded() {
		t.Errorf("still full: %q", l.full())
	}
	l.slots.mu.Lock()
	defer l.slots.mu.Unlock()
	if l.slots.used != 1 {
		t.Errorf("%d slots are in use, want 1", l.slots.used)
	}
}

// TestConnectionsOfManyListeners: they share the slots, and none of them keeps
// one while nobody comes.
func TestConnectionsOfManyListeners(t *testing.T) {
	t.Parallel()
	l, _ := bounded(t, share.Share{Connections: 1})
	a, b, c := l.listen(gateOf(t)), l.listen(gateOf(t)), l.listen(gateOf(t))
	accepted := acceptAll(t, a, b, c)
	for range 3 {
		for _, ln := range []net.Listener{a, b, c} {
			dial(t, ln)
		}
	}
	for range 9 {
		one := <-accepted
		select {
		case <-accepted:
			t.Fatal("two at the same time")
		case <-time.After(10 * time.Millisecond): // there is nothing to wait for
		}
		one.Close()
	}
}

// TestDrainLiftsTheLimit: what waits in the queue when the share stops is still
// accepted.
func TestDrainLiftsTheLimit(t *testing.T) {
	t.Parallel()
	l, _ := bounded(t, share.Share{Connections: 1})
	g := gateOf(t)
	ln := l.listen(g)
	accepted := acceptAll(t, ln)
	dial(t, ln)
	<-accepted
	for range 5 {
		dial(t, ln)
	}
	g.Drain()
	for range 5 {
		select {
		case <-accepted:
		case <-time.After(patience):
			t.Fatal("who has waited is not accepted")
		}
	}
}

func TestCloseEndsWaiting(t *testing.T) {
	t.Parallel()
	l, _ := bounded(t, share.Share{Connections: 1})
	g := gateOf(t)
	ln := l.listen(g)
	dial(t, ln)
	if _, err := ln.Accept(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() {
		_, err := ln.Accept()
		ended <- err
	}()
	g.Close()
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("it ends with %v", err)
	}
}

// pair is a visitor's connection and the accepted end of it.
func pair(t testing.TB, s share.Share) (visitor, accepted net.Conn) {
	t.Helper()
	l, _ := bounded(t, s)
	ln := l.listen(gateOf(t))
	visitor = dial(t, ln)
	accepted, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { accepted.Close() })
	return visitor, accepted
}

// within checks that a time is no shorter than it has to be, and not far longer:
// the machine may have other things to do.
func within(t testing.TB, what string, took, want time.Duration) {
	t.Helper()
	if took < want*85/100 || took > 3*want {
		t.Errorf("%s took %v, want about %v", what, took, want)
	}
}

// TestBandwidth: what is sent and what is taken goes at the rate, however it is
// written, and arrives whole.
func TestBandwidth(t *testing.T) {
	t.Parallel()
	const perSecond, size = 4_000_000, 6_000_000 // less the burst, 1.4 s
	content := strings.Repeat("0123456789abcdef", size/16)
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	for what, send := range map[string]func(from, to net.Conn) error{
		"written": func(_, to net.Conn) error {
			_, err := io.WriteString(to, content)
			return err
		},
		"a file": func(_, to net.Conn) error {
			f, err := os.Open(path)
			if err != nil {
				return err
			}
			defer f.Close()
			n, err := io.CopyN(to, f, size)
			if n != size {
				t.Errorf("it says that it sent %d bytes", n)
			}
			return err
		},
		"of unknown length": func(_, to net.Conn) error {
			_, err := io.Copy(to, struct{ io.Reader }{strings.NewReader(content)})
			return err
		},
	} {
		for _, s := range []share.Share{{Bandwidth: perSecond}, {Bandwidth: perSecond, Connections: 9}} {
			t.Run(fmt.Sprintf("%s, %d connections", what, s.Connections), func(t *testing.T) {
				t.Parallel()
				visitor, accepted := pair(t, s)
				sent := make(chan error, 1)
				start := time.Now()
				go func() {
					err := send(visitor, accepted)
					accepted.Close()
					sent <- err
				}()
				got, err := io.ReadAll(visitor)
				if err != nil || string(got) != content {
					t.Errorf("got %d bytes, %v", len(got), err)
				}
				within(t, "the download", time.Since(start), 1400*time.Millisecond)
				if err := <-sent; err != nil {
					t.Error(err)
				}
			})
		}
	}
	t.Run("taken", func(t *testing.T) {
		t.Parallel()
		visitor, accepted := pair(t, share.Share{Bandwidth: perSecond})
		start := time.Now()
		go func() {
			_, _ = io.WriteString(visitor, content)
			_ = visitor.(*net.TCPConn).CloseWrite()
		}()
		got, err := io.ReadAll(accepted)
		if err != nil || string(got) != content {
			t.Errorf("got %d bytes, %v", len(got), err)
		}
		within(t, "the upload", time.Since(start), 1400*time.Millisecond)
	})
}

// TestBandwidthIsShared: downloads at the same time get the same, and together
// no more than there is.
func TestBandwidthIsShared(t *testing.T) {
	t.Parallel()
	const visitors, perSecond = 4, 4_000_000
	l, _ := bounded(t, share.Share{Bandwidth: perSecond})
	ln := l.listen(gateOf(t))
	accepted := acceptAll(t, ln)
	var mu sync.Mutex
	got := map[int]int{}
	var wg sync.WaitGroup
	end := time.Now().Add(1500 * time.Millisecond)
	for i := range visitors {
		visitor := dial(t, ln)
		to := <-accepted
		go func() {
			for b := make([]byte, 1<<20); ; {
				if _, err := to.Write(b); err != nil {
					return
				}
			}
		}()
		wg.Go(func() {
			_ = visitor.SetReadDeadline(end)
			n, _ := io.Copy(io.Discard, visitor)
			to.Close()
			mu.Lock()
			defer mu.Unlock()
			got[i] = int(n)
		})
	}
	wg.Wait()
	total := 0
	for _, n := range got {
		total += n
	}
	if want := perSecond * 16 / 10; total < want/3 || total > want*115/100 { // with the burst
		t.Errorf("%d bytes in all, want about %d", total, want)
	}
	for i, n := range got {
		if n < total/visitors/3 || n > total/visitors*3 {
			t.Errorf("visitor %d got %d of %d", i, n, total)
		}
	}
}

// TestThrottledEnds: who waits for his turn is woken by a deadline, one that is
// moved too, and by a close.
func TestThrottledEnds(t *testing.T) {
	t.Parallel()
	much := make([]byte, 1<<20) // 17 minutes
	for what, c := range map[string]struct {
		end  func(net.Conn)
		want error
	}{
		"a deadline":       {func(c net.Conn) { _ = c.SetWriteDeadline(time.Now().Add(50 * time.Millisecond)) }, os.ErrDeadlineExceeded},
		"one that is over": {func(c net.Conn) { _ = c.SetDeadline(time.Unix(1, 0)) }, os.ErrDeadlineExceeded},
		"a close":          {func(c net.Conn) { c.Close() }, net.ErrClosed},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			visitor, accepted := pair(t, share.Share{Bandwidth: 1000})
			ended := make(chan error, 1)
			go func() {
				n, err := accepted.Write(much)
				if n == 0 || n == len(much) {
					t.Errorf("%d bytes were sent", n)
				}
				ended <- err
			}()
			if _, err := io.ReadFull(visitor, make([]byte, 512)); err != nil {
				t.Fatal(err)
			}
			c.end(accepted)
			if err := <-ended; !errors.Is(err, c.want) {
				t.Errorf("it ends with %v", err)
			}
		})
	}
	t.Run("reading", func(t *testing.T) {
		t.Parallel()
		visitor, accepted := pair(t, share.Share{Bandwidth: 1000})
		if _, err := visitor.Write(much[:64<<10]); err != nil { // so much waits in the kernel
			t.Fatal(err)
		}
		for range 4 { // the last ones are read before their time, and wait
			_ = accepted.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
			if n, err := accepted.Read(make([]byte, 4096)); n == 0 || err != nil {
				t.Errorf("%d bytes, %v", n, err)
			}
		}
	})
	t.Run("half", func(t *testing.T) {
		t.Parallel()
		visitor, accepted := pair(t, share.Share{Bandwidth: 1000, Connections: 1})
		if err := accepted.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
			t.Error(err)
		}
		if n, err := visitor.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Errorf("%d, %v", n, err)
		}
	})
}

func TestMeans(t *testing.T) {
	t.Parallel()
	all := share.Share{Memory: 256 << 20, CPU: 1500, OpenFiles: 64, Processes: 64, Connections: 20, Bandwidth: 2e6}
	for what, c := range map[string]struct {
		share share.Share
		group groupState
		want  []string
	}{
		"nothing": {share.Share{}, groupState{}, nil},
		"a group": {all, groupState{in: platform.ScopeLimits{Memory: 256 << 20, CPU: 1500, Tasks: 64}}, []string{
			"memory 256MiB: enforced by the system (control group)", "cpu 1.5: enforced by the system (control group)",
			"processes 64: enforced by the system (control group)", "connections 20: further ones wait", "bandwidth 2MB/s: all visitors share it, in each direction"}},
		"no group": {share.Share{Memory: 256 << 20, CPU: 1500, Processes: 64}, groupState{why: "x"}, []string{
			"memory 256MiB: watched; the process is replaced when it takes more",
			"cpu 1.5: not enforced here (x); the process runs on 2 processors at most", "processes 64: not enforced here (x)"}},
		"a group for a part": {share.Share{CPU: 500, Processes: 64}, groupState{in: platform.ScopeLimits{Tasks: 64}, why: "y"}, []string{
			"cpu 0.5: not enforced here (y); the process runs on 1 processor at most", "processes 64: enforced by the system (control group)"}},
	} {
		l, _ := bounded(t, c.share)
		l.group = c.group
		if got := l.means(); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %q", what, got)
		}
	}
}

// Limits of a process are tried out in one: this test's executable runs the one
// test with lifeOf set, and says what it finds, a line each.
const lifeOf = "SHARETRAY_TEST_LIMITS"

// inProcess runs life in a process of its own, and returns what that says.
func inProcess(t *testing.T, env []string, life func(say func(string, ...any))) *bufio.Scanner {
	t.Helper()
	if os.Getenv(lifeOf) == t.Name() {
		life(func(format string, args ...any) { fmt.Printf("> "+format+"\n", args...) })
		os.Exit(0)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, "-test.run=^"+t.Name()+"$", "-test.timeout=60s")
	cmd.Env = append(append(os.Environ(), env...), lifeOf+"="+t.Name())
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return bufio.NewScanner(out)
}

// says checks the next line that begins with "> ".
func says(t *testing.T, lines *bufio.Scanner, want string) {
	t.Helper()
	for lines.Scan() {
		if line, ok := strings.CutPrefix(lines.Text(), "> "); ok {
			if !strings.HasPrefix(line, want) {
				t.Fatalf("it says %q, want %q", line, want)
			}
			return
		}
	}
	t.Fatalf("it never said %q", want)
}

// noBus makes sure that no systemd is asked.
var noBus = []string{"DBUS_SESSION_BUS_ADDRESS="}

// TestMemoryExcess: garbage does not count; what is in use does, until it is
// given back.
func TestMemoryExcess(t *testing.T) {
	t.Parallel()
	lines := inProcess(t, noBus, func(say func(string, ...any)) {
		fill := func() []byte {
			b := make([]byte, 100<<20)
			for i := 0; i < len(b); i += 4096 {
				b[i] = 1
			}
			return b
		}
		_ = fill() // the race detector takes memory, too, and keeps it
		debug.FreeOSMemory()
		most := roundMiB(ownMemory()) + 64<<20
		l, changes := bounded(t, share.Share{Memory: most})
		l.apply()
		<-changes // of the group
		say("%t", l.means()[0] == fmt.Sprintf("memory %s: watched; the process is replaced when it takes more", most))
		_ = fill()
		l.look()
		say("garbage: %q", l.excess())
		b := fill()
		<-changes // the watch finds it
		say("in use: %q", l.excess())
		runtime.KeepAlive(b)
		b = nil
		<-changes
		say("given back: %q", l.excess())
	})
	says(t, lines, "true")
	says(t, lines, `garbage: ""`)
	says(t, lines, `in use: "it took `)
	says(t, lines, `given back: ""`)
}

// TestOpenFiles: the system refuses what is beyond the limit.
func TestOpenFiles(t *testing.T) {
	t.Parallel()
	lines := inProcess(t, noBus, func(say func(string, ...any)) {
		l, _ := bounded(t, share.Share{OpenFiles: 64})
		l.apply()
		say("%s", l.means()[0])
		for n := 0; ; n++ {
			f, err := os.Open(os.DevNull)
			if err != nil {
				say("%t after %t", errors.Is(err, syscall.EMFILE), n > 32 && n < 64)
				break
			}
			defer f.Close()
		}
	})
	says(t, lines, "open_files 64: enforced by the system")
	says(t, lines, "true after true")
}

// TestOpenFilesInUse: a limit below what is open leaves room for more.
func TestOpenFilesInUse(t *testing.T) {
	t.Parallel()
	lines := inProcess(t, noBus, func(say func(string, ...any)) {
		for range 100 {
			f, err := os.Open(os.DevNull)
			if err != nil {
				panic(err)
			}
			defer f.Close()
		}
		l, _ := bounded(t, share.Share{OpenFiles: 64})
		l.apply()
		say("%s", l.means()[0])
		f, err := os.Open(os.DevNull)
		say("%v", err)
		f.Close()
	})
	says(t, lines, "open_files 64: the process needs more to begin with; the system enforces 1")
	says(t, lines, "<nil>")
}

// TestCPUWithoutAGroup: it runs on as many processors as it needs, after others.
func TestCPUWithoutAGroup(t *testing.T) {
	t.Parallel()
	lines := inProcess(t, noBus, func(say func(string, ...any)) {
		l, changes := bounded(t, share.Share{CPU: 500, Processes: 64})
		l.apply()
		say("%d", runtime.GOMAXPROCS(0))
		say("%s", l.means()[0])
		<-changes
		for _, s := range l.means() {
			say("%s", s)
		}
		if runtime.GOOS == "linux" {
			stats, _ := filepath.Glob("/proc/self/task/*/stat")
			for _, name := range stats {
				b, err := os.ReadFile(name)
				if fields := strings.Fields(string(b[strings.LastIndex(string(b), ")")+1:])); err == nil && fields[16] != "10" {
					say("a thread has the nice value %s", fields[16])
				}
			}
		}
		say("that is all")
	})
	says(t, lines, "1")
	says(t, lines, "cpu 0.5: not enforced here (the system is being asked); the process runs on 1 processor at most")
	says(t, lines, "cpu 0.5: not enforced here (no control group can be had from this system); the process runs on 1 processor at most, after everything else")
	says(t, lines, "processes 64: not enforced here (no control group can be had from this system)")
	says(t, lines, "that is all")
}
