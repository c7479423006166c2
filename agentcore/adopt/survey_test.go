//go:build unix

package adopt

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"sharetray/agentcore/link"
	"sharetray/agentcore/process"
	"sharetray/agentcore/record"
	"sharetray/agentcore/share"
	"sharetray/agentcore/supervise"
	"sharetray/platform"
)

// TestMain is a share process when it is started as one.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "share-process" {
		os.Exit(process.Main(os.Args[2], "test"))
	}
	os.Setenv("GORACE", "atexit_sleep_ms=0") // else each share process takes a second to exit under -race
	os.Exit(m.Run())
}

// patience is how long a test waits for what should happen at once.
const patience = 20 * time.Second

var mute = slog.New(slog.DiscardHandler)

// place is where an earlier agent has left share processes.
type place struct {
	t *testing.T
	l supervise.Launch
}

func newPlace(t *testing.T) *place {
	t.Helper()
	dir, err := os.MkdirTemp("", "st") // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &place{t, supervise.Launch{Exe: exe, Role: "share-process", Links: filepath.Join(dir, "l"), Records: filepath.Join(dir, "r"),
		Version: "test", Taken: func() {}, Left: new(atomic.Bool)}}
	for _, d := range []string{p.l.Links, p.l.Records} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

// survey looks who is there. Whoever was found is left alone afterwards.
func (p *place) survey() map[string]Candidate {
	p.t.Helper()
	before := p.files()
	all := map[string]Candidate{} // by link
	for _, c := range Survey(p.t.Context(), p.l, mute) {
		if _, twice := all[c.Link]; twice {
			p.t.Errorf("%s was found twice", c.Link)
		}
		if c.Record != record.Path(p.l.Records, c.Link) {
			p.t.Errorf("the record of %s would be %s", c.Link, c.Record)
		}
		if (c.Found != nil) != (c.Answer == Ours || c.Answer == Silent && c.Recorded) {
			p.t.Errorf("%s: %+v", c.Link, c)
		}
		if c.Found != nil {
			p.t.Cleanup(c.Found.Forget)
		}
		all[c.Link] = c
	}
	if after := p.files(); before != after {
		p.t.Errorf("the survey has changed something:\n%s\nbefore:\n%s", after, before)
	}
	return all
}

// only is the survey of a place where one process may be.
func (p *place) only(link string) Candidate {
	p.t.Helper()
	all := p.survey()
	c, ok := all[link]
	if !ok || len(all) != 1 {
		p.t.Fatalf("found %+v", all)
	}
	return c
}

func (p *place) files() string {
	var b strings.Builder
	for _, dir := range []string{p.l.Links, p.l.Records} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			p.t.Fatal(err)
		}
		for _, e := range entries {
			fmt.Fprintln(&b, filepath.Join(filepath.Base(dir), e.Name()), e.Type())
		}
	}
	return b.String()
}

// survivor is a real share process, left by its agent.
type survivor struct {
	*place
	cmd   *exec.Cmd
	link  string
	nonce string
	addr  string
	agent *link.Conn // the earlier one
	ended chan struct{}
}

// start starts a share process, which waits for a share.
func (p *place) start() *survivor {
	p.t.Helper()
	s := &survivor{place: p, nonce: rand.Text(), ended: make(chan struct{})}
	s.link = filepath.Join(p.l.Links, s.nonce[:16])
	child, err := platform.StartChild(p.l.Exe, []string{p.l.Role, s.link}, nil, s.link, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	s.cmd = child.Cmd
	s.agent = link.New(child.Link, func(link.Message, []*platform.Socket) *link.Message { return nil })
	p.t.Cleanup(func() {
		_ = s.cmd.Process.Kill()
		s.agent.Close()
		child.Life.Close()
		<-s.ended
	})
	go func() {
		_ = s.cmd.Wait()
		close(s.ended)
	}()
	s.ask(link.Message{Type: link.TypeHello, Hello: &link.Hello{Protocol: link.Protocol, Nonce: s.nonce}})
	return s
}

func (s *survivor) ask(m link.Message, socks ...*platform.Socket) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if _, err := s.agent.Ask(ctx, m, socks...); err != nil {
		s.t.Fatalf("%s: %v", m.Type, err)
	}
}

