package process

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gofrs/flock"

	"sharetray/agentcore/link"
	"sharetray/agentcore/record"
	"sharetray/agentcore/share"
	"sharetray/platform"
)

// forEver is a lease that no test outlives.
const forEver = time.Hour

// orphan starts a share process that knows what to do without an agent, with a
// file "a" that says hello and a large one, and leaves it alone.
func orphan(t *testing.T, o link.Orphan, env ...string) *child {
	t.Helper()
	c := fostered(t, o, env...)
	c.abandon()
	return c
}

// fostered is one whose agent is still there.
func fostered(t *testing.T, o link.Orphan, env ...string) *child {
	t.Helper()
	c := startChild(t, env...)
	c.hello()
	sock := listen(t)
	m := c.message(share.Share{Kind: share.Web, Target: files(t, map[string]string{"a": "hello", "large": large})})
	m.Serve.Orphan, m.Serve.Records = o, c.records()
	c.addr = sock.Addr().String()
	if a := c.mustAsk(m, sock); a.Type != link.TypeOK {
		t.Fatalf("serve was answered by %+v", a)
	}
	sock.Close() // an agent's death takes its hold on the socket with it
	return c
}

// large is more than sockets buffer.
var large = strings.Repeat("0123456789abcdef", 32<<20/16)

func (c *child) records() string { return filepath.Join(filepath.Dir(c.log), "records") }

// abandon is the death of the agent, as far as the process can tell.
func (c *child) abandon() {
	c.t.Helper()
	c.link.Close()
	c.logs("the agent is gone, serving on")
}

// logs waits until the process has written that into its log.
func (c *child) logs(what string) {
	c.t.Helper()
	c.logsWithin(patience, what)
}

func (c *child) logsWithin(limit time.Duration, what string) {
	c.t.Helper()
	for end := time.Now().Add(limit); ; time.Sleep(5 * time.Millisecond) {
		if b, _ := os.ReadFile(c.log); strings.Contains(string(b), what) {
			return
		}
		if time.Now().After(end) {
			c.t.Fatalf("it never said %q", what)
		}
	}
}

// download asks for the large file and reads its beginning. What is returned
// reads the rest.
func (c *child) download() (rest func() error) {
	c.t.Helper()
	conn, err := net.Dial("tcp", c.addr)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { conn.Close() })
	fmt.Fprint(conn, "GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		c.t.Fatal(err)
	}
	return func() error {
		b, err := io.ReadAll(resp.Body)
		if err == nil && string(b) != large {
			err = errors.New("it differs")
		}
		return err
	}
}

// refuses waits until nobody listens on the share's address any more.
func (c *child) refuses() {
	c.t.Helper()
	eventually(c.t, "the port is given up", func() bool {
		conn, err := net.Dial("tcp", c.addr)
		if err == nil {
			conn.Close()
		}
		return platform.IsConnRefused(err)
	})
}

func (c *child) lives() {
	c.t.Helper()
	select {
	case code := <-c.exited:
		c.exited <- code
		c.t.Fatalf("it ended, with code %d", code)
	default:
	}
}

// agent is another agent of a share process, that has asked who is there.
type agent struct {
	*link.Conn
	t     *testing.T
	hello link.Message
	taken chan struct{} // told that another one has adopted the process
}

// visit connects to the process, and asks who is there.
func (c *child) visit(t *testing.T) *agent {
	t.Helper()
	conn, life, err := platform.FindChild(c.path)
	if err != nil {
		t.Fatal(err)
	}
	a := &agent{t: t, taken: make(chan struct{}, 1)}
	a.Conn = link.New(conn, func(m link.Message, _ []*platform.Socket) *link.Message {
		if m.Type == link.TypeTaken {
			a.taken <- struct{}{}
		}
		return nil
	})
	t.Cleanup(func() { a.Close(); life.Close() })
	a.hello = a.must(link.Message{Type: link.TypeHello, Hello: &link.Hello{Protocol: link.Protocol, Version: "new"}})
	if h := a.hello.Hello; h == nil || h.Nonce != c.nonce || h.PID != c.proc.Cmd.Process.Pid || a.hello.Role == nil {
		t.Fatalf("hello was answered by %+v", a.hello)
	}
	return a
}

func (a *agent) ask(m link.Message) (link.Message, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return a.Ask(ctx, m)
}

