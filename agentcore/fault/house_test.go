//go:build linux

package fault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"sharetray/agentcore"
	"sharetray/agentcore/control"
	"sharetray/agentcore/supervise"
)

// The two versions of the program that the tests run have names of one length:
// the second one is the first one's file with its name exchanged.
const (
	version1 = "v1.0.0-fault-test"
	version2 = "v2.0.0-fault-test"
)

// patience is how long a test waits for something before it gives up.
const patience = 60 * time.Second

// programs are the two versions, as files, made once.
var programs = sync.OnceValues(func() (dir string, err error) {
	if dir, err = os.MkdirTemp("", "st-fault"); err != nil {
		return "", err
	}
	first := filepath.Join(dir, "v1")
	build := exec.Command("go", "build", "-tags", "failpoints", "-ldflags", "-X main.version="+version1, "-o", first, "sharetray")
	if out, err := build.CombinedOutput(); err != nil {
		return dir, fmt.Errorf("%w: %s", err, out)
	}
	data, err := os.ReadFile(first)
	if err != nil {
		return dir, err
	}
	if !bytes.Contains(data, []byte(version1)) {
		return dir, errors.New("the program does not know its version")
	}
	data = bytes.ReplaceAll(data, []byte(version1), []byte(version2))
	return dir, os.WriteFile(filepath.Join(dir, "v2"), data, 0o755)
})

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, err := programs(); dir != "" && err == nil {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

// house is where the agents of one test live.
type house struct {
	*testing.T
	dir    string // short, since sockets lie in it
	home   string
	run    string // the runtime folder of the system
	exe    string // the program, which tests may exchange
	env    []string
	client *control.Client
	find   func() *control.Client // where client is not known yet
	port   int
}

// nextPort is the first port that the next house has for its shares. None is one
// that shares get by themselves.
var nextPort atomic.Int32

const portsEach = 8

func newHouse(t *testing.T) *house {
	t.Helper()
	built, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "st")
	if err != nil {
		t.Fatal(err)
	}
	h := &house{T: t, dir: dir, home: filepath.Join(dir, "home"), run: filepath.Join(dir, "run"), exe: filepath.Join(dir, "sharetray"),
		port: 10000 + portsEach*int(nextPort.Add(1))}
	t.Cleanup(func() {
		h.endAll()
		if t.Failed() {
			if b, err := os.ReadFile(h.state("agent.log")); err == nil {
				t.Logf("the agents' log:\n%s", b[max(0, len(b)-12<<10):])
			}
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	h.env = []string{"HOME=" + h.home, "XDG_RUNTIME_DIR=" + h.run, "PATH=" + os.Getenv("PATH"), "TMPDIR=" + dir,
		"DBUS_SESSION_BUS_ADDRESS=unix:path=" + filepath.Join(dir, "no-bus"),
		"SHARETRAY_FAILARM=" + h.path("arm"), "SHARETRAY_FAILTRACE=" + h.path("trace")}
	for _, d := range []string{h.home, h.run, filepath.Dir(h.config("shares", "x")), h.state()} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	h.install(filepath.Join(built, "v1"))
	h.client = control.Dial(agentcore.Paths{Control: filepath.Join(h.run, "sharetray", "control")})
	return h
}

func (h *house) path(name ...string) string {
	return filepath.Join(append([]string{h.dir}, name...)...)
}
func (h *house) config(name ...string) string {
	return filepath.Join(append([]string{h.home, ".config", "sharetray"}, name...)...)
}
func (h *house) state(name ...string) string {
	return filepath.Join(append([]string{h.home, ".local", "state", "sharetray"}, name...)...)
}

// install puts a program in the place of the house's one, as a package would.
func (h *house) install(from string) {
	h.Helper()
	data, err := os.ReadFile(from)
	h.must(err)
	h.must(os.WriteFile(h.exe+".new", data, 0o755))
	h.must(os.Rename(h.exe+".new", h.exe))
}

func (h *house) version(n int) string {
	dir, _ := programs()
	return filepath.Join(dir, "v"+strconv.Itoa(n))
}

func (h *house) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

// declare writes the file of a share of a folder with a.txt, which says its name,
// and returns the share's link.
func (h *house) declare(name string) string {
	h.Helper()
	h.port++
	folder := h.path("shared", name)
	h.must(os.MkdirAll(folder, 0o700))
	h.must(os.WriteFile(filepath.Join(folder, "a.txt"), []byte(name), 0o600))
	h.must(os.WriteFile(h.config("shares", name+".toml"), fmt.Appendf(nil,
		"version = 1\nkind = \"web\"\ntarget = %q\nport = %d\n", folder, h.port), 0o600))
	return fmt.Sprintf("http://127.0.0.1:%d/", h.port)
}

// fails adds steps at which the agents of this house fail, once it is armed.
func (h *house) fails(points string) { h.env = append(h.env, "SHARETRAY_FAILPOINTS="+points) }

func (h *house) arm() { h.must(os.WriteFile(h.path("arm"), nil, 0o600)) }

func (h *house) disarm() { os.Remove(h.path("arm")) }

// trace returns the steps that were passed while the house was armed, each once.
func (h *house) trace() (steps []string) {
	b, err := os.ReadFile(h.path("trace"))
	h.must(err)
	for step := range strings.Lines(string(b)) {
		if step = strings.TrimSuffix(step, "\n"); !slices.Contains(steps, step) {
			steps = append(steps, step)
		}
	}
	return steps
}

// agent starts an agent. Its end is awaited; ended is closed then.
func (h *house) agent(args ...string) (cmd *exec.Cmd, ended chan struct{}) {
	h.Helper()
	log, err := os.OpenFile(h.state("agent.log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	h.must(err)
	defer log.Close()
	cmd = exec.Command(h.exe, append([]string{"agent", "--no-tray"}, args...)...)
	cmd.Env, cmd.Stdout, cmd.Stderr, cmd.Dir = h.env, log, log, "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	h.must(cmd.Start())
	ended = make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	return cmd, ended
}

// tell runs a command and returns what it prints, and its exit code.
func (h *house) tell(args ...string) (out, errs string, code int) {
	h.Helper()
	cmd := exec.Command(h.exe, args...)
	var o, e bytes.Buffer
	cmd.Env, cmd.Stdout, cmd.Stderr = h.env, &o, &e
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		h.Fatal(err)
	}
	return o.String(), e.String(), cmd.ProcessState.ExitCode()
}

func (h *house) done(args ...string) string {
	h.Helper()
	out, errs, code := h.tell(args...)
	if code != 0 {
		h.Fatalf("sharetray %s: exit code %d: %s", strings.Join(args, " "), code, errs)
	}
	return out
}

// eventually polls for what has no event.
func (h *house) eventually(what string, ok func() bool) {
	h.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			h.Fatalf("never happened: %s; processes:\n%s", what, h.listing())
		}
	}
}

// ctx bounds one question to an agent, which may be stopped.
func (h *house) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	h.Cleanup(cancel)
	return ctx
}

func (h *house) info() (agentcore.Info, error) {
	if h.client == nil {
		if h.client = h.find(); h.client == nil {
			return agentcore.Info{}, errors.New("there is no socket")
		}
	}
	return h.client.Info(h.ctx())
}

func (h *house) status(name string) agentcore.Status {
	if _, err := h.info(); err != nil {
		return agentcore.Status{}
	}
	st, _ := h.client.Get(h.ctx(), name)
	return st
}

// ready waits until visitors reach all of these shares.
func (h *house) ready(names ...string) {
	h.Helper()
	for _, name := range names {
		h.eventually(name+" is ready", func() bool { return h.status(name).State == supervise.Ready })
	}
}

// process is one of the house.
type process struct {
	pid  int
	args []string
}

// processes lists those that live and have the house's home, but not the commands.
func (h *house) processes() (list []process) {
	entries, err := os.ReadDir("/proc")
	h.must(err)
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		env, err := os.ReadFile("/proc/" + e.Name() + "/environ")
		if err != nil || !slices.Contains(strings.Split(string(env), "\x00"), "HOME="+h.home) {
			continue
		}
		line, err := os.ReadFile("/proc/" + e.Name() + "/cmdline")
		if err != nil || len(line) == 0 {
			continue
		}
		list = append(list, process{pid, strings.Split(strings.TrimSuffix(string(line), "\x00"), "\x00")})
	}
	return list
}