// serve starts one that is a share, with a large file, and whose agent is gone.
func (p *place) serve(name string) *survivor {
	p.t.Helper()
	s := p.start()
	dir := p.t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "large"), large, 0o600); err != nil {
		p.t.Fatal(err)
	}
	sock, err := platform.Listen(netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		p.t.Fatal(err)
	}
	defer sock.Close()
	s.addr = sock.Addr().String()
	s.ask(link.Message{Type: link.TypeServe, Serve: &link.Serve{
		Share: share.Share{Name: named(p.t, name), Kind: share.Web, Target: dir}, Probe: "secret",
		Log: link.Log{Path: filepath.Join(dir, "log"), MaxBytes: 1 << 16}, Records: p.l.Records, Orphan: link.Orphan{Lease: time.Hour},
	}}, sock)
	s.agent.Close()
	p.until("a record", func() bool { _, err := os.Stat(s.record()); return err == nil })
	return s
}

var large = bytes.Repeat([]byte("0123456789abcdef"), 32<<20/16)

func named(t *testing.T, name string) share.Name {
	t.Helper()
	n, err := share.ParseName(name)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func (p *place) until(what string, ok func() bool) {
	p.t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			p.t.Fatalf("never: %s", what)
		}
	}
}

func (s *survivor) record() string { return record.Path(s.l.Records, s.link) }

func (s *survivor) pid() int { return s.cmd.Process.Pid }

func (s *survivor) signal(sig syscall.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

// freeze stops the process, and waits until it stands still.
func (s *survivor) freeze() {
	s.t.Helper()
	s.signal(syscall.SIGSTOP)
	s.t.Cleanup(func() { _ = s.cmd.Process.Signal(syscall.SIGCONT) })
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(s.pid(), &status, syscall.WUNTRACED, nil); err != nil || !status.Stopped() {
		s.t.Fatalf("it does not stop: %v, %v", status, err)
	}
}

// end waits for the process's end.
func (s *survivor) end() {
	s.t.Helper()
	select {
	case <-s.ended:
	case <-time.After(patience):
		s.t.Fatal("it does not end")
	}
}

// download asks for the large file. What it returns reads it.
func (s *survivor) download() (rest func() error) {
	s.t.Helper()
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { conn.Close() })
	fmt.Fprint(conn, "GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return func() error {
		b, err := io.ReadAll(resp.Body)
		if err == nil && !bytes.Equal(b, large) {
			err = errors.New("it differs")
		}
		return err
	}
}

// stranger is a process of this user that is none of ours.
type stranger struct {
	t       *testing.T
	cmd     *exec.Cmd
	started string
	ended   chan error
}

func newStranger(t *testing.T) *stranger {
	t.Helper()
	s := &stranger{t: t, cmd: exec.Command("sleep", "1000"), ended: make(chan error, 1)}
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // as a share process
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { s.ended <- s.cmd.Wait(); close(done) }()
	t.Cleanup(func() { _ = s.cmd.Process.Kill(); <-done })
	var err error
	if s.started, err = platform.ProcessStart(s.pid()); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *stranger) pid() int { return s.cmd.Process.Pid }

// unharmed ends it by a signal of the test's own, and wants it to have died of
// that, not of an earlier one.
func (s *stranger) unharmed() {
	s.t.Helper()
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	err := <-s.ended
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGTERM {
		s.t.Errorf("the stranger ended by %v", err)
	}
}

// fake listens on a link and does with each connection what do says.
func (p *place) fake(nonce string, do func(net.Conn)) (linkPath string) {
	p.t.Helper()
	linkPath = filepath.Join(p.l.Links, nonce[:16])
	for _, path := range []string{linkPath, linkPath + platform.LifeSuffix} {
		ln, err := net.Listen("unix", path)
		if err != nil {
			p.t.Fatal(err)
		}
		var mu sync.Mutex
		var open []net.Conn
		p.t.Cleanup(func() {
			ln.Close()
			mu.Lock()
			defer mu.Unlock()
			for _, c := range open {
				c.Close()
			}
		})
		if do == nil {
			continue // nobody accepts
		}
		go func() {
			for {
				c, err := ln.Accept()
				if err != nil {
					return
				}
				mu.Lock()
				open = append(open, c)
				mu.Unlock()
				if path == linkPath {
					do(c)
				}
			}
		}()
	}
	return linkPath
}