func (a *agent) must(m link.Message) link.Message {
	a.t.Helper()
	answer, err := a.ask(m)
	if err != nil {
		a.t.Fatalf("%s: %v", m.Type, err)
	}
	return answer
}

// adopt makes it the process's agent.
func (a *agent) adopt() link.Message {
	a.t.Helper()
	answer := a.must(link.Message{Type: link.TypeAdopt})
	if answer.Role == nil {
		a.t.Fatalf("adopt was answered by %+v", answer)
	}
	a.t.Cleanup(func() { closeAll(answer.Sockets) })
	return answer
}

func TestOrphanServesOnAndDrains(t *testing.T) {
	t.Parallel()
	c := fostered(t, link.Orphan{Lease: 2 * time.Second})
	eventually(t, "a record", func() bool { return len(recorded(t, c)) == 1 })
	rest := c.download()
	c.abandon()
	if a := c.get("/a"); a.body != "hello" {
		t.Errorf("without an agent it says %d %q", a.StatusCode, a.body)
	}
	c.logs("no agent has come, draining")
	c.refuses()
	c.lives()
	if a := c.visit(t); a.hello.Role.Duty != link.Draining || a.hello.Role.Serve == nil {
		t.Errorf("it says to be at %+v", a.hello.Role)
	} else if answer := a.adopt(); answer.Role.Duty != link.Draining || len(answer.Sockets) > 0 {
		t.Errorf("draining, it can be adopted: %+v", answer)
	}
	if err := rest(); err != nil {
		t.Errorf("the download: %v", err)
	}
	if code := c.exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if left := recorded(t, c); len(left) > 0 {
		t.Errorf("it leaves the record %+v", left)
	}
	for _, path := range []string{c.path, c.path + platform.LifeSuffix} {
		if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("it leaves %s: %v", path, err)
		}
	}
}

