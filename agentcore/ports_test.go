package agentcore_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sharetray/agentcore"
	"sharetray/agentcore/supervise"
	"sharetray/platform"
)

// echoServer is a target that says each line again.
func echoServer(t *testing.T) (addr string) {
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

// packets is a target that notes what comes, and says it again.
type packets struct {
	net.PacketConn
	mu   sync.Mutex
	seen map[string]int
}

func packetServer(t *testing.T) *packets {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.(*net.UDPConn).SetReadBuffer(1 << 20)
	p := &packets{PacketConn: conn, seen: map[string]int{}}
	go func() {
		b := make([]byte, 1<<16)
		for {
			n, from, err := conn.ReadFrom(b)
			if err != nil {
				return
			}
			p.mu.Lock()
			p.seen[string(b[:n])]++
			p.mu.Unlock()
			_, _ = conn.WriteTo(b[:n], from)
		}
	}()
	return p
}

// times is how often a datagram has come.
func (p *packets) times(text string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seen[text]
}

// port shares an address, and returns the status and where visitors go.
func (r *rig) port(kind, target string, keys ...string) (st agentcore.Status, addr string) {
	r.t.Helper()
	n := agentcore.NewShare{Name: kind, Kind: kind, Target: target, Keys: map[string]string{"port": portOfItsOwn()}}
	for i := 0; i < len(keys); i += 2 {
		n.Keys[keys[i]] = keys[i+1]
	}
	st, err := r.Add(r.ctx(), n)
	if err != nil {
		r.t.Fatalf("share %s: %v", target, err)
	}
	return st, fmt.Sprintf("127.0.0.1:%d", st.Port)
}

// talk is a connection on which lines are echoed.
type talk struct {
	net.Conn
	r *bufio.Reader
}

func dialTalk(addr string) (*talk, error) {
	c, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		return nil, err
	}
	_ = c.SetDeadline(time.Now().Add(2 * patience))
	return &talk{c, bufio.NewReader(c)}, nil
}

func (r *rig) talk(addr string) *talk {
	r.t.Helper()
	c, err := dialTalk(addr)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { c.Close() })
	return c
}

func (c *talk) say(text string) error {
	if _, err := io.WriteString(c, text+"\n"); err != nil {
		return err
	}
	got, err := c.r.ReadString('\n')
	if err == nil && got != text+"\n" {
		err = fmt.Errorf("said %q, heard %q", text, got)
	}
	return err
}

func (r *rig) mustSay(c *talk, text string) {
	r.t.Helper()
	if err := c.say(text); err != nil {
		r.t.Fatalf("%s: %v", text, err)
	}
}

// TestPortCrash: nobody is refused by crashes of a share of a port. Connections
// that the process had accepted die with it.
func TestPortCrash(t *testing.T) {
	t.Parallel()
	r := newRig(t, quickSettings)
	st, addr := r.port("tcp", echoServer(t))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wg sync.WaitGroup
	var heard, refused atomic.Int64
	for range 4 {
		wg.Go(func() {
			for ctx.Err() == nil {
				c, err := dialTalk(addr)
				if err != nil {
					refused.Add(1)
					t.Error(err)
					return
				}
				if c.say("hello") == nil {
					heard.Add(1)
				}
				c.Close()
			}
		})
	}
	const crashes = 8
	for i := range crashes {
		st = r.until("tcp", "ready again", func(s agentcore.Status) bool { return s.State == supervise.Ready && s.Restarts >= i })
		kill(t, st.PID)
	}
	r.until("tcp", "back", func(s agentcore.Status) bool { return s.State == supervise.Ready && s.Restarts >= crashes })
	for before := heard.Load(); heard.Load() < before+50 && refused.Load() == 0; {
		r.mustSay(r.talk(addr), "and again")
	}
	cancel()
	wg.Wait()
}

// TestDatagramsOutliveACrash: what is sent after a process has died arrives, once.
func TestDatagramsOutliveACrash(t *testing.T) {
	t.Parallel()
	r := newRig(t, quickSettings)
	target := packetServer(t)
	st, addr := r.port("udp", target.LocalAddr().String())
	c, err := net.Dial("udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for i := range 5 {
		st = r.until("udp", "ready again", func(s agentcore.Status) bool { return s.State == supervise.Ready && s.Restarts >= i })
		kill(t, st.PID)
		untilGone(t, st.PID)
		var sent []string
		for n := range 50 {
			sent = append(sent, fmt.Sprintf("crash %d datagram %d", i, n))
			if _, err := io.WriteString(c, sent[n]); err != nil {
				t.Fatal(err)
			}
		}
		for _, text := range sent {
			for end := time.Now().Add(patience); target.times(text) != 1; time.Sleep(time.Millisecond) {
				if time.Now().After(end) {
					t.Fatalf("%s came %d times", text, target.times(text))
				}
			}
		}
	}
}