// saying speaks the link's language, and answers a hello by m.
func saying(m link.Message) func(net.Conn) {
	return func(c net.Conn) {
		link.New(c, func(link.Message, []*platform.Socket) *link.Message { a := m; return &a })
	}
}

func introduces(pid int, nonce string, protocol int) func(net.Conn) {
	return saying(link.Message{Type: link.TypeHello, Hello: &link.Hello{Protocol: protocol, PID: pid, Nonce: nonce},
		Role: &link.Role{Duty: link.Serves}})
}

// write leaves a record as the process with that link would.
func (p *place) write(r record.Record) {
	p.t.Helper()
	r.Share = named(p.t, "photos")
	if err := record.Write(p.l.Records, r); err != nil {
		p.t.Fatal(err)
	}
}

func hang(net.Conn) {}

func TestSurveyOfNothing(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	if all := p.survey(); len(all) > 0 {
		t.Errorf("%+v", all)
	}
	for _, dir := range []string{p.l.Links, p.l.Records} {
		if err := os.Remove(dir); err != nil {
			t.Fatal(err)
		}
	}
	if all := Survey(t.Context(), p.l, mute); len(all) > 0 {
		t.Errorf("without folders: %+v", all)
	}
}

// TestSurvey sees processes at all that they may be at.
func TestSurvey(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	first, second, idle, drains, dead := p.serve("photos"), p.serve("photos"), p.start(), p.serve("music"), p.serve("films")
	drains.download()
	drains.signal(syscall.SIGQUIT)
	p.until("it drains", func() bool {
		conn, err := net.Dial("tcp", drains.addr)
		if err == nil {
			conn.Close()
		}
		return platform.IsConnRefused(err)
	})
	dead.signal(syscall.SIGKILL)
	dead.end()
	all := p.survey()
	for what, c := range map[string]struct {
		s    *survivor
		want Sight
	}{
		"serves":   {first, Sight{Share: "photos", Recorded: true, Answer: Ours, Duty: link.Serves}},
		"too":      {second, Sight{Share: "photos", Recorded: true, Answer: Ours, Duty: link.Serves}},
		"is idle":  {idle, Sight{Answer: Ours, Duty: link.Idle}},
		"drains":   {drains, Sight{Share: "music", Recorded: true, Answer: Ours, Duty: link.Draining}},
		"was ours": {dead, Sight{Share: "films", Answer: Nobody}},
	} {
		got := all[c.s.link]
		if (got.Order > 0) != (got.Duty == link.Serves || got.Duty == link.Draining) {
			t.Errorf("%s: began at %v", what, got.Order)
		}
		if got.Order = 0; got.Sight != c.want {
			t.Errorf("%s: %+v, want %+v", what, got.Sight, c.want)
		}
		if c.want.Answer == Ours && (got.Found == nil || got.Found.PID() != c.s.pid() || got.Found.Version() != "test") {
			t.Errorf("%s: found %+v", what, got.Found)
		}
	}
	if all[first.link].Order >= all[second.link].Order || len(all) != 5 {
		t.Errorf("the order is lost: %+v", all)
	}
	// What the dead one left goes, and nothing else.
	all[dead.link].Forget()
	if again := p.survey(); len(again) != 4 || again[dead.link].Link != "" || strings.Contains(p.files(), filepath.Base(dead.link)) {
		t.Errorf("%+v\n%s", again, p.files())
	}
}

// TestSurveyOfTheSilent: one that does not answer in time is known by its record
// or not at all; when it comes round, it is ours as ever.
func TestSurveyOfTheSilent(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	s := p.serve("photos")
	s.freeze()
	c := p.only(s.link)
	if c.Sight != (Sight{Share: "photos", Recorded: true, Answer: Silent}) || c.Found.PID() != s.pid() || c.Found.Answered {
		t.Errorf("with a record: %+v", c)
	}
	kept, err := os.ReadFile(s.record())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(s.record()); err != nil {
		t.Fatal(err)
	}
	if c := p.only(s.link); c.Sight != (Sight{Answer: Silent}) {
		t.Errorf("without one: %+v", c)
	}
	if err := os.WriteFile(s.record(), kept, 0o600); err != nil {
		t.Fatal(err)
	}
	s.signal(syscall.SIGCONT)
	if c := p.only(s.link); c.Answer != Ours || c.Duty != link.Serves {
		t.Errorf("awake again: %+v", c)
	}
}