func recorded(t *testing.T, c *child) []record.Found {
	t.Helper()
	list, err := record.List(c.records())
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// TestRecordIsTrue: what another agent reads of a process is what it is.
func TestRecordIsTrue(t *testing.T) {
	t.Parallel()
	c := fostered(t, link.Orphan{Lease: forEver})
	eventually(t, "a record", func() bool { return len(recorded(t, c)) == 1 })
	r := recorded(t, c)[0]
	started, err := platform.ProcessStart(c.proc.Cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	got := r.Record
	if r.Err != nil || r.Path != record.Path(c.records(), c.path) || got.PID != c.proc.Cmd.Process.Pid || got.Started != started || got.Nonce != c.nonce ||
		got.Link != c.path || got.Version != "test" || got.Share.String() != "test" || got.Since.IsZero() {
		t.Errorf("%+v (began %s)", r, started)
	}
}

// TestAdoptionEndsTheLease: of two that are left alone at the same time, one is
// adopted. When the other one's lease is over, its own would be, too.
func TestAdoptionEndsTheLease(t *testing.T) {
	t.Parallel()
	o := link.Orphan{Lease: 3 * time.Second}
	c, clock := fostered(t, o), fostered(t, o)
	rest := c.download()
	c.abandon()
	a := c.visit(t)
	if r := a.hello.Role; r.Duty != link.Serves || r.Order <= 0 || r.Serve == nil || r.Serve.Probe != c.probe || r.Serve.Orphan.Lease != o.Lease {
		t.Errorf("it says to be at %+v", r)
	}
	answer := a.adopt()
	if answer.Role.Duty != link.Serves || len(answer.Sockets) != 1 || answer.Sockets[0].Addr().String() != c.addr {
		t.Fatalf("%+v", answer)
	}
	clock.abandon()
	if code := clock.exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	c.lives()
	if a := c.get("/a"); a.body != "hello" {
		t.Errorf("adopted, it says %d %q", a.StatusCode, a.body)
	}
	// The socket is not just the same address: who waits there is the agent's to
	// hand on.
	a.must(link.Message{Type: link.TypePause})
	ln, err := answer.Sockets[0].Listener()
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	visitor, err := net.Dial("tcp", c.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer visitor.Close()
	_ = ln.SetDeadline(time.Now().Add(patience))
	conn, err := ln.Accept()
	if err != nil || conn.RemoteAddr().String() != visitor.LocalAddr().String() {
		t.Fatalf("accepted %v, %v", conn, err)
	}
	conn.Close()
	a.must(link.Message{Type: link.TypeResume})
	if err := rest(); err != nil {
		t.Errorf("the download: %v", err)
	}
	// And its new agent may die as well.
	a.Close()
	c.logs("no agent has come, draining")
	c.exit()
}

// TestOlderAgentIsTold: who adopts a process takes it from the agent before,
// which hears so before the link closes.
func TestOlderAgentIsTold(t *testing.T) {
	t.Parallel()
	c := orphan(t, link.Orphan{Lease: forEver})
	agents := []*agent{c.visit(t), c.visit(t), c.visit(t)}
	agents[0].adopt()
	for i, a := range agents[1:] {
		a.adopt()
		a.adopt() // a second time changes nothing
		before := agents[i]
		select {
		case <-before.Done():
		case <-time.After(patience):
			t.Fatal("the agent before is still connected")
		}
		if len(before.taken) != 1 {
			t.Error("it was not told why")
		}
	}
	last := agents[2]
	if h := last.must(link.Message{Type: link.TypePing}).Health; h == nil || len(last.taken) > 0 {
		t.Errorf("the last one has health %+v", h)
	}
	if c.get("/a").body != "hello" {
		t.Error("it does not serve on")
	}
	last.Close()
	eventually(t, "alone again", func() bool {
		b, _ := os.ReadFile(c.log)
		return strings.Count(string(b), "the agent is gone, serving on") == 2
	})
}

// TestPeek: asking who is there changes nothing.
func TestPeek(t *testing.T) {
	t.Parallel()
	c := fostered(t, link.Orphan{Lease: forEver})
	a := c.visit(t)
	if a.hello.Role.Duty != link.Serves || a.hello.Hello.Version != "test" {
		t.Errorf("%+v", a.hello)
	}
	for _, m := range []link.Message{{Type: link.TypePing}, {Type: link.TypePause}, {Type: link.TypeResume}, {Type: link.TypeUnhold}, c.message(share.Share{})} {
		if answer, err := a.ask(m); !isRefusal(err) {
			t.Errorf("%s, said by one who only looks, is answered by %+v, %v", m.Type, answer, err)
		}
	}
	c.ping() // the agent is still the agent
	a.Close()
	<-a.Done()
	c.ping()
	if b, _ := os.ReadFile(c.log); strings.Contains(string(b), "adopted") || strings.Contains(string(b), "the agent is gone") {
		t.Errorf("its log says\n%s", b)
	}
}

func isRefusal(err error) bool {
	_, ok := errors.AsType[*link.Refused](err)
	return ok
}

// TestPeekBeforeTheFirstAgent: who only looks does not become the agent of a
// process that has none yet.
func TestPeekBeforeTheFirstAgent(t *testing.T) {
	t.Parallel()
	c := startChild(t)
	conn, life, err := platform.FindChild(c.path)
	if err != nil {
		t.Fatal(err)
	}
	defer life.Close()
	a := &agent{t: t, Conn: link.New(conn, func(link.Message, []*platform.Socket) *link.Message { return nil })}
	defer a.Close()
	peek := link.Message{Type: link.TypeHello, Hello: &link.Hello{Protocol: link.Protocol}}
	if answer, err := a.ask(peek); !isRefusal(err) {
		t.Errorf("%+v, %v", answer, err)
	}
	if answer, err := a.ask(link.Message{Type: link.TypeAdopt}); !isRefusal(err) {
		t.Errorf("it was adopted: %+v, %v", answer, err)
	}
	c.hello()
	c.ping()
	if answer := a.must(peek); answer.Role.Duty != link.Idle || answer.Role.Serve != nil {
		t.Errorf("%+v", answer)
	}
	if answer := a.adopt(); answer.Role.Duty != link.Idle || len(answer.Sockets) > 0 {
		t.Errorf("%+v", answer)
	}
}

// TestStandbyEndsWithoutAnAgent, whatever it rehearses: nobody misses it.
func TestStandbyEndsWithoutAnAgent(t *testing.T) {
	t.Parallel()
	t.Run("idle", func(t *testing.T) {
		c := startChild(t)
		c.hello()
		c.link.Close()
		if code := c.exit(); code != 0 {
			t.Errorf("exit code %d", code)
		}
	})
	t.Run("held", func(t *testing.T) {
		c := startChild(t)
		c.hello()
		m := c.message(share.Share{Kind: share.Web, Target: t.TempDir()})
		m.Serve.Hold, m.Serve.Orphan, m.Serve.Records = true, link.Orphan{Lease: forEver}, c.records()
		c.mustAsk(m, listen(t))
		if a := c.visit(t); a.hello.Role.Duty != link.Idle || a.hello.Role.Serve != nil {
			t.Errorf("it says to be at %+v", a.hello.Role)
		}
		c.link.Close()
		if code := c.exit(); code != 0 {
			t.Errorf("exit code %d", code)
		}
		if left := recorded(t, c); len(left) > 0 {
			t.Errorf("it was recorded: %+v", left)
		}
	})
}

// TestOrphanInMidRoll: one that was paused for its successor serves again when
// the agent dies.
func TestOrphanInMidRoll(t *testing.T) {
	t.Parallel()
	c := fostered(t, link.Orphan{Lease: forEver})
	c.mustAsk(link.Message{Type: link.TypePause})
	c.abandon()
	if a := c.get("/a"); a.body != "hello" {
		t.Errorf("%d %q", a.StatusCode, a.body)
	}
}

// TestOrphanIsAskedToStop: it drains, and looks for no agent any more.
func TestOrphanIsAskedToStop(t *testing.T) {
	t.Parallel()
	r := newRevival(t)
	held := flock.New(r.o.Lock) // as if an agent lived, which adopts others first
	if got, err := held.TryLock(); !got {
		t.Fatal(err)
	}
	defer held.Close()
	c := fostered(t, r.o)
	rest := c.download()
	c.abandon()
	eventually(t, "it looks for an agent", func() bool { return !r.idle(t) })
	c.askToStop()
	c.refuses()
	eventually(t, "it looks no more", func() bool { return r.idle(t) })
	c.lives()
	if err := rest(); err != nil {
		t.Errorf("the download: %v", err)
	}
	if code := c.exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if starts := r.starts(t); len(starts) > 0 {
		t.Errorf("it started %v", starts)
	}
}

// TestLinkIsMadeAnew: somebody cleans up the folder for temporary files.
func TestLinkIsMadeAnew(t *testing.T) {
	t.Parallel()
	for name, remove := range map[string]func(*child) error{
		"link":     func(c *child) error { return os.Remove(c.path) },
		"lifeline": func(c *child) error { return os.Remove(c.path + platform.LifeSuffix) },
		"both":     func(c *child) error { platform.RemoveLink(c.path); return nil },
		"folder": func(c *child) error { // the process may just be writing its record there
			_ = os.RemoveAll(filepath.Dir(c.path))
			return os.RemoveAll(filepath.Dir(c.path))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := fostered(t, link.Orphan{Lease: forEver})
			eventually(t, "a record", func() bool { return len(recorded(t, c)) == 1 }) // it writes nothing more
			if err := remove(c); err != nil {
				t.Fatal(err)
			}
			c.ping() // whoever was connected still is
			c.link.Close()
			eventually(t, "a link", func() bool {
				conn, life, err := platform.FindChild(c.path)
				if err == nil {
					conn.Close()
					life.Close()
				}
				return err == nil
			})
			a := c.visit(t)
			if answer := a.adopt(); answer.Role.Duty != link.Serves || len(answer.Sockets) != 1 {
				t.Errorf("%+v", answer)
			}
			if info, err := os.Lstat(c.path); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("the link is %v, %v", info, err)
			}
			c.askToStop()
			c.exit()
			if _, err := os.Lstat(c.path); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("it leaves its link: %v", err)
			}
		})
	}
}