// TestPortRoll: connections stay with the process that they were made to, for as
// long as they last; new ones are the successor's. Whoever sends datagrams hears an
// answer to each.
func TestPortRoll(t *testing.T) {
	t.Parallel()
	r := newRig(t, quickSettings)
	st, addr := r.port("tcp", echoServer(t))
	_, packetAddr := r.port("udp", packetServer(t).LocalAddr().String())
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() {
		c, err := net.Dial("udp", packetAddr)
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		b := make([]byte, 100)
		for i := 0; ctx.Err() == nil; i++ {
			text := fmt.Sprint(i)
			_ = c.SetDeadline(time.Now().Add(patience))
			if _, err := io.WriteString(c, text); err != nil {
				t.Error(err)
				return
			}
			if n, err := c.Read(b); err != nil || string(b[:n]) != text {
				t.Errorf("%s was answered by %q, %v", text, b[:n], err)
				return
			}
		}
	})
	first := st.PID
	old := r.talk(addr)
	r.mustSay(old, "before")
	for i := range 4 {
		for _, name := range []string{"tcp", "udp"} {
			before, err := r.Get(name)
			if err != nil {
				t.Fatal(err)
			}
			after, err := r.Restart(r.ctx(), name)
			if i%2 == 1 {
				after, err = r.Set(r.ctx(), name, map[string]string{"idle": fmt.Sprintf("%dh", i), "reach": []string{"lan", "local"}[i/2]})
			}
			if err != nil || after.PID == before.PID || after.State != supervise.Ready || after.Restarts != 0 {
				t.Fatalf("%s, %d: %+v, %v", name, i, after, err)
			}
		}
		r.mustSay(old, "still")
		r.mustSay(r.talk(addr), "new")
	}
	cancel()
	wg.Wait()
	old.Close()
	untilGone(t, first)
}