func (h *house) listing() string {
	var all []string
	for _, p := range h.processes() {
		all = append(all, fmt.Sprintf("%d %s", p.pid, strings.Join(p.args, " ")))
	}
	return strings.Join(all, "\n")
}

func (h *house) count(role string) (n int) {
	for _, p := range h.processes() {
		if len(p.args) > 1 && p.args[1] == role {
			n++
		}
	}
	return n
}

// endAll ends what lives in the house. All are stopped first, since those that are
// left would start others.
func (h *house) endAll() {
	for range 100 {
		all := h.processes()
		if len(all) == 0 {
			return
		}
		for _, sig := range []syscall.Signal{syscall.SIGSTOP, syscall.SIGKILL} {
			for _, p := range all {
				_ = syscall.Kill(p.pid, sig)
			}
		}
		time.Sleep(5 * time.Millisecond)
	}
	h.Errorf("these can't be ended:\n%s", h.listing())
}

func (h *house) kill(pid int) {
	h.Helper()
	if !slices.ContainsFunc(h.processes(), func(p process) bool { return p.pid == pid }) {
		h.Fatalf("%d is not a process of this test", pid)
	}
	h.must(syscall.Kill(pid, syscall.SIGKILL))
}

// settled waits until there is an agent and one process for each of the shares,
// and the standby, and nothing else of the house.
func (h *house) settled(names ...string) {
	h.Helper()
	h.ready(names...)
	h.eventually(fmt.Sprintf("one process for each of %v, and no other", names), func() bool {
		return h.count("share-process") == len(names)+1 && h.count("agent") == 1
	})
	h.ready(names...) // still
	h.eventually("nothing of an interrupted write is left", func() bool {
		for _, dir := range []string{h.config("shares"), h.state("records"), h.state("history")} {
			if left, err := filepath.Glob(filepath.Join(dir, ".sharetray-*")); err != nil || left != nil {
				return false
			}
		}
		return true
	})
}