// reviveRole makes the test binary the agent that share processes start: it
// notes who has started it, and ends; or, given a lock, it lives.
const reviveRole = "revived-agent"

func revivedAgent(notes, lock string) int {
	if lock != "" {
		if got, err := flock.New(lock).TryLock(); err != nil || !got {
			return 1 // another one was quicker
		}
	}
	f, err := os.OpenFile(notes, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return 1
	}
	fmt.Fprintf(f, "%d %d\n", os.Getpid(), os.Getppid())
	f.Close()
	if lock != "" {
		time.Sleep(2 * time.Minute) // the test ends it before that
	}
	return 1
}

// revival is how the processes of a test start an agent.
type revival struct {
	o     link.Orphan
	notes string
}

type start struct{ agent, by int }

func newRevival(t *testing.T) *revival {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	r := &revival{notes: filepath.Join(dir, "notes")}
	r.o = link.Orphan{Lease: forEver, Exe: exe, Args: []string{reviveRole, r.notes, ""},
		Lock: filepath.Join(dir, "lock"), Revive: filepath.Join(dir, "revive")}
	if err := os.WriteFile(r.o.Lock, nil, 0o600); err != nil { // as a dead agent leaves it
		t.Fatal(err)
	}
	return r
}

// TestAQuitIsNoDeath: an agent that ends in order takes its lock's file away. A
// process that it had lost sight of ends too, and starts none.
func TestAQuitIsNoDeath(t *testing.T) {
	t.Parallel()
	r := newRevival(t)
	c := fostered(t, r.o)
	if err := os.Remove(r.o.Lock); err != nil {
		t.Fatal(err)
	}
	c.abandon()
	if code := c.exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if starts := r.starts(t); len(starts) > 0 {
		t.Errorf("it started %v", starts)
	}
	if _, err := os.Lstat(r.o.Revive); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it left %s: %v", r.o.Revive, err)
	}
}