// TestSurveyOfFakes: what listens on a link need not be a share process.
func TestSurveyOfFakes(t *testing.T) {
	t.Parallel()
	const nonce = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	self, err := platform.ProcessStart(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		do       func(net.Conn)
		recorded bool // there is a record of this very process
		want     Answer
	}{
		"another nonce":             {introduces(os.Getpid(), "another nonce, quite another", 1), false, Stranger},
		"another than recorded":     {introduces(os.Getpid(), nonce+"x", 1), true, Stranger},
		"another pid than recorded": {introduces(os.Getppid(), nonce, 1), true, Stranger},
		"a pid that can't be":       {introduces(0, nonce, 1), false, Stranger},
		"the first process":         {introduces(1, nonce, 1), false, Stranger},
		"never answers":             {hang, false, Silent},
		"never accepts":             {nil, false, Silent},
		"hangs up":                  {func(c net.Conn) { c.Close() }, false, Stranger},
		"hangs up, with a record":   {func(c net.Conn) { c.Close() }, true, Stranger},
		"hangs up when it is asked": {func(c net.Conn) { _, _ = c.Read(make([]byte, 1)); c.Close() }, false, Stranger},
		"talks nonsense":            {func(c net.Conn) { fmt.Fprint(c, "220 mail.example.org ESMTP\r\n") }, false, Stranger},
		"answers without a hello":   {saying(link.Message{Type: link.TypeOK}), false, Stranger},
		"a version that is too new": {saying(link.Message{Type: link.TypeRefuse, Refusal: &link.Refusal{Sentence: "no"}}), false, Newer},
		"a version that is too old": {introduces(os.Getpid(), nonce, link.OldestProtocol-1), false, Newer},
		"the same, with a record":   {introduces(os.Getpid(), nonce, link.OldestProtocol-1), true, Newer},
		"a role that nobody knows": {saying(link.Message{Type: link.TypeHello, Hello: &link.Hello{Protocol: 1, PID: os.Getpid(), Nonce: nonce},
			Role: &link.Role{Duty: link.Serves, Serve: &link.Serve{}}}), false, Stranger}, // a share without a name
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			path := p.fake(nonce, c.do)
			if c.recorded {
				p.write(record.Record{PID: os.Getpid(), Started: self, Nonce: nonce, Link: path})
			}
			if got := p.only(path); got.Answer != c.want {
				t.Errorf("it is %s, want %s: %+v", got.Answer, c.want, got)
			}
		})
	}
}