// TestPortStop: what is open at the stop goes on until it ends, and nothing listens
// afterwards.
func TestPortStop(t *testing.T) {
	t.Parallel()
	r := newRig(t, quickSettings)
	_, addr := r.port("tcp", echoServer(t), "stop_grace", "1h")
	_, packetAddr := r.port("udp", packetServer(t).LocalAddr().String())
	c := r.talk(addr)
	r.mustSay(c, "before")
	stopped := make(chan error, 1)
	go func() {
		_, err := r.Stop(r.ctx(), "tcp")
		stopped <- err
	}()
	r.untilState("tcp", supervise.Stopping)
	for range 10 {
		r.mustSay(c, "while it stops")
	}
	c.Close()
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
	if c, err := dialTalk(addr); !platform.IsConnRefused(err) {
		t.Errorf("after the stop: %v, %v; want refused", c, err)
	}
	v, err := net.Dial("udp", packetAddr)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	_ = v.SetDeadline(time.Now().Add(patience))
	_, _ = io.WriteString(v, "hello")
	if _, err := v.Read(make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Stop(r.ctx(), "udp"); err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(v, "hello")
	if _, err := v.Read(make([]byte, 10)); !platform.IsConnRefused(err) {
		t.Errorf("after the stop: %v, want refused", err)
	}
}

// TestPortHangs: a process that neither accepts nor answers is found by its
// silence, and visitors who have waited are served by another one.
func TestPortHangs(t *testing.T) {
	t.Parallel()
	r := newRig(t, quickSettings)
	target := packetServer(t)
	tcp, addr := r.port("tcp", echoServer(t))
	udp, packetAddr := r.port("udp", target.LocalAddr().String())
	for _, st := range []agentcore.Status{tcp, udp} {
		signal(t, st.PID, sigSTOP)
	}
	c := r.talk(addr)
	v, err := net.Dial("udp", packetAddr)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	_, _ = io.WriteString(v, "who waits")
	for _, st := range []agentcore.Status{tcp, udp} {
		back := r.until(st.Name, "replaced", func(s agentcore.Status) bool { return s.State == supervise.Ready && s.PID != st.PID })
		if back.Restarts != 1 {
			t.Errorf("%s: %d restarts, want 1", st.Name, back.Restarts)
		}
		untilGone(t, st.PID)
	}
	if err := c.say("who waits"); err != nil { // the old one may have accepted it when it was killed
		r.mustSay(r.talk(addr), "who comes")
	}
	_ = v.SetDeadline(time.Now().Add(patience))
	_, _ = io.WriteString(v, "who comes")
	if _, err := v.Read(make([]byte, 100)); err != nil {
		t.Error(err)
	}
}

// TestPortFull: who comes when all connections are in use waits, and the process,
// which can't be asked at its address then, is not taken for one that hangs.
func TestPortFull(t *testing.T) {
	t.Parallel()
	r := newRig(t, strings.Replace(quickSettings, `probe_timeout = "5s"`, `probe_timeout = "500ms"`, 1))
	st, addr := r.port("tcp", echoServer(t), "connections", "1")
	c := r.talk(addr)
	r.mustSay(c, "hello")
	full := r.until("tcp", "full", func(s agentcore.Status) bool { return s.Trouble == supervise.LimitTrouble })
	if !strings.Contains(full.LastError, "connection is in use") {
		t.Errorf("%q", full.LastError)
	}
	waits := r.talk(addr)
	heard := make(chan error, 1)
	go func() { heard <- waits.say("who waits") }()
	for probed := time.Now().Add(2 * time.Second); time.Now().Before(probed); { // several times
		r.mustSay(c, "still")
	}
	c.Close()
	if err := <-heard; err != nil {
		t.Error(err)
	}
	waits.Close()
	ready := r.untilState("tcp", supervise.Ready)
	if ready.PID != st.PID || ready.Restarts != 0 || ready.Requests != 2 {
		t.Errorf("%+v", ready)
	}
}

// TestPortTarget: that the target is down is said, and that it is back.
func TestPortTarget(t *testing.T) {
	t.Parallel()
	r := newRig(t, quickSettings)
	port := freePort(t)
	st, addr := r.port("tcp", port)
	down := r.until("tcp", "unhealthy", func(s agentcore.Status) bool { return s.State == supervise.Unhealthy })
	if down.Trouble != supervise.TargetTrouble || !strings.Contains(down.LastError, "nothing listens at 127.0.0.1:"+port) {
		t.Errorf("%s because %q", down.Trouble, down.LastError)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:"+port)
	if err != nil {
		t.Skip(err) // somebody else has it by now
	}
	defer ln.Close()
	back := r.untilState("tcp", supervise.Ready)
	if back.PID != st.PID {
		t.Error("the process was replaced")
	}
	if _, err := dialTalk(addr); err != nil {
		t.Error(err)
	}
}

// TestPortOfAnotherKind: a file may make of a TCP share one for UDP at the same
// port, and back.
func TestPortOfAnotherKind(t *testing.T) {
	t.Parallel()
	r := newRig(t, quickSettings)
	target := packetServer(t).LocalAddr().String()
	st, addr := r.port("tcp", target)
	b, err := os.ReadFile(st.File)
	if err != nil {
		t.Fatal(err)
	}
	udp := strings.Replace(string(b), `kind = "tcp"`, `kind = "udp"`, 1)
	if udp == string(b) {
		t.Fatalf("it says no kind:\n%s", b)
	}
	r.write(st.File, udp)
	now := r.until("tcp", "for UDP", func(s agentcore.Status) bool { return s.Kind == "udp" && s.PID != st.PID && s.State == supervise.Ready })
	c, err := net.Dial("udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	_, _ = io.WriteString(c, "hello")
	if _, err := c.Read(make([]byte, 10)); err != nil {
		t.Error(err)
	}
	r.write(st.File, string(b))
	r.until("tcp", "for TCP", func(s agentcore.Status) bool {
		return s.Kind == "tcp" && s.PID != now.PID && (s.State == supervise.Ready || s.Trouble == supervise.TargetTrouble)
	})
	if _, err := dialTalk(addr); err != nil {
		t.Error(err)
	}
}

// TestUDPPortInUse: who has a port is found among those that speak the same.
func TestUDPPortInUse(t *testing.T) {
	t.Parallel()
	r := newRig(t, quickSettings)
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	port := fmt.Sprint(conn.LocalAddr().(*net.UDPAddr).Port)
	_, err = r.Add(r.ctx(), agentcore.NewShare{Kind: "udp", Target: "1", Keys: map[string]string{"port": port}})
	if err == nil || !strings.Contains(err.Error(), "port "+port+" is in use by another share") { // this process is the agent
		t.Errorf("a port that is in use: %v", err)
	}
}

// TestPortVisitors: it is known who came to a port, and how much.
func TestPortVisitors(t *testing.T) {
	t.Parallel()
	r := newRig(t, "")
	_, addr := r.port("tcp", echoServer(t))
	r.mustSay(r.talk(addr), "hello")
	st := r.until("tcp", "visited", func(s agentcore.Status) bool { return s.Requests == 1 && s.BytesOut == 6 })
	if st.Active != 1 {
		t.Errorf("%+v", st.Use)
	}
	st, err := r.Look(r.ctx(), "tcp")
	if err != nil || len(st.Visitors) != 1 || st.Visitors[0].Addr != "127.0.0.1" || st.Visitors[0].Requests != 1 {
		t.Errorf("%+v, %v", st.Visitors, err)
	}
}