// lasting makes the agents that are started live.
func (r *revival) lasting(t *testing.T) {
	r.o.Args[2] = r.o.Lock
	t.Cleanup(func() {
		for _, s := range r.starts(t) {
			_ = end(s.agent)
		}
	})
}

func (r *revival) starts(t *testing.T) (all []start) {
	t.Helper()
	b, err := os.ReadFile(r.notes)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		var s start
		if n, _ := fmt.Sscan(line, &s.agent, &s.by); n == 2 {
			all = append(all, s)
		}
	}
	return all
}

func end(pid int) error {
	p, err := os.FindProcess(pid)
	if err != nil {
		return err
	}
	return p.Kill()
}

// idle reports whether no process has the lock of who starts an agent.
func (r *revival) idle(t *testing.T) bool {
	t.Helper()
	lock := flock.New(r.o.Revive)
	defer lock.Close()
	got, err := lock.TryLock()
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// TestReviveGivesUp: an agent that does not last is started five times by all
// processes together, with growing waits; then the user is told, once, even if
// the desktop does not answer. They serve on.
func TestReviveGivesUp(t *testing.T) {
	t.Parallel()
	r := newRevival(t)
	bus, calls := deafBus(t)
	var all []*child
	for range 3 {
		all = append(all, fostered(t, r.o, "DBUS_SESSION_BUS_ADDRESS="+bus))
	}
	for _, c := range all {
		c.abandon()
	}
	began := time.Now()
	const limit = 2 * time.Minute // the waits are of seconds
	for end := began.Add(limit); len(r.starts(t)) < maxRevivals; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("started %v", r.starts(t))
		}
	}
	if took := time.Since(began); took < 10*reviveBackoff {
		t.Errorf("%d starts within %v", maxRevivals, took)
	}
	by := r.starts(t)[0].by
	chief := all[slices.IndexFunc(all, func(c *child) bool { return c.proc.Cmd.Process.Pid == by })]
	chief.logs("no more tries")
	chief.logsWithin(limit, "a notification was not shown")
	for _, s := range r.starts(t) {
		if s.by != by {
			t.Errorf("started by %v", r.starts(t))
		}
	}
	if n := record.Revivals(r.o.Revive); n != maxRevivals || len(r.starts(t)) != maxRevivals {
		t.Errorf("%d are counted, %d were started", n, len(r.starts(t)))
	}
	if n := calls(); n != 1 {
		t.Errorf("the desktop was called %d times", n)
	}
	for _, c := range all {
		if a := c.get("/a"); a.body != "hello" {
			t.Errorf("%d %q", a.StatusCode, a.body)
		}
	}
}

// deafBus is a session bus that answers nothing.
func deafBus(t *testing.T) (address string, calls func() int) {
	t.Helper()
	dir, err := os.MkdirTemp("", "st")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "bus")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	count := make(chan int, 1)
	count <- 0
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { conn.Close() })
			count <- <-count + 1
		}
	}()
	return "unix:path=" + path, func() int {
		n := <-count
		count <- n
		return n
	}
}