// visitors ask shares without pause, each time on a new connection.
type visitors struct {
	h    *house
	stop chan struct{}
	wg   sync.WaitGroup
	asks atomic.Int64

	mu  sync.Mutex
	bad []string
}

func (h *house) visit(links ...string) *visitors {
	v := &visitors{h: h, stop: make(chan struct{})}
	client := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	for _, link := range links {
		v.wg.Go(func() {
			for {
				select {
				case <-v.stop:
					return
				case <-time.After(2 * time.Millisecond):
				}
				if err := visit(client, link); err != nil {
					v.mu.Lock()
					v.bad = append(v.bad, err.Error())
					v.mu.Unlock()
				}
				v.asks.Add(1)
			}
		})
	}
	h.Cleanup(v.end)
	return v
}

func visit(client *http.Client, link string) error {
	resp, err := client.Get(link + "a.txt")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK || len(b) != 1 {
		return fmt.Errorf("%s: %s %q", link, resp.Status, b)
	}
	return nil
}

func (v *visitors) end() {
	select {
	case <-v.stop:
	default:
		close(v.stop)
	}
	v.wg.Wait()
}

// well ends the visits. None may have been refused, cut or answered wrongly.
func (v *visitors) well() {
	v.h.Helper()
	v.end()
	if len(v.bad) > 0 {
		v.h.Errorf("%d of %d visits went wrong, such as %s", len(v.bad), v.asks.Load(), v.bad[0])
	}
	if v.asks.Load() == 0 {
		v.h.Error("nobody has visited")
	}
}

// download is a transfer that is under way.
type download struct {
	h    *house
	conn net.Conn
	left int
	at   int
}

const largeSize = 64 << 20

// large makes a file in a share's folder that is more than sockets buffer.
func (h *house) large(share string) {
	h.Helper()
	data := make([]byte, largeSize)
	for i := range data {
		data[i] = byte(i * 7 / 3)
	}
	h.must(os.WriteFile(h.path("shared", share, "large"), data, 0o600))
}

// begin asks for the large file of a share, and reads no more than its beginning.
func (h *house) begin(link string) *download {
	h.Helper()
	addr := strings.TrimSuffix(strings.TrimPrefix(link, "http://"), "/")
	conn, err := net.Dial("tcp", addr)
	h.must(err)
	h.Cleanup(func() { conn.Close() })
	_, err = fmt.Fprintf(conn, "GET /large HTTP/1.1\r\nHost: %s\r\n\r\n", addr)
	h.must(err)
	head := make([]byte, 0, 4096)
	for !bytes.HasSuffix(head, []byte("\r\n\r\n")) {
		var b [1]byte
		_, err := io.ReadFull(conn, b[:])
		h.must(err)
		head = append(head, b[0])
	}
	if !bytes.HasPrefix(head, []byte("HTTP/1.1 200")) || !bytes.Contains(head, fmt.Appendf(nil, "Content-Length: %d\r\n", largeSize)) {
		h.Fatalf("%s", head)
	}
	return &download{h: h, conn: conn, left: largeSize}
}

// finish reads the rest, which must be the file's.
func (d *download) finish() {
	d.h.Helper()
	_ = d.conn.SetReadDeadline(time.Now().Add(patience))
	buf := make([]byte, 1<<20)
	for d.left > 0 {
		n, err := d.conn.Read(buf[:min(len(buf), d.left)])
		for _, b := range buf[:n] {
			if b != byte(d.at*7/3) {
				d.h.Fatalf("byte %d is wrong", d.at)
			}
			d.at++
		}
		d.left -= n
		if err != nil {
			d.h.Fatalf("cut after %d bytes: %v", d.at, err)
		}
	}
}