// TestSurveyOfTheDead: what is left of those who have ended.
func TestSurveyOfTheDead(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	if err := os.WriteFile(filepath.Join(p.l.Links, "a-file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(p.l.Links, "a-link"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	ln.SetUnlinkOnClose(false)
	ln.Close()
	if err := os.WriteFile(filepath.Join(p.l.Links, "a-lifeline"+platform.LifeSuffix), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	p.write(record.Record{PID: os.Getpid(), Started: "x", Nonce: "n", Link: filepath.Join(p.l.Links, "a-record")})
	if err := os.WriteFile(filepath.Join(p.l.Records, "half-a-record.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	all := p.survey()
	for _, name := range []string{"a-file", "a-link", "a-lifeline", "a-record", "half-a-record"} {
		if c := all[filepath.Join(p.l.Links, name)]; c.Answer != Nobody {
			t.Errorf("%s: %+v", name, c)
		}
	}
	for _, c := range all {
		c.Forget()
	}
	if left := p.files(); left != "" || len(all) != 5 {
		t.Errorf("of %d, there is left\n%s", len(all), left)
	}
}

// spoilt are records that can't be used. Whether they are looked at when nothing
// else tells of the process says known.
var spoilt = map[string]struct {
	spoil func(path string) error
	known bool
}{
	"truncated":      {func(path string) error { return os.Truncate(path, 20) }, true},
	"empty":          {func(path string) error { return os.Truncate(path, 0) }, true},
	"huge":           {func(path string) error { return change(path, "version", strings.Repeat("x", 1<<20)) }, true},
	"another's link": {func(path string) error { return change(path, "link", filepath.Join(filepath.Dir(path), "ANOTHER")) }, true},
	"a newer format": {func(path string) error { return change(path, "format", record.Format+1) }, false},
	"group-writable": {func(path string) error { return os.Chmod(path, 0o660) }, false},
	"a symbolic link": {func(path string) error {
		return errors.Join(os.Rename(path, path+".real"), os.Symlink(path+".real", path))
	}, true},
	"another user's": {func(path string) error {
		if os.Geteuid() != 0 {
			return os.Chmod(path, 0o602) // giving a file away takes root
		}
		return os.Chown(path, 65534, 65534)
	}, false},
}

// change sets one key of a record.
func change(path, key string, value any) error {
	m := map[string]any{}
	data, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(data, &m)
	}
	if err != nil {
		return err
	}
	m[key] = value
	if data, err = json.Marshal(m); err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o600)
}

// TestSurveyWithoutAUsableRecord: a process that answers needs no record; what is
// said of it there is not believed.
func TestSurveyWithoutAUsableRecord(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	s := p.serve("photos")
	kept, err := os.ReadFile(s.record())
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range spoilt {
		t.Run(name, func(t *testing.T) {
			p.t = t
			if err := c.spoil(s.record()); err != nil {
				t.Fatal(err)
			}
			got := p.only(s.link)
			if got.Order = 0; got.Sight != (Sight{Share: "photos", Answer: Ours, Duty: link.Serves}) {
				t.Errorf("%+v", got)
			}
			if err := errors.Join(os.Remove(s.record()), os.WriteFile(s.record(), kept, 0o600)); err != nil {
				t.Fatal(err)
			}
			_ = os.Remove(s.record() + ".real")
		})
	}
}

// TestSpoiltRecordsOfTheDead: nobody is behind them. Those that another program
// or user may have written are not ours to remove.
func TestSpoiltRecordsOfTheDead(t *testing.T) {
	t.Parallel()
	for name, c := range spoilt {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			path := filepath.Join(p.l.Links, "gone")
			p.write(record.Record{PID: os.Getpid(), Started: "x", Nonce: "n", Link: path})
			if err := c.spoil(record.Path(p.l.Records, path)); err != nil {
				t.Fatal(err)
			}
			all := p.survey()
			if got, known := all[path]; known != c.known || known && got.Answer != Nobody {
				t.Errorf("%+v", all)
			}
		})
	}
}

// TestStrangersAreSafe: whatever a record or an answer on a link says, a process
// that is not ours is not touched, and what is taken for one of ours is not it.
func TestStrangersAreSafe(t *testing.T) {
	t.Parallel()
	const nonce = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	quick := func() context.Context { // the end of all patience
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		return ctx
	}
	// retire does to who was found what can be done to him.
	retire := func(c Candidate) {
		if c.Found != nil {
			c.Found.Retire(quick())
		}
	}
	kernelSays := runtime.GOOS == "linux" // who listens on a link

	t.Run("its pid was another's", func(t *testing.T) {
		t.Parallel()
		p, victim := newPlace(t), newStranger(t)
		path := p.fake(nonce, hang)
		p.write(record.Record{PID: victim.pid(), Started: victim.started + "0", Nonce: nonce, Link: path})
		c := p.only(path)
		if c.Answer != Stranger {
			t.Errorf("%+v", c)
		}
		retire(c)
		victim.unharmed()
	})
	t.Run("nobody listens", func(t *testing.T) {
		t.Parallel()
		p, victim := newPlace(t), newStranger(t)
		path := filepath.Join(p.l.Links, nonce[:16])
		p.write(record.Record{PID: victim.pid(), Started: victim.started, Nonce: nonce, Link: path})
		c := p.only(path)
		if c.Answer != Nobody {
			t.Errorf("%+v", c)
		}
		c.Forget()
		victim.unharmed()
	})
	t.Run("another one hangs", func(t *testing.T) {
		t.Parallel()
		if !kernelSays {
			t.Skip("this system does not say who listens")
		}
		p, victim := newPlace(t), newStranger(t)
		path := p.fake(nonce, hang)
		p.write(record.Record{PID: victim.pid(), Started: victim.started, Nonce: nonce, Link: path})
		c := p.only(path)
		if c.Answer != Stranger {
			t.Errorf("%+v", c)
		}
		retire(c)
		victim.unharmed()
	})
	t.Run("another one says to be it", func(t *testing.T) {
		t.Parallel()
		if !kernelSays {
			t.Skip("this system does not say who listens")
		}
		p, victim := newPlace(t), newStranger(t)
		path := p.fake(nonce, introduces(victim.pid(), nonce, 1))
		c := p.only(path)
		if c.Answer != Stranger {
			t.Errorf("%+v", c)
		}
		p.write(record.Record{PID: victim.pid(), Started: victim.started, Nonce: nonce, Link: path})
		if c := p.only(path); c.Answer != Stranger {
			t.Errorf("with a record: %+v", c)
		}
		retire(c)
		victim.unharmed()
	})
	t.Run("the record of one of ours names it", func(t *testing.T) {
		t.Parallel()
		p, victim := newPlace(t), newStranger(t)
		s := p.serve("photos")
		r, err := record.Read(s.record())
		if err != nil {
			t.Fatal(err)
		}
		r.PID, r.Started = victim.pid(), victim.started
		p.write(r)
		c := p.only(s.link)
		if c.Answer != Stranger {
			t.Errorf("%+v", c)
		}
		retire(c)
		if kernelSays {
			s.freeze()
			if c = p.only(s.link); c.Answer != Stranger {
				t.Errorf("and it hangs: %+v", c)
			}
			retire(c)
		}
		victim.unharmed()
	})
}

// TestRetire: who is to end finishes what is in flight, however long it takes;
// past its time, or if it hangs, it is ended.
func TestRetire(t *testing.T) {
	t.Parallel()
	retired := func(s *survivor, ctx context.Context) <-chan struct{} {
		done := make(chan struct{})
		go func() {
			s.only(s.link).Found.Retire(ctx)
			close(done)
		}()
		return done
	}
	gone := func(t *testing.T, s *survivor, done <-chan struct{}) {
		t.Helper()
		select {
		case <-done:
		case <-time.After(patience):
			t.Fatal("it is waited for in vain")
		}
		s.end()
		if left := s.files(); left != "" {
			t.Errorf("it leaves\n%s", left)
		}
	}
	t.Run("finishes", func(t *testing.T) {
		t.Parallel()
		s := newPlace(t).serve("photos")
		rest := s.download()
		done := retired(s, t.Context())
		s.until("it drains", func() bool {
			conn, err := net.Dial("tcp", s.addr)
			if err == nil {
				conn.Close()
			}
			return platform.IsConnRefused(err)
		})
		if err := rest(); err != nil {
			t.Errorf("the download: %v", err)
		}
		gone(t, s, done)
	})
	t.Run("was asked before", func(t *testing.T) {
		t.Parallel()
		s := newPlace(t).serve("photos")
		rest := s.download()
		s.signal(syscall.SIGQUIT)
		s.until("it drains", func() bool {
			c := s.only(s.link)
			c.Found.Forget()
			return c.Duty == link.Draining
		})
		done := retired(s, t.Context()) // a second signal would cut the download
		if err := rest(); err != nil {
			t.Errorf("the download: %v", err)
		}
		gone(t, s, done)
	})
	t.Run("takes too long", func(t *testing.T) {
		t.Parallel()
		s := newPlace(t).serve("photos")
		s.download()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		gone(t, s, retired(s, ctx))
	})
	t.Run("hangs", func(t *testing.T) {
		t.Parallel()
		s := newPlace(t).serve("photos")
		s.freeze()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		gone(t, s, retired(s, ctx))
	})
	t.Run("has ended", func(t *testing.T) {
		t.Parallel()
		s := newPlace(t).serve("photos")
		c := s.only(s.link)
		s.signal(syscall.SIGKILL)
		s.end()
		done := make(chan struct{})
		go func() { c.Found.Retire(t.Context()); close(done) }()
		gone(t, s, done)
	})
}