// TestReviveHasGivenUp: what was counted is kept, so that a process which comes
// to it later starts nothing; without a desktop it says so in its log.
func TestReviveHasGivenUp(t *testing.T) {
	t.Parallel()
	r := newRevival(t)
	if err := record.SetRevivals(r.o.Revive, maxRevivals); err != nil {
		t.Fatal(err)
	}
	c := orphan(t, r.o, "DBUS_SESSION_BUS_ADDRESS=unix:path="+filepath.Join(t.TempDir(), "none"))
	c.logs("no more tries")
	c.logs("a notification was not shown")
	if starts := r.starts(t); len(starts) > 0 {
		t.Errorf("it started %v", starts)
	}
	c.visit(t).adopt()
	eventually(t, "it waits no more", func() bool { return r.idle(t) })
}

// TestReviveByTheNext: when the process that starts agents dies, another one does
// it, and counts on.
func TestReviveByTheNext(t *testing.T) {
	t.Parallel()
	r := newRevival(t)
	all := []*child{orphan(t, r.o), orphan(t, r.o)}
	eventually(t, "two starts", func() bool { return len(r.starts(t)) == 2 })
	by := r.starts(t)[0].by
	for _, c := range all {
		if c.proc.Cmd.Process.Pid == by {
			c.signal("KILL")
			c.exit()
		}
	}
	eventually(t, "a third start", func() bool { return len(r.starts(t)) == 3 })
	if next := r.starts(t)[2].by; next == by {
		t.Error("it was started by a dead process")
	}
	if n := record.Revivals(r.o.Revive); n != 3 {
		t.Errorf("%d are counted", n)
	}
}

// TestReviveOnce: of several processes one starts an agent, and none does as long
// as there is one, be it slow to adopt them.
func TestReviveOnce(t *testing.T) {
	t.Parallel()
	r := newRevival(t)
	r.lasting(t)
	var all []*child
	for range 4 {
		all = append(all, fostered(t, r.o))
	}
	for _, c := range all {
		c.link.Close()
	}
	eventually(t, "an agent", func() bool { return len(r.starts(t)) == 1 })
	// It ends, and they start another one: no more had been on their way.
	if err := end(r.starts(t)[0].agent); err != nil {
		t.Fatal(err)
	}
	eventually(t, "another agent", func() bool { return len(r.starts(t)) == 2 })
	for _, c := range all {
		c.visit(t).adopt()
	}
	eventually(t, "nobody looks for one", func() bool { return r.idle(t) })
	if starts := r.starts(t); len(starts) != 2 || record.Revivals(r.o.Revive) != 2 {
		t.Errorf("started %v, counted %d", starts, record.Revivals(r.o.Revive))
	}
}

// TestReviveFromItself: when the program's file can't be run any more, what the
// process itself runs will do.
func TestReviveFromItself(t *testing.T) {
	t.Parallel()
	if platform.OwnImage("") == "" {
		t.Skip("this system can't tell what a process runs")
	}
	r := newRevival(t)
	r.lasting(t)
	r.o.Exe = filepath.Join(t.TempDir(), "replaced")
	if err := os.WriteFile(r.o.Exe, []byte("half a progr"), 0o700); err != nil {
		t.Fatal(err)
	}
	c := orphan(t, r.o)
	eventually(t, "an agent", func() bool { return len(r.starts(t)) == 1 })
	if by := r.starts(t)[0].by; by != c.proc.Cmd.Process.Pid {
		t.Errorf("it was started by %d", by)
	}
	if n := record.Revivals(r.o.Revive); n != 3 {
		t.Errorf("it took %d tries", n)
	}
}

// TestReviveHasAnotherEnvironment: what only share processes have is not the
// agent's.
func TestReviveHasAnotherEnvironment(t *testing.T) {
	t.Parallel()
	r := newRevival(t)
	script := filepath.Join(t.TempDir(), "agent")
	if err := os.WriteFile(script, []byte("#!/bin/sh\necho \"$GOGC|${NOTIFY_SOCKET-none}|$KEPT\" > \"$1.new\" && mv \"$1.new\" \"$1\"\nexec sleep 0\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	r.o.Exe, r.o.Args = script, []string{r.notes}
	orphan(t, r.o, append(slices.Clone(link.ProcessEnv), "KEPT=yes")...)
	eventually(t, "an agent", func() bool { _, err := os.Stat(r.notes); return err == nil })
	if b, err := os.ReadFile(r.notes); err != nil || strings.TrimSpace(string(b)) != os.Getenv("GOGC")+"|none|yes" {
		t.Errorf("%q, %v", b, err)
	}
}
